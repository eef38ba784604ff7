"""The linear floor of a shape autoencoder: principal components of the distance matrices."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

Floats = NDArray[np.float32]


class Linear(NamedTuple):
    """Components (k, n²) of distance matrices, around their mean."""

    fitted: PCA

    def embed(self, matrices: Floats) -> tuple[Floats, Floats]:
        """Return the coordinates (N, k) of matrices (N, n, n), and their reconstructions (N, n, n)."""
        z = self.fitted.transform(matrices.reshape(len(matrices), -1))
        drawn = self.fitted.inverse_transform(z).reshape(matrices.shape)
        return z.astype(np.float32), drawn.astype(np.float32)


def fit(matrices: Floats, rows: NDArray[np.intp], k: int, seed: int) -> Linear:
    """Return the k principal components of some rows of matrices (N, n, n), fewer where there are not as many rows.

    They see a matrix from its first point as `contour` chose it, the vertex farthest from the centroid.
    """
    flat = matrices[rows].reshape(len(rows), -1)
    return Linear(PCA(min(k, *flat.shape), svd_solver="randomized", random_state=seed).fit(flat))
