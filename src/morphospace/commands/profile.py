"""The command ``profile``: profiles of sites, wells and treatments from any table of cells, sites or wells."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from morphospace import files, params, places, registry, schema, tables, wells
from morphospace.analyses import Profile
from morphospace.datasets import _metadata
from morphospace.errors import InputError, ParameterError, SchemaError
from morphospace.profiling import aggregate, build, select
from morphospace.profiling.features import METADATA_PREFIX, feature_columns
from morphospace.words import count

logger = logging.getLogger(__name__)

RECORD = "profiles.json"
_IMAGE_PREFIX = "Image_"  # CellProfiler's name of the image in front of Metadata_
_CONTROLS = {"negcon", "negative", "negative control", "neg_control", "dmso", "vehicle"}  # how people call them
_IMAGE_NUMBER = "ImageNumber"  # CellProfiler's number of an image set


class _Chosen(Profile):
    """The section ``profile``, and what a table from elsewhere may need."""

    missing: build.Missing


def run(
    table: Annotated[Path, typer.Argument(help="Parquet or CSV (.csv, .csv.gz): a row a cell, a site or a well.")],
    output: Annotated[
        Path, places.FOLDER, typer.Argument(help="Folder to write: sites, wells and treatments, as Parquet.")
    ],
    metadata: Annotated[
        Path | None, typer.Option(help="CSV with Metadata_Plate, Metadata_Well and what else is known of the wells.")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(help="OLD=NEW, a column's name: Metadata_broad_sample=Metadata_Compound; again.")
    ] = None,
    controls: Annotated[
        str, typer.Option(help="COLUMN=VALUE of the negative controls, where no Metadata_PertType says negcon.")
    ] = "",
    change: Annotated[
        list[str] | None,
        typer.Option("--set", "-S", help="KEY=VALUE of the section profile: sphere=zca, treatment=median; again."),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="A value that is no number: error, or drop its rows, or its features.")
    ] = "error",
    agree: Annotated[
        float | None, typer.Option(help="Drop features on which wells of a treatment correlate less, such as 0.5.")
    ] = None,
    distinct: Annotated[
        float | None, typer.Option(help="Of two features that correlate beyond this, drop one; such as 0.95.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Write CSV, gzipped, instead of Parquet.")] = False,
) -> None:
    """Make profiles of sites, wells and treatments from any table: ours, CellProfiler's, pycytominer's.

    Features are the columns that start with Cells, Nuclei or Cytoplasm. Image_Metadata_Plate and the like lose their
    Image_; a CellProfiler table without Metadata_Site has one for each ImageNumber. How profiles are made is said in
    the section profile of params.yaml, where there is one here, and by --set.

    A table of CellProfiler:  morphospace profile Cells.csv out --metadata plate_map.csv
    --controls Metadata_Compound=DMSO --missing features
    """
    chosen = _chosen(change or [], missing)
    cells = _read(table, rename or [], controls)
    if metadata:
        cells = _joined(cells, _read(metadata, rename or [], controls), table, metadata)
    cells = _marked(_sited(cells), controls, table)
    selection = {"agree": agree, "distinct": distinct}
    how = build.Settings(**chosen.model_dump())
    rows = build.aggregated(cells, how, str(table))
    made = build.profiles(rows.drop(columns=_unwanted(rows, how, agree, distinct, table)), how)
    with files.replacing_folder(output, listed=True) as folder:
        for name, found in zip(made._fields, made, strict=True):
            if csv:
                tables.write_csv(found, folder / f"{name}.csv.gz")
            else:
                found.to_parquet(folder / f"{name}.parquet", index=False)
        files.write_json(folder / RECORD, {"table": str(table), "profile": chosen.model_dump(), **selection})
    typer.echo(", ".join(f"{len(t):,} {n}" for n, t in zip(made._fields, made, strict=True)) + f" in {output}")


def _chosen(changes: Sequence[str], missing: str) -> _Chosen:
    """Return the settings of params.yaml, or the defaults where there is none, with what was said by hand."""
    import yaml

    values: dict[str, Any] = {**build.Settings()._asdict(), "missing": missing}
    if Path("params.yaml").exists():
        values |= params.load().profile.model_dump()
    values = {key: value for key, value in values.items() if key in _Chosen.model_fields}
    for change in changes:
        key, value = _pair(change, "--set")
        if key not in Profile.model_fields:
            raise ParameterError(f"--set: profile has no {key}{registry.nearest(key, list(Profile.model_fields))}")
        values[key] = yaml.safe_load(value)
    return registry.validated(_Chosen, values, "profile.")


def _pair(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise InputError(f"{option} {text!r} is not of the form NAME=VALUE")
    return name, value


def _read(path: Path, renames: Sequence[str], controls: str) -> pd.DataFrame:
    """Return a table with the names that people gave, and without CellProfiler's Image_ before Metadata_.

    Names of plates, wells, compounds and the like are text, as is the column that tells the controls.
    """
    new = dict(_pair(text, "--rename") for text in renames)
    telling = _pair(controls, "--controls")[0] if controls else ""

    def named(column: str) -> str:
        plain = column.removeprefix(_IMAGE_PREFIX) if column.startswith(_IMAGE_PREFIX + METADATA_PREFIX) else column
        return new.get(column, new.get(plain, plain))

    def is_text(column: str) -> bool:
        return schema.is_text(named(column)) or telling in (column, named(column))

    table = tables.read(path, is_text, "" if tables.is_csv(path) else "embed")
    table = table.rename(columns=named)
    if twice := sorted({str(c) for c in table.columns[table.columns.duplicated()]}):
        raise SchemaError(f"{path} has two columns {twice[0]} once it is renamed; drop or rename one")
    if schema.CONCENTRATION in table and not pd.api.types.is_numeric_dtype(table[schema.CONCENTRATION]):
        text = table[[schema.CONCENTRATION]].fillna("").astype("str").set_axis(range(2, len(table) + 2))
        table[schema.CONCENTRATION] = _metadata.numbers(text, schema.CONCENTRATION, str(path)).to_numpy()
    return wells.named(_welled(table, path), str(path))


def _welled(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the table with its wells, of Metadata_Row and Metadata_Column where it does not name them."""
    row, column = (METADATA_PREFIX + name for name in ("Row", "Column"))
    if schema.WELL in table or not {row, column} <= set(table.columns):
        return table
    pairs = table[[row, column]].astype("str")
    try:
        found = {pair: wells.joined(*pair) for pair in set(pairs.itertuples(index=False, name=None))}
    except ValueError as error:
        raise InputError(f"{path}: {error}; correct {row} and {column}, or add {schema.WELL}") from None
    return table.assign(**{schema.WELL: [found[pair] for pair in pairs.itertuples(index=False, name=None)]})


def _joined(cells: pd.DataFrame, known: pd.DataFrame, table: Path, metadata: Path) -> pd.DataFrame:
    """Return the table with what the metadata know of each well."""
    key = [schema.PLATE, schema.WELL]
    schema.check(cells, key, str(table))
    schema.check(known, key, str(metadata), key=key)
    known = known[[c for c in known if c in key or str(c).startswith(METADATA_PREFIX)]]
    both = [c for c in known if c in cells and c not in key]
    found = cells.drop(columns=both).merge(known, on=key, how="left", indicator=True, validate="m:1")
    if (lost := found["_merge"] == "left_only").any():
        first = found[lost].iloc[0]
        wells, of = (len(rows[key].drop_duplicates()) for rows in (found[lost], found))
        raise InputError(
            f"{metadata} has no row for {wells} of {count(of, 'well')} of {table}: plate "
            f"{first[schema.PLATE]}, well {first[schema.WELL]} is the first"
        )
    if len(idle := known.merge(cells[key].drop_duplicates(), on=key, how="left_anti")):
        named = " ".join(idle[key].iloc[0])
        logger.warning("%s: %d of %d rows have no cell (first: %s)", metadata, len(idle), len(known), named)
    return found.drop(columns="_merge")


def _sited(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a site for each of CellProfiler's image numbers, where it names none."""
    if schema.SITE in cells or _IMAGE_NUMBER not in cells:
        return cells
    return cells.assign(**{schema.SITE: cells[_IMAGE_NUMBER].astype("str")})


def _marked(cells: pd.DataFrame, controls: str, table: Path) -> pd.DataFrame:
    """Return the table with the negative controls marked as they were named; controls without a compound get a name."""
    if controls:
        column, value = _pair(controls, "--controls")
        if column not in cells:
            raise SchemaError(f"--controls: {table} lacks {column}{registry.nearest(column, list(map(str, cells)))}")
        negative = cells[column] == value
        if not negative.any():
            near = _controls_elsewhere(cells) or registry.nearest(value, sorted(set(cells[column]) - {""}))
            raise InputError(f"--controls: {column} of {table} has no {value!r}{near}")
        kinds = negative.map({True: schema.NEGCON, False: schema.TREATED})
        cells = cells.assign(**{schema.PERT_TYPE: kinds})
    if not {schema.COMPOUND, schema.PERT_TYPE} <= set(cells):
        return cells
    nameless = (cells[schema.COMPOUND] == "") & (cells[schema.PERT_TYPE] == schema.NEGCON)
    return cells.assign(**{schema.COMPOUND: cells[schema.COMPOUND].mask(nameless, schema.NEGCON)})


def _controls_elsewhere(cells: pd.DataFrame) -> str:
    """Say which other column seems to tell the controls, for a message; nothing where none does."""
    for column in (c for c in cells if str(c).startswith(METADATA_PREFIX)):
        for value in sorted({v for v in cells[column] if isinstance(v, str)}):
            if value.lower() in _CONTROLS:
                return f"; did you mean --controls {column}={value}?"
    return ""


def _unwanted(
    rows: pd.DataFrame, how: build.Settings, agree: float | None, distinct: float | None, table: Path
) -> list[str]:
    """Return the features that are not worth keeping, judged by the wells of the sites (or wells) as measured."""
    if agree is None and distinct is None:
        return []
    for option, value in (("--agree", agree), ("--distinct", distinct)):
        if value is not None and not 0 < value < 1:
            raise InputError(f"{option} is {value:g}: give a correlation between 0 and 1")
    schema.check(rows, [schema.COMPOUND, schema.CONCENTRATION], str(table))
    wells = aggregate.wells(rows, how.well) if schema.SITE in rows else rows
    before = feature_columns(wells)
    kept = set(select.chosen(wells[schema.is_named(wells[schema.COMPOUND])], agree, distinct))
    typer.echo(f"{len(kept):,} of {count(len(before), 'feature')} kept")
    return [f for f in before if f not in kept]
