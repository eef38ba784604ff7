"""Numbers of a cell that a classifier may look at: an embedding, and the floors it must beat, which cost no model.

A representation is a function of the rows that train and the rows that are held out. It may learn from the former
alone: PCA fitted on all cells has seen the cells it is scored on.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphospace.errors import InputError
from morphospace.metrics import floors
from morphospace.metrics.similarity import blocks

Floats = NDArray[np.floating[Any]]
Rows = NDArray[np.intp]
Representation = Callable[[Rows, Rows], tuple[Floats, Floats]]
_BLOCK = 256  # tiles in memory as floats
_PROJECTION, _PCA = 1, 2  # streams of random numbers


def fixed(features: Floats) -> Representation:
    """Return the representation by features (N, k) that learned nothing from these labels.

    Raises
    ------
    InputError
        When they are not a table, or one is not finite.
    """
    if features.ndim != 2 or not features.shape[1]:
        raise InputError(f"features are (cells, numbers), not {features.shape}")
    wrong: NDArray[np.bool_] = ~np.all(np.isfinite(features), axis=1)
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {len(wrong)} rows have a feature that is NaN or infinite (row "
            f"{int(np.flatnonzero(wrong)[0])} is the first); drop these rows or these features"
        )
    return lambda train, test: (features[train], features[test])


def intensities(tiles: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of each channel over each whole tile (N, C): how bright and, if masked, how large a cell is."""
    parts = [np.asarray(tiles[b]).mean(axis=(2, 3), dtype=np.float64) for b in blocks(np.arange(len(tiles)), _BLOCK)]
    return np.concatenate(parts)


def inside(tiles: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of each channel over the pixels of each tile where any channel is above 0 (N, C); else 0.

    Masked tiles are 0 outside the cell, so this is how bright a cell is, whatever its size.
    """
    found = np.zeros(tiles.shape[:2])
    for start, block in zip(range(0, len(tiles), _BLOCK), blocks(np.arange(len(tiles)), _BLOCK), strict=True):
        part = np.asarray(tiles[block])
        shown = np.maximum((part > 0).any(axis=1).sum(axis=(1, 2)), 1)
        found[start : start + len(block)] = part.sum(axis=(2, 3), dtype=np.float64) / shown[:, None]
    return found


def projection(tiles: NDArray[Any], k: int, seed: int) -> NDArray[np.float32]:
    """Return k random linear combinations of the pixels of each tile (N, k), Gaussian weights of variance 1/d."""
    d = int(np.prod(tiles.shape[1:]))
    weights = np.random.default_rng([seed, _PROJECTION]).standard_normal((d, k), dtype=np.float32) / np.float32(
        np.sqrt(d)
    )
    return _project(tiles, np.arange(len(tiles)), np.zeros(d, np.float32), weights)


def pca(tiles: NDArray[Any], k: int, cells: int, seed: int) -> Representation:
    """Return the representation by k principal components of the pixels, fitted on the training rows of each fold.

    Parameters
    ----------
    tiles
        All tiles (N, C, H, W); may be a memory map.
    k
        How many components; fewer where there are not as many training cells or pixels.
    cells
        Training cells to fit on, at most, drawn at random.
    seed
        Of that draw and of the first guess: the same in every fold.
    """

    def fit_and_project(train: Rows, test: Rows) -> tuple[Floats, Floats]:
        rng = np.random.default_rng([seed, _PCA])
        some = np.sort(rng.choice(train, min(cells, len(train)), replace=False))
        found = floors.pca(tiles, some, k, rng)
        project = partial(_project, tiles, mean=found.mean, components=found.components)
        return project(train), project(test)

    return fit_and_project


def _project(tiles: NDArray[Any], rows: Rows, mean: Floats, components: Floats) -> NDArray[np.float32]:
    """Coordinates (n, k) of tiles, grey values over 255 as in `floors`, in blocks."""
    out = np.empty((len(rows), components.shape[1]), dtype=np.float32)
    for start, block in zip(range(0, len(rows), _BLOCK), blocks(rows, _BLOCK), strict=True):
        flat = np.asarray(tiles[block]).reshape(len(block), -1).astype(np.float32) * np.float32(1 / 255)
        out[start : start + len(block)] = (flat - mean) @ components
    return out
