"""Profiles of what costs no model, made as those of the embedding are: the floors that look at cells."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.errors import InputError
from morphospace.metrics import representations
from morphospace.metrics.beside import CELL_COUNT, MEAN_INTENSITY, PCA, RANDOM_PROJECTION
from morphospace.metrics.moa import SITES, TREATMENTS, WELLS, Features
from morphospace.metrics.similarity import Bytes
from morphospace.profiling import build
from morphospace.profiling.features import feature_columns

PIXELS = (MEAN_INTENSITY, RANDOM_PROJECTION, PCA)
_NAME = "Cells_Measured_"
_KEYS = {TREATMENTS: [schema.COMPOUND, schema.CONCENTRATION], WELLS: [schema.PLATE, schema.WELL]}
Rows = NDArray[np.intp]


def tables(profiles: build.Profiles) -> dict[str, pd.DataFrame]:
    """Return the tables of treatments, wells and sites; without sites the wells stand for them."""
    images = profiles.sites if len(profiles.sites) else profiles.wells
    return {TREATMENTS: profiles.treatments, WELLS: profiles.wells, SITES: images}


def features(of: Mapping[str, pd.DataFrame]) -> Features:
    """Return the features of the rows of each table."""
    return {name: table[feature_columns(table)].to_numpy(np.float64) for name, table in of.items()}


def cell_count(profiles: build.Profiles, settings: build.Settings) -> Features | str:
    """Return the number of cells as the only feature, each plate measured from its controls; or why there is none."""
    rows = tables(profiles)[SITES]
    if schema.OBJECT_COUNT not in rows:
        return "the profiles do not say how many cells they are made of"
    values = rows[[schema.OBJECT_COUNT]].to_numpy(np.float64)
    return profiled(rows, values, settings._replace(sphere="none", align="none"), profiles)


def floors(
    profiles: build.Profiles, settings: build.Settings, rows: pd.DataFrame, pixels: Mapping[str, NDArray[np.float64]]
) -> dict[str, Features | str]:
    """Return the features of each floor that looks at cells: their number, and what `pixels` has of `rows`."""
    made = {name: profiled(rows, values, settings, profiles) for name, values in pixels.items()}
    return {CELL_COUNT: cell_count(profiles, settings), **made}


def pixels(tiles: Bytes, width: int, train: Rows, pca_cells: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return mean intensity, random projection and PCA of the pixels of each cell, (N, k) by name.

    Parameters
    ----------
    tiles
        Tiles (N, C, H, W); may be a memory map.
    width
        Of the embedding: projection and PCA have as many numbers.
    train
        Rows that PCA is fitted on (at most `pca_cells` of them): those that the model was trained on.
    seed
        Of projection and PCA.
    """
    values: dict[str, NDArray[Any]] = {
        MEAN_INTENSITY: representations.intensities(tiles),
        RANDOM_PROJECTION: representations.projection(tiles, width, seed),
        PCA: representations.pca(tiles, width, pca_cells, seed)(train, np.arange(len(tiles)))[1],
    }
    return {name: x.astype(np.float64) for name, x in values.items()}


def profiled(
    rows: pd.DataFrame, values: NDArray[np.float64], settings: build.Settings, profiles: build.Profiles
) -> Features:
    """Return the features of profiles of other numbers of the same cells, made as those of the embedding.

    Parameters
    ----------
    rows
        Metadata of the cells, or sites, or wells.
    values
        Numbers of each, (n, k).
    settings
        How the profiles of the embedding were made.
    profiles
        Those of the embedding.

    Raises
    ------
    InputError
        When the cells give other rows than the profiles have.
    """
    made, mine = tables(build.build(table(rows, values), settings, "the floor")), tables(profiles)
    for name, found in made.items():
        key = _KEYS.get(name, [c for c in schema.IMAGE_SET_KEY if c in mine[name]])
        if _keys(found, key) != _keys(mine[name], key):
            raise InputError(
                f"the profiles have {len(mine[name])} {name} and the cells give {len(found)}, or others: both must be "
                "of the same run (`dvc repro profile`)"
            )
    return features(made)


def table(rows: pd.DataFrame, values: NDArray[np.float64]) -> pd.DataFrame:
    """Return metadata with numbers (n, k) as features."""
    names = [f"{_NAME}{i:04d}" for i in range(values.shape[1])]
    known = rows[[c for c in rows if c in (*schema.METADATA, schema.OBJECT)]]
    return pd.concat([known, pd.DataFrame(values, columns=names, index=rows.index)], axis="columns")


def _keys(table: pd.DataFrame, key: list[str]) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in table[key].to_numpy().tolist()]
