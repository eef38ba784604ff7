"""The database that commands search: built of the pipeline's tables on first use, or found at a place."""

import shutil
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from morphospace import files, schema, seals, tables
from morphospace.errors import InputError
from morphospace.imaging import kept, packs
from morphospace.search import database, store
from morphospace.search.database import Database
from morphospace.search.store import About


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
        When a table is missing or has a bad row, or `uri` holds the database of other tables, or a damaged one.
    """
    if uri and "://" not in uri:
        store.require_own(uri)
    if uri and not rebuild:
        _require_whole(uri)
    found = store.read(uri) if uri and not (rebuild and _damaged(uri)) else None
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
        return Database(place, _of_key(place, key) or _build(place, key, embeddings, with_crops, pictured))
    folder = Path(place)
    with files.alone(folder):
        ours = seals.sealed(folder) or (uri is None and any(folder.iterdir()))
        if ours and not seals.intact(folder):
            for path in folder.iterdir():  # tables and a seal, as is seen above
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        about = _of_key(place, key)
        if about is None:
            seals.remove(folder)  # a kill from here on leaves what was there before, which is whole
            about = _build(place, key, embeddings, with_crops, pictured)
            seals.seal(folder)
        return Database(place, about)


def _of_key(place: str, key: str) -> About | None:
    found = store.read(place)
    return found if found and found.key == key else None


def _damaged(place: str) -> str:
    """Return in what a database in a folder differs from its seal; nothing for one without, or in a bucket."""
    folder = Path(place)
    return seals.fault(folder) if "://" not in place and folder.is_dir() and seals.sealed(folder) else ""


def _require_whole(uri: str) -> None:
    if wrong := _damaged(uri):
        raise InputError(f"{uri} is not as it was written ({wrong}): replace it with --rebuild, or copy it once more")


def _build(place: str, key: str, embeddings: Path, crops: Path | None, crops_table: Path | None) -> About:
    """Write the database of a key to a place."""
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
        return database.build(place, key, joined, origin, give, step=lambda rows: progress.update(task, advance=rows))


def _pngs(crops: Path, rows: pd.DataFrame) -> list[bytes]:
    """Return the PNGs of some rows, each pack opened once."""
    found: dict[tuple[str, str], bytes] = {}
    for plate, of_plate in rows.groupby(schema.PLATE)[schema.CROP_FILE]:
        names = [str(n) for n in of_plate]
        content = packs.read(crops / f"{plate}.zip", names)
        found |= {(str(plate), n): c for n, c in zip(names, content, strict=True)}
    pairs = zip(rows[schema.PLATE].astype(str), rows[schema.CROP_FILE].astype(str), strict=True)
    return [found[pair] for pair in pairs]
