"""The look of every figure: one style, colours that colour-blind people can tell apart, and grids of tiles."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphospace import files

# Okabe and Ito (2008): told apart with every common kind of colour blindness.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999", "#000000"]

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


def display(tile: NDArray[Any]) -> NDArray[np.uint8]:
    """Return one tile (C, H, W), uint8 or float in [0, 1], as an RGB picture (H, W, 3).

    Three channels are red, green and blue; one is grey; any other number is shown side by side in grey.
    """
    tile = np.asarray(tile)
    if tile.dtype != np.uint8:
        tile = (np.clip(np.nan_to_num(tile), 0, 1) * 255).round().astype(np.uint8)
    if len(tile) == 3:
        return np.ascontiguousarray(tile.transpose(1, 2, 0))
    grey = np.concatenate(list(tile), axis=1)
    return np.repeat(grey[..., None], 3, axis=2)


def grid(
    rows: Sequence[Sequence[NDArray[Any]]], labels: Sequence[str] = (), title: str = "", tile: float = 1.0
) -> Figure:
    """Return a figure of tiles, `rows` of (C, H, W) each, with a label at the left of each row.

    `tile` is the side of one tile in inches.
    """
    columns = max(len(row) for row in rows)
    wide = max((np.shape(t)[0] if np.shape(t)[0] != 3 else 1) for row in rows for t in row)
    figure = new(columns * tile * wide + (1.3 if labels else 0.2), len(rows) * (tile + 0.04) + (0.4 if title else 0.1))
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for r, row in enumerate(rows):
        for c in range(columns):
            axis = axes[r, c]
            axis.set_xticks([])
            axis.set_yticks([])
            for spine in axis.spines.values():
                spine.set_visible(False)
            if c < len(row):
                axis.imshow(display(row[c]))
        if labels:
            axes[r, 0].set_ylabel(labels[r], rotation=0, ha="right", va="center")
    if title:
        figure.suptitle(title, fontsize=10)
    return figure
