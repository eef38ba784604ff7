"""The database on disk or in a bucket: LanceDB tables, a table a level, and one row that says that they are whole.

A database is written in tables whose names carry its key; the row of the table ``about`` that names the key is written
last, in one commit. A kill before that leaves what was there before, or nothing that is taken for a database; a reader
never sees half of one. The same holds in a folder and in a bucket, where nothing can be renamed.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from morphospace import files, seals
from morphospace.errors import InputError
from morphospace.search import levels

FORMAT = 1  # of the tables; another is built anew
ABOUT, VECTOR, CROP, NUMBER = "about", "vector", "crop", "row"
_ROWS = 2048  # a batch that is written
_TABLE = ".lance"  # end of the folder of a table
_OURS = re.compile(rf"{ABOUT}|({'|'.join(levels.LEVELS)})-[0-9a-f]{{16}}")
Crops = Callable[[pd.DataFrame], list[bytes]]
Step = Callable[[int], None]


class About(NamedTuple):
    """What a database says of itself.

    Attributes
    ----------
    format
        Of its tables.
    key
        Names the content that it was built from.
    model, weights
        Fingerprint of the model that made the embeddings, and the SHA-256 of its weights; empty when not known.
    z_dim
        Numbers a vector.
    rows
        How many cells, wells and treatments.
    crops
        Whether it holds the pictures of the cells.
    probes, recall
        Of the approximate index over the cells: how many of its parts a search looks into, and the share of the exact
        neighbours that it finds so, as measured; None when there is no index, and every search is exact.
    """

    format: int
    key: str
    model: str
    weights: str
    z_dim: int
    rows: dict[str, int]
    crops: bool
    probes: int | None
    recall: float | None


def read(uri: str) -> About | None:
    """Return what the database at a place says of itself, or None when there is no whole one of this format.

    Raises
    ------
    InputError
        When the place cannot be reached.
    """
    with explained(uri):
        database = connect(uri)
        if ABOUT not in names(database):
            return None
        said = json.loads(database.open_table(ABOUT).to_arrow()["text"][0].as_py())
    return About(**said) if said.get("format") == FORMAT and set(said) == set(About._fields) else None


def write_groups(uri: str, key: str, groups: Mapping[levels.Level, tuple[pd.DataFrame, levels.Floats]]) -> None:
    """Write the rows and the vectors of wells and of treatments, the small tables."""
    database = connect(uri)
    for level, (rows, vectors) in groups.items():
        database.create_table(name(level, key), _table(rows, vectors), mode="overwrite")


def write_cells(
    uri: str, key: str, table: pd.DataFrame, vectors: levels.Floats, crops: Crops | None, step: Step
) -> Any:
    """Write the table of the cells, a batch at a time, so that only a batch of crops is in memory; return it."""
    first = _table(table.iloc[:0], vectors[:0])
    schema = first.schema.append(pa.field(CROP, pa.large_binary())) if crops else first.schema

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(table), _ROWS):
            rows = table.iloc[start : start + _ROWS]
            part = _table(rows, vectors[start : start + _ROWS], start)
            if crops:
                part = part.append_column(schema.field(CROP), pa.array(crops(rows), pa.large_binary()))
            yield from part.cast(schema).combine_chunks().to_batches()
            step(len(rows))

    return connect(uri).create_table(name("cell", key), batches(), schema=schema, mode="overwrite")


def finish(uri: str, about: About) -> None:
    """Say that the tables of a key are whole, in one commit, and drop those of other keys."""
    database = connect(uri)
    row = pa.table({"text": [json.dumps(about._asdict(), sort_keys=True)]})
    database.create_table(ABOUT, row, mode="overwrite")
    mine = {ABOUT, *(name(level, about.key) for level in levels.LEVELS)}
    for old in set(names(database)) - mine:
        if _OURS.fullmatch(old):
            database.drop_table(old)


def require_own(uri: str) -> None:
    """Refuse a folder that holds anything but the tables of a database, whole or cut off.

    Raises
    ------
    InputError
        Naming the first other thing.
    """
    folder = Path(uri)
    if folder.is_file():
        raise InputError(f"{uri} is a file, and a database is a folder; name another --database")
    names = sorted({path.name for path in folder.iterdir()} - {seals.SUFFIX}) if folder.is_dir() else []
    if foreign := [n for n in names if not n.endswith(_TABLE) or not _OURS.fullmatch(n.removesuffix(_TABLE))]:
        raise InputError(f"{uri} holds something else than a database (first: {foreign[0]}); name another --database")


def columns(table: Any, wanted: Sequence[str]) -> pa.Table:
    """Return some columns of all rows, in their order."""
    return table.search().select(list(wanted)).to_arrow()


def frame(table: Any) -> pd.DataFrame:
    """Return the metadata of all rows: neither vectors nor crops."""
    found: pd.DataFrame = columns(table, [c for c in table.schema.names if c not in (VECTOR, CROP, NUMBER)]).to_pandas()
    return found


def array(table: Any) -> levels.Floats:
    """Return the vectors (n, d) of all rows."""
    column = columns(table, [VECTOR])[VECTOR].combine_chunks()
    width = column.type.list_size
    return np.asarray(column.flatten().to_numpy(), dtype=np.float32).reshape(-1, width)


def connect(uri: str) -> Any:
    """Return a connection to a folder, or to a bucket (``s3://…``) with the keys that boto3 would take."""
    os.environ.setdefault("LANCEDB_LOG", "error")  # it would say of every new table that there was none
    import lancedb

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    options = {"aws_endpoint": endpoint, "allow_http": str(endpoint.startswith("http://")).lower()}
    return lancedb.connect(uri, storage_options=options if uri.startswith("s3://") and endpoint else None)


def names(database: Any) -> list[str]:
    """Return the names of all tables."""
    found, token = [], None
    while True:
        page = database.list_tables(page_token=token)
        found += page.tables
        token = page.page_token
        if not token:
            return found


def name(level: levels.Level, key: str) -> str:
    """Return the name of the table of a level."""
    return f"{level}-{key}"


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turn what LanceDB raises about a place into one line."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        if refused := files.disk_error(error, Path(uri)):
            raise refused from None
        said = " ".join(str(error).split())[:300]
        raise InputError(f"{uri} cannot be used as a database: {said}; name another --database, or delete it") from None


def _table(rows: pd.DataFrame, vectors: levels.Floats, start: int = 0) -> pa.Table:
    flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).ravel())
    columns = {str(c): _column(rows[c]) for c in rows.columns}
    columns[NUMBER] = pa.array(np.arange(start, start + len(rows)))
    return pa.table(columns | {VECTOR: pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])})


def _column(values: "pd.Series[Any]") -> pa.Array:
    """Return a column without nulls, which a filter would leave out on both sides: NaN or an empty text instead."""
    if pd.api.types.is_numeric_dtype(values):
        return pa.array(values.to_numpy(dtype=np.float64 if values.isna().any() else None, na_value=np.nan))
    if len(values) and isinstance(values.iloc[0], list):
        return pa.array(values.to_list(), pa.list_(pa.string()))
    return pa.array(["" if v is None else v for v in levels.text(values)], pa.string())
