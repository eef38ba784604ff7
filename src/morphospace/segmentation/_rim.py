# mypy: allow-untyped-calls
"""Whether the threshold of cells cuts their rims or lies in the background: which of the two thresholds to take."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from morphospace.errors import InputError
from morphospace.segmentation import native
from morphospace.segmentation._engine import Settings

RING = 2  # px beyond the outline
BRIGHT = 0.2  # of a cell's own brightness: a ring that is brighter belongs to the cell
FAR = 15  # px from everything above the threshold: background
LEAST = 10  # px of a ring that say something


MOST = 0.5  # share of cells with a bright ring above which the threshold is at fault
FLOOD = 3.0  # times the foreground without the logarithm, above which the logarithm is at fault
FEWEST = 20  # cells that advice needs


def advice(rings: NDArray[np.float64], flooded: Sequence[bool], settings: Settings) -> str:
    """Return one line that says to take the other threshold of the cells, or nothing where this one seems right.

    Parameters
    ----------
    rings
        From `brightness`, of the cells of some fields.
    flooded
        From `floods`, of some fields.
    settings
        Of the segmentation.
    """
    if settings.log_transform:
        if not any(flooded):
            return ""
        return (
            f"in {sum(flooded)} of the {len(flooded)} fields with the fewest cells, the logarithm puts the threshold "
            f"of cells into the background: more than {FLOOD:g} times as many pixels are above it as without; consider "
            "segment.log_transform: false (docs/segmentation.md)"
        )
    cut = float(np.mean(rings > BRIGHT)) if len(rings) else 0.0
    if len(rings) < FEWEST or cut <= MOST:
        return ""
    return (
        f"the rim of {cut:.0%} of {len(rings)} cells looked at is cut: just outside of their outlines the stain has "
        f"more than {BRIGHT:.0%} of their brightness; consider segment.log_transform: true (docs/segmentation.md)"
    )


def floods(stain: NDArray[np.float32], settings: Settings) -> bool:
    """Whether, on a corrected cell stain (H, W), the logarithm finds more than three times the foreground.

    In a field with few cells, its three classes can be two of the background's noise and one of all cells.
    """
    try:
        log, plain = (
            float(native.cell_foreground(stain, replace(settings, log_transform=on)).mean()) for on in (True, False)
        )
    except InputError:  # one of the two has no threshold to compare
        return False
    return log > FLOOD * plain


def brightness(stain: NDArray[np.float32], cells: NDArray[Any], settings: Settings) -> NDArray[np.float64]:
    """Return for each cell how bright the ring of 2 px round it is, as a share of the cell's own brightness.

    Both are medians less that of the background, which is what lies more than 15 px from everything above the
    threshold. Pixels above it are of other cells, and no part of a ring. A cell with less than 10 px of ring, or darker
    than the background, is left out, and so is a field without background. 0 is an outline where the cell ends.

    Parameters
    ----------
    stain
        Illumination-corrected cell stain (H, W), 0 to 1.
    cells
        Label image (H, W) of the native engine or CellProfiler with these settings.
    settings
        Of the segmentation.
    """
    below = ~native.cell_foreground(stain, settings)
    far = ndimage.distance_transform_edt(below) > FAR if not below.all() else below
    distance, nearest = ndimage.distance_transform_edt(cells == 0, return_indices=True)
    ring = np.where((distance > 0) & (distance <= RING) & below, cells[tuple(nearest)], 0)
    numbers = np.flatnonzero(np.bincount(ring.ravel(), minlength=2)[1:] >= LEAST) + 1
    if not (len(numbers) and far.any()):
        return np.zeros(0)
    background = np.median(stain[far])
    inside, rim = (np.asarray(ndimage.median(stain, labels, numbers)) - background for labels in (cells, ring))
    return np.asarray(rim[inside > 0] / inside[inside > 0], np.float64)
