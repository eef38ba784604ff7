"""Crops: the box of a cell set in the middle of a square tile, nothing resampled (000-06, 000-10).

The thesis never tested the height, and cut tall cells silently; here a cell that is larger than the tile in either
direction is dropped, and counted.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace.errors import InputError
from morphospace.schema import KEPT

TOO_LARGE = "too_large"  # higher or wider than the tile
EMPTY = "empty"  # an object without a pixel
AREA = "Cells_AreaShape_Area"
BOX = [  # top, left, bottom, right; the last two are exclusive
    "Cells_AreaShape_BoundingBoxMinimum_Y",
    "Cells_AreaShape_BoundingBoxMinimum_X",
    "Cells_AreaShape_BoundingBoxMaximum_Y",
    "Cells_AreaShape_BoundingBoxMaximum_X",
]


def boxes(objects: pd.DataFrame) -> NDArray[np.int64]:
    """Return the boxes (N, 4) of a table of objects, px: top, left, and exclusive bottom, right; zeros for no box."""
    return objects[BOX].fillna(0).round().to_numpy(dtype=np.int64)


def sides(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the heights and widths (N, 2) of boxes (N, 4), px."""
    return boxes[:, 2:] - boxes[:, :2]


def statuses(boxes: NDArray[np.int64], size: int) -> NDArray[np.object_]:
    """Return for each of N boxes whether its cell is kept in a tile of side `size` px, ``too_large`` or ``empty``."""
    extent = sides(boxes)
    status = np.full(len(boxes), KEPT, dtype=object)
    status[(extent > size).any(axis=1)] = TOO_LARGE
    status[(extent <= 0).any(axis=1)] = EMPTY
    return status


def window(box: NDArray[np.int64]) -> tuple[slice, slice]:
    """Return the rows and columns of a box."""
    top, left, bottom, right = (int(v) for v in box)
    return slice(top, bottom), slice(left, right)


def inside(labels: NDArray[np.integer[Any]], number: int, box: NDArray[np.int64], area: float) -> NDArray[np.bool_]:
    """Return which pixels of its box belong to a cell, without looking at the rest of the field.

    Parameters
    ----------
    labels
        Label image (H, W) of the cells.
    number
        The cell's label.
    box
        Its box, px.
    area
        Its area in the table, px, that the label image must confirm.

    Raises
    ------
    InputError
        When the box lies outside the field, or holds another number of the cell's pixels than `area`.
    """
    mask: NDArray[np.bool_] = labels[window(box)] == number
    if min(box[:2]) < 0 or mask.shape != tuple(box[2:] - box[:2]) or np.count_nonzero(mask) != round(area):
        raise InputError(
            f"cell {number} has {np.count_nonzero(mask)} px in its box, the table says {area:g} px; "
            "the label image and the table are of different runs"
        )
    return mask


def centre(cut: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return a cut (C, h, w) in the middle of a tile (C, size, size) of zeros, moved by whole pixels.

    Where the difference of the sides is odd, the pixel that is left over lies below, or at the right.
    """
    _, height, width = cut.shape
    top, left = (size - height) // 2, (size - width) // 2
    tile = np.zeros((len(cut), size, size), dtype=np.uint8)
    tile[:, top : top + height, left : left + width] = cut
    return tile
