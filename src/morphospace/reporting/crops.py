"""Figures of the crops: how large the cells are beside the tile (000-09), and what they look like."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from morphospace.reporting import figures

_BINS = 60


def size_histogram(sides: NDArray[np.int64], size: int) -> Figure:
    """Return the histogram of the longest side of every cell, with the side of the tile and the share beyond it.

    Parameters
    ----------
    sides
        Height and width (N, 2) of the box of each cell, px.
    size
        Side of the tile, px.
    """
    longest = sides.max(axis=1)
    dropped = longest > size
    edges = _edges(int(longest.max()), size, min(_BINS, 12 + math.isqrt(len(longest))))
    figure = figures.new(6.4, 3.6)
    axis = figure.subplots()
    axis.hist(longest[~dropped], edges, color=figures.COLOURS[0], label=f"kept: {np.sum(~dropped):,}")
    axis.hist(longest[dropped], edges, color=figures.COLOURS[3], label=f"too large: {np.sum(dropped):,}")
    axis.axvline(size, color=figures.COLOURS[7], linestyle="--", linewidth=1, label=f"tile: {size} px")
    axis.set_xlabel("longest side of the cell's box (px)")
    axis.set_ylabel(f"cells per {edges[1] - edges[0]:g} px")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlim(0, edges[-1])
    axis.set_title(f"{len(longest):,} cells, {dropped.mean():.1%} larger than the tile and dropped")
    axis.legend(loc="upper right")
    return figure


def contact_sheet(rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], title: str) -> Figure:
    """Return a page of cells, one row a treatment.

    Parameters
    ----------
    rows
        The label of each row, and its tiles (C, H, W).
    title
        What is shown, and what is left out.
    """
    tiles: list[Sequence[NDArray[Any]]] = [t for _, t in rows]
    return figures.grid(tiles, [label for label, _ in rows], title, tile=0.8)


def _edges(longest: int, size: int, bins: int = _BINS) -> list[float]:
    """Return bin edges, whole pixels apart, that have the tile's side as one of them: no bar is kept and dropped."""
    width = max(1, -(-max(longest, size) // bins))
    while size % width:
        width -= 1
    # A side of exactly `size` is kept: the bins are open at their left.
    return [edge + 0.5 for edge in range(0, max(longest, size) + 2 * width, width)]
