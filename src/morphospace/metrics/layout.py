"""A map of an embedding for people to look at: UMAP (McInnes et al. 2018). Nothing is scored on it."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphospace.errors import InputError

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "Tensorflow not installed", ImportWarning)  # only its parametric kind needs it
    from umap import UMAP

HIDDEN = -1  # the code of a cell whose class the map must not know
FEWEST = 5  # cells


def layout(
    features: NDArray[np.floating[Any]],
    seed: int,
    neighbours: int = 15,
    min_dist: float = 0.1,
    labels: NDArray[np.intp] | None = None,
) -> NDArray[np.float32]:
    """Return the place of each cell on a map (n, 2), the same for the same seed (002-13, 002-18).

    Axes, sizes and distances between clusters mean nothing; only who is whose neighbour does.

    Parameters
    ----------
    features
        Finite numbers (n, k), compared by Euclidean distance as they are.
    seed
        With one thread it fixes the map.
    neighbours, min_dist
        Of UMAP; the neighbours are at most n - 1.
    labels
        Codes of classes (n,) that the map may use, `HIDDEN` where it may not. It pulls classes apart whether or not
        the embedding does: only the hidden cells tell anything.

    Raises
    ------
    InputError
        When there are too few cells for a map.
    """
    if len(features) < FEWEST:
        raise InputError(f"a map needs {FEWEST} cells or more, there are {len(features)}")
    made = UMAP(
        n_neighbors=min(neighbours, len(features) - 1),
        min_dist=min_dist,
        init="pca",
        random_state=seed,
        n_jobs=1,
        target_metric="categorical",
    )
    placed: NDArray[np.float32] = made.fit_transform(features.astype(np.float32), labels).astype(np.float32)
    return placed
