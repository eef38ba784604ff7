"""The maps of the page: cells, wells and treatments, each placed once by UMAP and kept in the scratch folder."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from morphospace import files, schema, seals
from morphospace.apps.serve.source import Level, Name
from morphospace.search import levels as keys
from morphospace.search import tags

KINDS: dict[Name, keys.Level] = {"cells": "cell", "wells": "well", "treatments": "treatment"}
COUNT = "Cells"  # column with the number of cells of a group
_SEED = 2020  # of the maps, which nothing is measured on
_FEWEST = 5  # items on a map
_TYPICAL = 12  # cells shown of a group
_TEXT = [c for c in schema.METADATA if c != schema.CONCENTRATION]
NOWHERE = -1
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
    latent = table[schema.latent_columns(table)].to_numpy(np.float32)
    of_well = codes(table, "well")
    single = [[row] for row in range(len(table))]
    named = {c: tags.key(c) for c in [*_TEXT, schema.SPLIT] if c in table.columns}
    made: dict[Name, Level] = {"cells": Level(table, place(latent, "cells", console), single, of_well, named)}
    for name in ("wells", "treatments"):
        of = codes(table, KINDS[name])
        if of.max() + 1 >= _FEWEST:
            made[name] = _group(name, table, latent, of, console)
    if "wells" not in made:  # nothing to lead to
        made = {n: replace(level, parents=np.full_like(level.parents, NOWHERE)) for n, level in made.items()}
    return made


def place(latent: Floats, what: str, console: Console) -> Floats:
    """Return the place of each row of `latent` (n, z_dim) on a map (n, 2), from the scratch folder if it was made."""

    def make(aside: Path) -> None:
        with console.status(f"placing {len(latent):,} {what} on a map, once for these embeddings (UMAP) …"):
            from morphospace.metrics import layout  # UMAP takes seconds to import: only where a map is to be made

            np.save(aside, layout.layout(latent, _SEED), allow_pickle=False)

    placed: Floats = np.load(seals.kept(kept(latent), make), allow_pickle=False)
    return placed


def kept(latent: Floats) -> Path:
    """Return where the map of these embeddings is kept: under a key of all that goes into it."""
    content = hashlib.sha256(np.ascontiguousarray(latent).tobytes()).hexdigest()
    key = files.fingerprint(content, latent.shape, _SEED, version("umap-learn"))
    return files.scratch("page", key) / "map.npy"


def _group(name: Name, table: pd.DataFrame, latent: Floats, of: NDArray[np.intp], console: Console) -> Level:
    """Return the map of groups: means of their cells, what their cells have in common, and their most typical cells."""
    rows = [np.flatnonzero(of == code) for code in range(of.max() + 1)]
    means = np.stack([latent[r].mean(axis=0) for r in rows])
    typical = [_nearest(r, latent[r] - mean) for r, mean in zip(rows, means, strict=True)]
    summary = pd.DataFrame({c: [common(table[c].iloc[r]) for r in rows] for c in schema.METADATA})
    summary[COUNT] = [len(r) for r in rows]
    measured = table.drop(columns=[*schema.METADATA, schema.OBJECT]).select_dtypes("number")
    averages = measured[of >= 0].groupby(of[of >= 0]).mean().reset_index(drop=True)
    whole = pd.concat([summary, averages], axis="columns")
    single = {c: tags.key(c) for c in _TEXT if table[c].groupby(of).nunique().max() <= 1}
    nowhere = np.full(len(rows), NOWHERE, dtype=np.intp)
    return Level(whole, place(means, name, console), typical, nowhere, single)


def codes(table: pd.DataFrame, kind: keys.Level) -> NDArray[np.intp]:
    """Return the number of each cell's well or treatment, in the order of their keys; -1 where a key is missing."""
    groups = table.groupby(keys.KEYS[kind], sort=True)
    return np.asarray(groups.ngroup().fillna(NOWHERE), dtype=np.intp)


def common(values: "pd.Series[Any]") -> Any:
    """Return the one value of a column; of several, the mean of numbers, or the texts in order with commas between."""
    known = values.dropna()
    if known.nunique() == 1:
        return known.iloc[0]
    if pd.api.types.is_numeric_dtype(values):
        return float(known.mean())
    return ", ".join(sorted(set(known.astype(str))))


def _nearest(rows: NDArray[np.intp], away: Floats) -> Sequence[int]:
    order = np.argsort((away.astype(np.float64) ** 2).sum(axis=1), kind="stable")
    return [int(rows[i]) for i in order[:_TYPICAL]]
