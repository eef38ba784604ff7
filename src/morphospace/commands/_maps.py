"""The maps of the page: cells, wells and treatments, each placed once by UMAP and kept in the scratch folder."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from morphospace import files, schema
from morphospace.serving.source import Level, Name

GROUPS: dict[Name, list[str]] = {
    "wells": [schema.PLATE, schema.WELL],
    "treatments": [schema.COMPOUND, schema.CONCENTRATION],
}
COUNT = "Cells"  # column with the number of cells of a group
_SEED = 2020  # of the maps, which nothing is measured on
_FEWEST = 5  # items on a map
_TYPICAL = 12  # cells shown of a group
Floats = NDArray[np.float32]


def levels(table: pd.DataFrame, console: Console) -> dict[Name, Level]:
    """Return the maps of cells, and of wells and treatments where there are enough of them.

    Parameters
    ----------
    table
        One row a cell: metadata, measurements, and the latent columns, all finite.
    console
        Where it says what takes long.
    """
    names = schema.latent_columns(table)
    latent = table[names].to_numpy(np.float32)
    of_well = _codes(table, GROUPS["wells"])
    single = [[row] for row in range(len(table))]
    made: dict[Name, Level] = {"cells": Level(table, place(latent, "cells", console), single, of_well)}
    for name, keys in GROUPS.items():
        codes = _codes(table, keys)
        if codes.max() + 1 >= _FEWEST:
            made[name] = _level(name, table, latent, codes, of_well, console)
    return made if "wells" in made else {n: _without_parents(level) for n, level in made.items()}


def place(latent: Floats, what: str, console: Console) -> Floats:
    """Return the place of each row of `latent` (n, z_dim) on a map (n, 2), from the scratch folder if it was made."""
    from importlib.metadata import version

    content = hashlib.sha256(np.ascontiguousarray(latent).tobytes()).hexdigest()
    key = files.fingerprint(content, latent.shape, _SEED, version("umap-learn"))
    path = files.scratch("page", key) / "map.npy"
    if not path.is_file():
        with console.status(f"placing {len(latent):,} {what} on a map, once for these embeddings (UMAP) …"):
            from morphospace.metrics import layout  # UMAP takes seconds to import: only where a map is to be made

            with files.replacing(path) as aside:
                np.save(aside, layout.layout(latent, _SEED), allow_pickle=False)
    placed: Floats = np.load(path, allow_pickle=False)
    return placed


def _level(
    name: Name,
    table: pd.DataFrame,
    latent: Floats,
    codes: NDArray[np.intp],
    of_well: NDArray[np.intp],
    console: Console,
) -> Level:
    """Return the map of groups: means of their cells, what their cells have in common, and their most typical cells."""
    rows = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    means = np.stack([latent[r].mean(axis=0) for r in rows])
    typical = [_nearest(r, latent[r] - mean) for r, mean in zip(rows, means, strict=True)]
    parents = np.array([of_well[r[0]] if name == "wells" else -1 for r in rows], dtype=np.intp)
    summary = pd.DataFrame({c: [common(table[c].iloc[r]) for r in rows] for c in schema.METADATA})
    summary[COUNT] = [len(r) for r in rows]
    numbers = table.drop(columns=[*schema.METADATA, schema.OBJECT]).select_dtypes("number").columns
    averages = table.groupby(codes)[list(numbers)].mean()
    together = pd.concat([summary, averages.reset_index(drop=True)], axis="columns")
    return Level(together, place(means, name, console), typical, parents)


def common(values: "pd.Series[Any]") -> Any:
    """Return the one value of a column, or its values, joined by commas in order; of numbers, the mean."""
    if pd.api.types.is_numeric_dtype(values):
        return float(values.mean())
    return ", ".join(sorted(set(values.dropna().astype(str))))


def _nearest(rows: NDArray[np.intp], away: Floats) -> Sequence[int]:
    order = np.argsort((away.astype(np.float64) ** 2).sum(axis=1), kind="stable")
    return [int(rows[i]) for i in order[:_TYPICAL]]


def _codes(table: pd.DataFrame, keys: list[str]) -> NDArray[np.intp]:
    codes: NDArray[np.intp] = table.groupby(keys, sort=True, dropna=False).ngroup().to_numpy(np.intp)
    return codes


def _without_parents(level: Level) -> Level:
    return Level(level.table, level.points, level.typical, np.full(len(level.table), -1, dtype=np.intp))
