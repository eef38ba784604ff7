"""Signs that the segmentation of a field means nothing: outlines that the stains do not have.

A stain is brighter inside an outline than beyond it, or the outline is not in the image: cells that grew over
background are wedges between their nuclei, nuclei found in noise are specks. Limits and rates: docs/segmentation.md.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Labels = NDArray[np.integer[Any]]

NO_CELL_EDGE = "cells without an edge"
NO_NUCLEUS_EDGE = "nuclei without an edge"
NO_CYTOPLASM = "cells end at their nuclei"
DOUBTS = (NO_CELL_EDGE, NO_NUCLEUS_EDGE, NO_CYTOPLASM)

LEAST_CELL_EDGE, LEAST_NUCLEUS_EDGE = 0.15, 0.5  # contrasts below which an outline is not in the image
MOST_BARE = 0.5  # share of cells without cytoplasm
_BARE = 1.15  # times its nucleus that a cell must have in area to have cytoplasm
# Widths of what is compared and, round nuclei, of the blur that is left out, as shares of a nucleus's radius.
_BAND, _GAP = 0.3, 0.15


class Signs(NamedTuple):
    """What was measured of a field; NaN where it has no cell or no outline to measure at.

    Attributes
    ----------
    cells
        How many.
    cell_to_nucleus
        Median over cells of their area over that of their nucleus.
    covered
        Share of the field inside cells.
    bare
        Share of cells that are hardly larger than their nucleus.
    cell_edge, nucleus_edge
        Contrast of each stain across the outlines, from -1 to 1: (inside - outside) / (inside + outside) over the first
        percentile of the field; of cells only where they face what is no cell.
    """

    cells: int
    cell_to_nucleus: float
    covered: float
    bare: float
    cell_edge: float
    nucleus_edge: float

    @property
    def doubts(self) -> list[str]:
        """What makes the segmentation doubtful, of `DOUBTS`."""
        found = (
            self.cell_edge < LEAST_CELL_EDGE,
            self.nucleus_edge < LEAST_NUCLEUS_EDGE,
            self.bare > MOST_BARE,
        )
        return [doubt for doubt, true in zip(DOUBTS, found, strict=True) if true]


def examine(nuclei: Labels, cells: Labels, nuclear_stain: NDArray[Any], cell_stain: NDArray[Any]) -> Signs:
    """Return the signs of a field, from its label images (H, W) and the images in any unit."""
    nan = float("nan")
    count = int(cells.max(initial=0))
    of_cells = np.bincount(cells.ravel(), minlength=count + 1)[1:]
    of_nuclei = np.bincount(nuclei.ravel(), minlength=count + 1)[1 : count + 1]
    whole = (of_cells > 0) & (of_nuclei > 0)
    if not whole.any():
        return Signs(int((of_cells > 0).sum()), nan, float((cells > 0).mean()), nan, nan, nan)
    ratios = of_cells[whole] / of_nuclei[whole]
    radius = float(np.sqrt(np.median(of_nuclei[whole]) / np.pi))
    band, gap = (max(1, round(width * radius)) for width in (_BAND, _GAP))
    inside, core = cells > 0, nuclei > 0
    within = inside & ~_shrunk(inside, band) & ~core
    beyond = _grown(inside, band) & ~inside
    ring = _grown(core, gap + band) & ~_grown(core, gap)
    return Signs(
        cells=int((of_cells > 0).sum()),
        cell_to_nucleus=float(np.median(ratios)),
        covered=float(inside.mean()),
        bare=float((ratios < _BARE).mean()),
        cell_edge=_contrast(cell_stain, within, beyond),
        nucleus_edge=_contrast(nuclear_stain, core, ring),
    )


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """Return what lies within a square of `by` px round a mask."""
    grown: NDArray[np.bool_] = ndimage.maximum_filter(mask, size=2 * by + 1)
    return grown


def _shrunk(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """Return what is farther than `by` px from all that is not in a mask; the border of the field is no outline."""
    shrunk: NDArray[np.bool_] = ndimage.minimum_filter(mask, size=2 * by + 1)
    return shrunk


def _contrast(image: NDArray[Any], inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> float:
    if not inside.any() or not outside.any():
        return float("nan")
    dark = float(np.percentile(image, 1))
    bright, dim = float(image[inside].mean()) - dark, float(image[outside].mean()) - dark
    return float(np.clip((bright - dim) / (bright + dim), -1, 1)) if bright + dim > 0 else 0.0
