"""The database that commands search: built of the pipeline's tables on first use, or found at a place."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from morphospace import files, schema, tables
from morphospace.errors import InputError
from morphospace.imaging import kept, packs
from morphospace.search import database, store
from morphospace.search.database import Database


def opened(
    embeddings: Path,
    crops: Path | None = None,
    crops_table: Path | None = None,
    uri: str | None = None,
    rebuild: bool = False,
) -> Database:
    """Return the database of an embedding table, built when it is not there.

    Parameters
    ----------
    embeddings
        The embedding table, Parquet.
    crops, crops_table
        The packs, and the table that names each cell's picture; without both, the database holds no pictures.
    uri
        Where it lies: a folder or ``s3://bucket/prefix``; without it, in the scratch folder. One that is there is used
        without the tables, when they are not here.
    rebuild
        Replace one at `uri` that was built of other tables.

    Raises
    ------
    InputError
        When a table is missing or has a bad row, or `uri` holds the database of other tables.
    """
    if uri and "://" not in uri:
        store.require_own(uri)
    found = store.read(uri) if uri else None
    if found and not embeddings.is_file():
        return Database(str(uri), found)
    if not embeddings.is_file():
        raise InputError(f"{embeddings} is missing; run `dvc repro embed`, or name a --database that is built")
    with_crops = crops if crops and crops_table and crops.is_dir() and crops_table.is_file() else None
    pictured = crops_table if with_crops else None
    key = files.fingerprint(store.FORMAT, embeddings, *([pictured] if pictured else []))
    place = uri or str(files.scratch("search", key))
    if found and found.key != key and not rebuild:
        raise InputError(
            f"{uri} was built of other tables than {embeddings}: name another --database, or replace it with --rebuild"
        )
    if "://" in place:
        return _built(place, key, embeddings, with_crops, pictured)
    with files.alone(Path(place)):
        return _built(place, key, embeddings, with_crops, pictured)


def _built(place: str, key: str, embeddings: Path, crops: Path | None, crops_table: Path | None) -> Database:
    """Return the database of a key at a place, building it unless it is there."""
    found = store.read(place)
    if found is None or found.key != key:
        table = tables.read_parquet(embeddings, "embed")
        origin = {k: str(table.attrs.get(k, "")) for k in (schema.MODEL, schema.WEIGHTS)}
        joined = table
        if crops_table is not None:
            cut = kept.of(table, str(embeddings), crops_table)
            joined = table.assign(**{schema.CROP_FILE: cut[schema.CROP_FILE].to_numpy()})
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("build the database", total=len(joined))
            give = None if crops is None else lambda rows: _pngs(crops, rows)
            found = database.build(
                place, key, joined, origin, give, step=lambda rows: progress.update(task, advance=rows)
            )
    return Database(place, found)


def _pngs(crops: Path, rows: pd.DataFrame) -> list[bytes]:
    """Return the PNGs of some rows, each pack opened once."""
    found: dict[tuple[str, str], bytes] = {}
    for plate, of_plate in rows.groupby(schema.PLATE)[schema.CROP_FILE]:
        names = [str(n) for n in of_plate]
        content = packs.read(crops / f"{plate}.zip", names)
        found |= {(str(plate), n): c for n, c in zip(names, content, strict=True)}
    pairs = zip(rows[schema.PLATE].astype(str), rows[schema.CROP_FILE].astype(str), strict=True)
    return [found[pair] for pair in pairs]
