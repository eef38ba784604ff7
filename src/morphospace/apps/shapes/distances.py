"""Distance matrices: what of a contour neither a shift nor a turn changes (002-14), and back by scaling (002-17)."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.manifold import smacof

from morphospace.apps.shapes.contour import Points, signed_area

Matrix = NDArray[np.floating[Any]]
Scale = Literal["window", "frobenius"]


def distances(line: Points) -> NDArray[np.float64]:
    """Return the Euclidean distances (n, n), px, between the points (n, 2) of a contour."""
    return np.asarray(cdist(line, line), dtype=np.float64)


def unit(matrix: Matrix, scale: Scale, window: float) -> float:
    """Return the px that become 1 in a distance matrix.

    `window` divides every shape by the same px, so that size stays part of the shape. `frobenius` divides each by
    its own Frobenius norm / n, the root mean square of its distances, so that size is gone.
    """
    return window if scale == "window" else float(np.sqrt(np.mean(np.square(matrix))))


def reindex(matrix: Matrix, shift: int, reverse: bool = False) -> Matrix:
    """Return the matrix of the same contour from another first point, or the other way round (002-16)."""
    turned = matrix[::-1, ::-1] if reverse else matrix
    return np.roll(turned, (shift, shift), axis=(0, 1))


def repaired(matrix: Matrix) -> NDArray[np.float64]:
    """Return the nearest matrix that is symmetric, then without negative values and with a diagonal of 0.

    The reference takes the larger of d_ij and d_ji; the mean is nearer to both.
    """
    fair = np.clip((matrix + matrix.T) / 2, 0, None).astype(np.float64)
    np.fill_diagonal(fair, 0)
    return fair


def to_contour(matrix: Matrix, steps: int = 300) -> Points:
    """Return the points (n, 2) in the plane whose distances are nearest to a matrix, around 0.

    Classical scaling gives the start, exact when the matrix is that of points in a plane; SMACOF then lowers the sum
    of squared errors. The contour's place and angle are lost. Its direction is not: a mirror image has the negative
    area, so the points come with a positive one.

    Parameters
    ----------
    matrix
        Distances (n, n); repaired before use when they are a network's.
    steps
        Of SMACOF, at most.
    """
    fair = repaired(matrix)
    start = _classical(fair)
    found = smacof(fair, n_components=2, init=start, n_init=1, max_iter=steps, eps=1e-6, normalized_stress=False)
    line = np.asarray(found[0]) - np.mean(found[0], axis=0)
    return np.asarray(line if signed_area(line) >= 0 else line * (1.0, -1.0))


def _classical(matrix: NDArray[np.float64]) -> Points:
    """Return the two leading coordinates of classical scaling (Torgerson 1952)."""
    squares = matrix**2
    means = squares.mean(axis=0)
    values, vectors = np.linalg.eigh(-0.5 * (squares - means - means[:, None] + squares.mean()))
    return np.asarray(vectors[:, :-3:-1] * np.sqrt(np.clip(values[:-3:-1], 0, None)))


def aligned(line: Points, target: Points) -> Points:
    """Return a contour shifted and turned onto another of as many points, neither scaled nor mirrored (Kabsch 1976)."""
    centre = target.mean(axis=0)
    moved = line - line.mean(axis=0)
    left, _, right = np.linalg.svd(moved.T @ (target - centre))
    left[:, -1] *= np.sign(np.linalg.det(left @ right))
    return np.asarray(moved @ (left @ right) + centre)


def matched(line: Points, target: Points) -> tuple[Points, NDArray[np.intp]]:
    """Return a contour laid onto another, of any first point and mirrored if that is nearer, and its order of points.

    The order is such that ``line[order]``, laid, is point by point the target's partner.
    """
    n = len(line)
    best, found, order = np.inf, line, np.arange(n)
    for candidate, index in ((line, np.arange(n)), (line * (1.0, -1.0), np.arange(n)[::-1])):
        for shift in range(n):
            laid = aligned(candidate[np.roll(index, shift)], target)
            error = float(np.square(laid - target).sum())
            if error < best:
                best, found, order = error, laid, np.roll(index, shift)
    return found, order
