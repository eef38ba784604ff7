"""Figures of the crops: how large the cells are beside the tile (000-09), and what they look like."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from morphospace.reporting import figures
from morphospace.words import count

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
    axis.set_title(f"{count(len(longest), 'cell')}, {dropped.mean():.1%} larger than the tile and dropped")
    axis.legend(loc="upper right")
    return figure


def mean_histogram(means: NDArray[np.float64], low: float, high: float, noun: str) -> Figure:
    """Return the histogram of the mean of every tile, with the bounds beyond which tiles are dropped.

    Parameters
    ----------
    means
        Mean of each tile inside the cell (N,), 0 to 1.
    low, high
        The bounds; a bound of 0 or 1 drops nothing and is not drawn.
    noun
        What a tile shows: cells or chunks.
    """
    dark, bright = means < low, means > high
    edges = np.linspace(0, 1, _BINS + 1).tolist()
    figure = figures.new(6.4, 3.6)
    axis = figure.subplots()
    parts = [(~dark & ~bright, 0, "kept"), (dark, 4, f"below {low:g}"), (bright, 3, f"above {high:g}")]
    shown = [(means[part], figures.COLOURS[colour], f"{name}: {part.sum():,}") for part, colour, name in parts]
    used = [True, low > 0, high < 1]
    values, colours, labels = zip(*(s for s, wanted in zip(shown, used, strict=True) if wanted), strict=True)
    axis.hist(values, edges, color=colours, label=labels, stacked=True)
    for bound in (low, high):
        if 0 < bound < 1:
            axis.axvline(bound, color=figures.COLOURS[7], linestyle="--", linewidth=1)
    axis.set_xlabel("mean of the tile (0: darkest, 1: brightest)")
    axis.set_ylabel(f"{noun} per {1 / _BINS:.3f}")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlim(0, 1)
    axis.set_title(f"{len(means):,} {noun}, {np.mean(dark | bright):.1%} dropped by their mean")
    axis.legend(loc="best")
    return figure


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], title: str, names: Sequence[str] = ()
) -> Figure:
    """Return a page of cells, one row a treatment.

    Parameters
    ----------
    rows
        The label of each row, and its tiles (C, H, W).
    title
        What is shown, and what is left out.
    names
        Of the channels.
    """
    tiles: list[Sequence[NDArray[Any]]] = [t for _, t in rows]
    return figures.grid(tiles, [label for label, _ in rows], title, tile=0.8, names=names)


def _edges(longest: int, size: int, bins: int = _BINS) -> list[float]:
    """Return bin edges, whole pixels apart, that have the tile's side as one of them: no bar is kept and dropped."""
    width = max(1, -(-max(longest, size) // bins))
    while size % width:
        width -= 1
    # A side of exactly `size` is kept: the bins are open at their left.
    return [edge + 0.5 for edge in range(0, max(longest, size) + 2 * width, width)]
