"""The look of every figure: one style, colours that colour-blind people can tell apart, and grids of tiles."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from morphospace import files

# Okabe and Ito (2008): told apart with every common kind of colour blindness.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999", "#000000"]

WIDEST = 16.0  # inches of a figure of tiles: 1,920 px

STYLE: Any = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "savefig.dpi": 120,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "svg.hashsalt": "morphospace",
}


def new(width: float, height: float) -> Figure:
    """Return an empty figure of `width` x `height` inches in the house style, without a global state."""
    mpl.rcParams.update(STYLE)
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG, aside and renamed, without a time stamp, so that equal figures are equal files."""
    with files.replacing(path) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})


def panels(channels: int) -> tuple[int, int]:
    """Return how many rows and columns of panels a tile of so many channels is shown as: one in colour or grey."""
    columns = 1 if channels in (1, 3) else math.ceil(math.sqrt(channels))
    return (1 if channels in (1, 3) else -(-channels // columns)), columns


def display(tile: NDArray[Any]) -> NDArray[np.uint8]:
    """Return one tile (C, H, W), uint8 or float in [0, 1], as an RGB picture.

    Three channels are red, green and blue; one is grey. Any other number is a block of grey panels (see `panels`),
    row by row in the order of the channels; what is left of the block is white.
    """
    tile = np.asarray(tile)
    if tile.dtype != np.uint8:
        tile = (np.clip(np.nan_to_num(tile), 0, 1) * 255).round().astype(np.uint8)
    if len(tile) == 3:
        return np.ascontiguousarray(tile.transpose(1, 2, 0))
    rows, columns = panels(len(tile))
    white = np.full((rows * columns - len(tile), *tile.shape[1:]), 255, np.uint8)
    whole = np.concatenate([tile, white]).reshape(rows, columns, *tile.shape[1:])
    grey = whole.transpose(0, 2, 1, 3).reshape(rows * tile.shape[1], columns * tile.shape[2])
    return np.repeat(grey[..., None], 3, axis=2)


def side(tile: float, tiles: int, channels: int, margin: float = 0.0) -> float:
    """Return the side of a panel, inches: `tile`, or less where so many `tiles` would be wider than a page."""
    return min(tile, (WIDEST - margin) / (tiles * panels(channels)[1]))


def show(axis: Axes, tile: NDArray[Any], names: Sequence[str] = (), size: float = 1.0) -> None:
    """Draw a tile (C, H, W), lines between its panels of `size` inches, and the name of its channel on each panel."""
    tile = np.asarray(tile)
    axis.imshow(display(tile))
    if len(tile) in (1, 3):
        return
    names = names if len(names) == len(tile) else ()
    (rows, columns), (height, width) = panels(len(tile)), tile.shape[1:]
    for n in range(1, columns):
        axis.axvline(n * width - 0.5, color="white", linewidth=1)
    for n in range(1, rows):
        axis.axhline(n * height - 0.5, color="white", linewidth=1)
    points = min(6.5, max(4.0, 72 * size / (0.62 * max(map(len, names), default=1))))  # the longest name fits
    for n, name in enumerate(names):
        place = (n % columns + 0.04) * width - 0.5, (n // columns + 0.04) * height - 0.5
        said = axis.text(*place, name, color="white", fontsize=points, va="top", parse_math=False, clip_on=True)
        said.set_path_effects([withStroke(linewidth=1.5, foreground="black")])


def grid(
    rows: Sequence[Sequence[NDArray[Any]]],
    labels: Sequence[str] = (),
    title: str = "",
    tile: float = 1.0,
    names: Sequence[str] = (),
) -> Figure:
    """Return a figure of tiles, `rows` of (C, H, W) each, with a label at the left of each row.

    `tile` is the side of a panel in inches, or less where the figure would be wider than `WIDEST`; `names` are those of
    the channels, which stand on the panels of the first tile of each row.
    """
    columns = max(len(row) for row in rows)
    channels = max((np.shape(t)[0] for row in rows for t in row), key=lambda n: panels(n)[1])
    down, across = panels(channels)
    margin = 1.3 if labels else 0.2
    tile = side(tile, columns, channels, margin)
    figure = new(columns * tile * across + margin, len(rows) * (tile * down + 0.04) + (0.4 if title else 0.1))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for r, row in enumerate(rows):
        for c in range(columns):
            axis = axes[r, c]
            axis.set_xticks([])
            axis.set_yticks([])
            for spine in axis.spines.values():
                spine.set_visible(False)
            if c < len(row):
                show(axis, row[c], names if c == 0 else (), tile)
        if labels:
            axes[r, 0].set_ylabel(labels[r], rotation=0, ha="right", va="center")
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
