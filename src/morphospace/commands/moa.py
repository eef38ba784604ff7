"""The command ``moa``: mechanisms of action from any profiles, or from raw cells, never without their floors."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from morphospace import files, params, places, schema, tables, wells
from morphospace.commands import _cells, _moa
from morphospace.errors import InputError
from morphospace.imaging import packs
from morphospace.metrics import batches, moa, moa_floors
from morphospace.metrics.beside import CELL_COUNT
from morphospace.profiling import build
from morphospace.profiling.features import feature_columns
from morphospace.reasons import joined

SETTINGS = "profiles.json"  # in a folder of profiles: how `morphospace profile` made them


def run(
    profiles: Annotated[
        Path | None, typer.Argument(help="Folder of profiles: data/profiles, or what `morphospace profile` wrote.")
    ] = None,
    crops: Annotated[Path | None, typer.Option(help="Folder of the crops, for the floors of the pixels.")] = None,
    crops_table: Annotated[Path | None, typer.Option(help="Table of the crops.")] = None,
    without_pixels: Annotated[str, typer.Option(help="Why there are no pixels; the floors say so.")] = "",
    metric: Annotated[str, typer.Option(help="cosine or correlation; of params.yaml where it is not given.")] = "",
    rule: Annotated[str, typer.Option(help="Batch rule, strict or joined; of params.yaml where not given.")] = "",
    cells: Annotated[
        Path | None, typer.Option(help="Instead: folder of raw cells, one .npz with `images` and one .csv.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="With --cells: train this model; again for another.")] = None,
    seconds: Annotated[float, typer.Option(help="With --cells: processor seconds of each training.")] = 60.0,
    steps: Annotated[
        int, typer.Option(help="With --cells: steps (minibatches) of each training; 0 goes by --seconds.")
    ] = 0,
    output: Annotated[Path, places.FOLDER, typer.Option(help="Folder to write.")] = Path("reports/moa"),
) -> None:
    """Score mechanisms of action: nearest treatments (NSC, NSCB), mean average precision, top hits.

    Each score stands beside a random neighbour, one of the same batch, one of the same well position, the number of
    cells, and mean intensity, random projection and PCA of the pixels. Those of the pixels need --crops and
    --crops-table; profiles that came without pixels need --without-pixels and the reason, which is shown.

    With --cells, models are trained on the raw cells, and stand beside features measured by hand. A model that learns
    from mechanisms is trained once for each compound, without it.
    """
    options = params.load()
    settings = _moa.settings(options, metric, rule)
    if (profiles is None) == (cells is None):
        raise InputError("give a folder of profiles, or --cells FOLDER: one of the two")
    if cells is not None:
        from morphospace.commands import _moa_cells  # torch takes seconds to import
        from morphospace.training import allowance

        _moa_cells.run(cells, only or [], allowance.chosen(seconds, steps), options, settings, output)
        return
    made, how = _profiles(Path(str(profiles)), options)
    floors = _floors(crops, crops_table, without_pixels, made, how, options)
    of = moa_floors.tables(made)
    features = moa_floors.features(of)
    card = moa.card(of, features, floors, settings)
    images = of[moa.SITES], features[moa.SITES]
    batch = batches.from_controls(*images, batches.FOLDS, options.seed, settings.resamples, settings.confidence)
    _moa.show({moa.EMBEDDING: card})
    with files.replacing_folder(output, listed=True) as folder:
        _moa.write(
            folder, {"embedding": card}, {"profiles": str(profiles)} | joined(card.record(), batch.record()), features
        )
    typer.echo(f"all of it: {output}")


def _profiles(folder: Path, options: params.Params) -> tuple[build.Profiles, build.Settings]:
    """Return the tables of a folder, Parquet or CSV, and how they were made."""
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder of profiles; `morphospace profile TABLE FOLDER` makes one of any table"
        )
    made = build.Profiles(*(_table(folder, name) for name in build.Profiles._fields))
    if made.treatments.empty:
        raise InputError(f"{folder} has no profile of a treatment; the table needs {schema.COMPOUND}")
    if (folder / SETTINGS).exists():
        return made, build.Settings(**files.read_json(folder / SETTINGS)["profile"], seed=options.seed)
    rows = made.sites if len(made.sites) else made.wells
    return made, build.usable(rows, build.Settings(**options.profile.model_dump(), seed=options.seed))


def _table(folder: Path, name: str) -> pd.DataFrame:
    if (path := folder / f"{name}.csv.gz").exists():
        return wells.named(tables.read(path), str(path))
    path = folder / f"{name}.parquet"
    return wells.named(tables.read_parquet(path, "profile"), str(path))


def _floors(
    crops: Path | None,
    crops_table: Path | None,
    reason: str,
    made: build.Profiles,
    how: build.Settings,
    options: params.Params,
) -> dict[str, moa.Features | str]:
    """Return the floors that look at cells; of the pixels, or the reason why there are none: one must be given."""
    if reason:
        return {CELL_COUNT: moa_floors.cell_count(made, how), **dict.fromkeys(moa_floors.PIXELS, reason)}
    if crops is None or crops_table is None:
        raise InputError(
            "no accuracy is shown without its floors, and those of the pixels (mean intensity, random projection, PCA) "
            'need --crops and --crops-table; where there are none, say why: --without-pixels "published means"'
        )
    table = tables.read_parquet(crops_table, "synthesize")
    schema.check(table, [*schema.METADATA, schema.CROP_FILE, schema.CROP_STATUS], str(crops_table), schema.OBJECT_KEY)
    kept = table[table[schema.CROP_STATUS] == schema.KEPT].sort_values(schema.OBJECT_KEY, ignore_index=True)
    tiles: Any = packs.tiles(crops, kept, *_cells.shape(crops, kept), files.scratch("tiles", "decoded"))
    width = len(feature_columns(made.treatments))
    given = options.similarity.pca_cells
    values = moa_floors.pixels(tiles, width, np.arange(len(kept)), given, options.seed)
    return moa_floors.floors(made, how, kept, values)
