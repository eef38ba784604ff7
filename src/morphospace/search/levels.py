"""Cells, wells and treatments: what a row of each is called, and the mean of its embeddings."""

from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.errors import InputError

Level = Literal["cell", "well", "treatment"]
LEVELS: tuple[Level, ...] = get_args(Level)
KEYS: dict[Level, list[str]] = {
    "cell": schema.OBJECT_KEY,
    "well": [schema.PLATE, schema.WELL],
    "treatment": [schema.COMPOUND, schema.CONCENTRATION],
}
ID = "Id"  # plate/well/site/object, plate/well, or compound/concentration
CELLS = schema.OBJECT_COUNT  # of a well or treatment
_LARGEST = 1e15  # its square is still a number of 32 bits
Floats = NDArray[np.float32]


def text(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return values as a person writes them: 3.0 as ``3``, 0.1 as ``0.1``, text as it is; none for a missing one."""
    form = "{:.15g}".format if pd.api.types.is_float_dtype(column) else str
    codes, values = pd.factorize(column)  # a plate's name is turned to text once, not once a cell
    said = np.array([*(form(v) or None for v in values), None], dtype=object)
    return pd.Series(said[codes], index=column.index, dtype=object)


def ids(table: pd.DataFrame, level: Level) -> list[str]:
    """Return the name of each row: the parts of its key with ``/`` between."""
    parts = [text(table[c]).fillna("") for c in KEYS[level]]
    return ["/".join(row) for row in zip(*parts, strict=True)]


def vectors(table: pd.DataFrame, name: str) -> Floats:
    """Return the latent columns (n, d).

    Raises
    ------
    InputError
        When there is no row or no such column, or a value is not finite: its row and column are named.
    """
    columns = schema.latent_columns(table)
    if not columns or not len(table):
        raise InputError(f"{name} holds no embedding: it needs rows, and columns {schema.LATENT_PREFIX}000 and on")
    found = table[columns].to_numpy(dtype=np.float64)
    bad = np.argwhere(~(np.abs(found) < _LARGEST))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        which = ", ".join(f"{k} {table[k].iloc[row]}" for k in schema.OBJECT_KEY if k in table.columns)
        raise InputError(
            f"{name}, row {row} ({which}): {columns[column]} is {table[columns[column]].iloc[row]}, and a distance "
            f"needs finite numbers below {_LARGEST:g}; embed again, or leave the row out"
        )
    return found.astype(np.float32)


def grouped(table: pd.DataFrame, cells: Floats, level: Level) -> tuple[pd.DataFrame, Floats]:
    """Return the rows of a level, sorted, and the means (g, d) of the embeddings of their cells.

    Parameters
    ----------
    table
        A row a cell, without the latent columns.
    cells
        Their embeddings (n, d).
    level
        ``well`` or ``treatment``; a cell whose key is missing there is left out.

    Returns
    -------
    tuple
        The table has the key, how many cells there are, and for every other column the sorted list of the values that
        the cells have: a well or treatment has all tags of its cells. The means are taken in 64 bits.
    """
    key = KEYS[level]
    known = np.flatnonzero(table[key].notna().all(axis="columns"))
    some = table.iloc[known]
    groups = some.groupby(key, sort=True)
    rows = groups.size().rename(CELLS).reset_index()
    code = groups.ngroup().to_numpy()
    for name in [c for c in table.columns if c not in {*key, schema.OBJECT, schema.CROP_FILE}]:
        pairs = pd.DataFrame({"code": code, "value": text(some[name]).to_numpy()}).dropna().drop_duplicates()
        lists = pairs.sort_values(["code", "value"]).groupby("code")["value"].agg(list)
        rows[name] = [lists.get(i, []) for i in range(len(rows))]
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))
    sums = (
        np.add.reduceat(cells[known][order].astype(np.float64), starts) if len(order) else np.zeros((0, cells.shape[1]))
    )
    return rows, (sums / rows[[CELLS]].to_numpy()).astype(np.float32)
