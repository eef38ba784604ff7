"""Exact nearest neighbours in memory: one pass in 32 bits proposes, 64 bits decide.

A pass over all vectors is bound by memory, so it is made in 32 bits. Every row that rounding could have kept from the
nearest is measured again in 64 bits: the neighbours and their order are those of the 64-bit distances.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Metric = Literal["cosine", "l2"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Floats = NDArray[np.float32]
_SHORT = 1e-15  # a vector of zeros, for this purpose
Found = tuple[NDArray[np.intp], NDArray[np.float64]]


class Exact:
    """Vectors (n, d) that are searched in full."""

    def __init__(self, vectors: Floats) -> None:
        self.vectors = np.ascontiguousarray(vectors)
        squares = np.einsum("nd,nd->n", self.vectors, self.vectors, dtype=np.float64)
        self._squares: Floats = squares.astype(np.float32)
        self._inverse: Floats = _inverse(np.sqrt(squares)).astype(np.float32)
        self._longest = float(np.sqrt(squares.max(initial=0)))

    def nearest(
        self, query: NDArray[np.floating], metric: Metric, top: int, mask: NDArray[np.bool_] | None = None
    ) -> Found:
        """Return the rows nearest to a query (d,), the nearest first, and their distances.

        Parameters
        ----------
        query
            A vector.
        metric
            ``cosine``: 1 less the cosine of the angle, from 0 to 2; ``l2``: the Euclidean distance.
        top
            How many, at most.
        mask
            Which rows (n,) are searched; all without it.

        Returns
        -------
        tuple
            Rows and distances, each as long as `top` or as there are rows; of equal distances, the first row first.
        """
        rough, error = self._rough(query.astype(np.float32), metric)
        if mask is not None:
            rough[~mask] = np.inf
        top = min(top, len(rough) if mask is None else int(mask.sum()))
        if top == 0:
            return np.zeros(0, dtype=np.intp), np.zeros(0)
        last = np.partition(rough, top - 1)[top - 1]
        rows = np.flatnonzero(rough <= last + 2 * error)
        distances = distance(self.vectors[rows], query, metric)
        order = np.lexsort((rows, distances))[:top]
        return rows[order], distances[order]

    def _rough(self, query: Floats, metric: Metric) -> tuple[Floats, float]:
        """Return what orders the rows, in 32 bits, and a bound on its error."""
        unit = (self.vectors.shape[1] + 8) * float(np.finfo(np.float32).eps)
        product = self.vectors @ query
        length = float(np.linalg.norm(query))
        if metric == "cosine":
            product *= self._inverse * -_inverse(np.float32(length))
            return product, unit
        product *= np.float32(-2)
        product += self._squares
        return product, unit * (self._longest + length) ** 2


def distance(vectors: Floats, query: NDArray[np.floating], metric: Metric) -> NDArray[np.float64]:
    """Return the distances (n,) of vectors (n, d) from a query (d,) in 64 bits."""
    rows, asked = vectors.astype(np.float64), query.astype(np.float64)
    if metric == "l2":
        return np.asarray(np.linalg.norm(rows - asked, axis=1), dtype=np.float64)
    cosine = (rows @ asked) * _inverse(np.linalg.norm(rows, axis=1)) * _inverse(np.linalg.norm(asked))
    return np.asarray(1 - np.clip(cosine, -1, 1), dtype=np.float64)


def _inverse(norms: Any) -> Any:
    """Return 1 over the lengths of vectors; one that is too short to have a direction has 0: its cosine is 0."""
    return np.divide(1, norms, out=np.zeros_like(norms), where=np.asarray(norms) > _SHORT)
