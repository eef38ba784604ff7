"""Tiles of a fixed size round the middle of each nucleus (004-07), in place of tiles round the box of each cell.

The prior work found nuclei by Otsu's threshold; here they are those of the segmentation, each with the number of its
cell. A window that does not lie in the field whole is dropped and counted, as there; nothing is too large.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from morphospace.imaging import crops
from morphospace.schema import KEPT

NEAR_EDGE = "near_edge"  # a window that would reach out of the field
CENTRE = ["Nuclei_AreaShape_Center_Y", "Nuclei_AreaShape_Center_X"]  # px, as CellProfiler names them


class Windows(NamedTuple):
    """What is to be cut from an image set with N cells.

    Attributes
    ----------
    centres
        Of the nuclei (N, 2), px: row, column; NaN for a cell without a nucleus.
    boxes
        Of the windows (N, 4), px: top, left, and exclusive bottom, right; zeros where there is none.
    areas
        How many pixels of each window are shown (N,): its cell's, or all.
    statuses
        ``kept``, ``near_edge``, or ``empty`` for a cell without a nucleus (N,).
    """

    centres: NDArray[np.float64]
    boxes: NDArray[np.int64]
    areas: NDArray[np.float64]
    statuses: NDArray[np.object_]


def windows(
    cells: NDArray[np.integer[Any]], nuclei: NDArray[np.integer[Any]], numbers: NDArray[np.int64], size: int, mask: bool
) -> Windows:
    """Return the windows of `size` px round the nuclei of some cells.

    The window of a nucleus with its centroid at row y goes from ``floor(y + 0.5) - size // 2``: the pixel in which the
    centroid lies is the first of its lower half.

    Parameters
    ----------
    cells, nuclei
        Label images (H, W); a nucleus has the number of its cell.
    numbers
        Of the cells (N,).
    size
        Side of a window, px.
    mask
        Whether a window shows its cell alone.
    """
    there = ndimage.sum_labels(nuclei > 0, nuclei, numbers) > 0
    centres = np.full((len(numbers), 2), np.nan)
    if there.any():
        centres[there] = ndimage.center_of_mass(nuclei > 0, nuclei, numbers[there])
    middle = np.floor(np.nan_to_num(centres) + 0.5).astype(np.int64) - size // 2
    boxes = np.concatenate([middle, middle + size], axis=1) * there[:, None]
    reaches_out = (boxes[:, :2] < 0).any(axis=1) | (boxes[:, 2:] > cells.shape).any(axis=1)
    statuses = np.full(len(numbers), KEPT, dtype=object)
    statuses[reaches_out] = NEAR_EDGE
    statuses[~there] = crops.EMPTY
    areas = np.full(len(numbers), float(size * size))
    if mask:
        areas = np.array([np.count_nonzero(cells[crops.window(b)] == n) for b, n in zip(boxes, numbers, strict=True)])
    return Windows(centres, boxes, areas.astype(np.float64), statuses)


def add(table: pd.DataFrame, found: Windows) -> pd.DataFrame:
    """Return the table of cells with the centres of their nuclei."""
    return table.assign(**dict(zip(CENTRE, found.centres.T, strict=True)))
