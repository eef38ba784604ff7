"""The contour of a mask: marching squares, a periodic cubic spline, points at equal steps (002-14)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import splev, splprep
from skimage import draw, measure

from morphospace.apps.shapes.masks import SMALL, Mask, RefusedError

Points = NDArray[np.float64]
_find_contours: Any = measure.find_contours  # no types
_polygon2mask: Any = draw.polygon2mask
_FINE = 8  # points of the spline for each vertex, along which its length is measured


def contour(mask: Mask, points: int, level: float = 0.5) -> Points:
    """Return `points` points (n, 2) at equal steps along the closed contour of a mask, rows and columns in px.

    The longest iso-line at `level` is interpolated by a periodic cubic spline. The reference takes level 0.8, which
    makes every object thinner by 0.6 px; at 0.5 the line runs midway between the pixels. The direction is fixed (the
    signed area is positive), so a shape and its mirror image differ. The first point is the vertex farthest from the
    centroid: it turns with the mask. The last point is not the first one again.

    Parameters
    ----------
    mask
        Boolean image (H, W), True inside; it is padded, so it may touch the border.
    points
        How many points.
    level
        Of the iso-line, between 0 and 1.

    Raises
    ------
    RefusedError
        When the mask is empty or its contour has fewer than 8 vertices.
    """
    lines = _find_contours(np.pad(mask, 1).astype(np.float64), level)
    line = max(lines, key=len, default=np.zeros((0, 2)))[:-1] - 1
    if len(line) < 8:
        raise RefusedError(SMALL, f"its contour has {len(line)} vertices, fewer than 8")
    if signed_area(line) < 0:
        line = line[::-1]
    distance = np.linalg.norm(line - centroid(line), axis=1)
    # Rounded, so that a mask and its quarter turns choose the same vertex of two equally far ones' numerical noise.
    line = np.roll(line, -int(np.argmax(distance.round(6))), axis=0)
    return _equidistant(line, points)


def _equidistant(line: Points, points: int) -> Points:
    """Return points at equal steps along the periodic cubic spline through the vertices of a line."""
    closed = np.vstack([line, line[:1]])
    spline: Any = splprep(closed.T, s=0, per=True)[0]
    fine = np.stack(splev(np.linspace(0, 1, _FINE * len(line) + 1), spline), axis=1)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))])
    steps = np.interp(np.arange(points) / points * length[-1], length, np.linspace(0, 1, len(fine)))
    return np.stack(splev(steps, spline), axis=1)


def signed_area(line: Points) -> float:
    """Return the area that a closed line (n, 2) surrounds, px²; its sign is the line's direction."""
    after = np.roll(line, -1, axis=0)
    return float(0.5 * np.sum(line[:, 0] * after[:, 1] - after[:, 0] * line[:, 1]))


def centroid(line: Points) -> Points:
    """Return the centre of the area (2,) that a closed line (n, 2) surrounds; of its points when there is no area."""
    after = np.roll(line, -1, axis=0)
    cross = line[:, 0] * after[:, 1] - after[:, 0] * line[:, 1]
    if abs(cross.sum()) < 1e-9:
        return np.asarray(line.mean(axis=0))
    return np.asarray(((line + after) * cross[:, None]).sum(axis=0) / (3 * cross.sum()))


def fill(line: Points, shape: tuple[int, int]) -> Mask:
    """Return the mask (H, W) whose pixels' centres lie inside a closed line (n, 2)."""
    return np.asarray(_polygon2mask(shape, line), dtype=np.bool_)
