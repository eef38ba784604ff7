"""Pictures of the similarity: originals over reconstructions, and the model's S beside its floors."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from morphospace.reporting.figures import COLOURS, new, panels, show, side

LABELS = {
    "perfect": "the image itself",
    "encoder": "encoder alone",
    "black": "all black",
    "constant": "constant colour",
    "mean": "mean image",
    "median": "median image",
}
_COLOUR = {"model": COLOURS[0], "encoder": COLOURS[0], "pca": COLOURS[3]}


class Row(NamedTuple):
    """A row of a gallery: its label, tiles (n, C, H, W), and what is written under each, or nothing."""

    label: str
    tiles: NDArray[Any]
    captions: Sequence[str] = ()


def gallery(rows: Sequence[Row], title: str, tile: float = 1.05, names: Sequence[str] = ()) -> Figure:
    """Return tiles in rows, one column a cell, with captions under those that have them; a row may be shorter.

    `tile` is the side of a panel in inches, or less where the figure would be too wide; `names` are those of the
    channels, which stand on the panels of the first tile of each row.
    """
    columns = max(len(row.tiles) for row in rows)
    planes = rows[0].tiles.shape[1]
    down, across = panels(planes)
    tile = side(tile, columns, planes, 1.1)
    heights = [tile * down + (0.2 * (1 + row.captions[0].count("\n")) if row.captions else 0.02) for row in rows]
    figure = new(columns * tile * across + 1.1, sum(heights) + 0.35)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for i, axis in enumerate(line):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
            if i >= len(row.tiles):
                continue
            show(axis, row.tiles[i], names if i == 0 else (), tile)
            if row.captions:
                axis.set_xlabel(row.captions[i], fontsize=8, labelpad=2)
        line[0].set_ylabel(row.label, rotation=0, ha="right", va="center", labelpad=6)
    figure.suptitle(title, fontsize=10)
    return figure


def floors(scores: pd.DataFrame, model: str, k: int) -> Figure:
    """Return 1 - S of the model and its floors on the test split, with intervals, on a logarithmic scale.

    S itself crowds together near 1; 1 - S, the mean absolute error, tells methods apart, and a logarithmic axis has
    no zero for a bar to start from, so the scores are points. Hollow points are S legacy: of the model as the thesis
    computed it, of a floor its stretch alone.

    Parameters
    ----------
    scores
        Long table with split, region, channel, method, metric, value, low, high.
    model
        The model's name.
    k
        Components of the PCA floor.
    """
    here = scores[(scores["split"] == "test") & (scores["region"] == "all") & (scores["channel"] == "all")]
    right = here[here["metric"] == "S"].set_index("method")
    legacy = here[here["metric"] == "S_legacy"].set_index("method")
    order = right["value"].sort_values(ascending=True, kind="stable").index
    names = LABELS | {"model": model, "pca": f"PCA-{k}"}
    figure = new(6.6, 0.42 * len(order) + 1.3)
    axis: Axes = figure.subplots()
    for y, method in enumerate(order):
        colour = _COLOUR.get(method, COLOURS[7])
        _point(axis, y + 0.15, right.loc[method], colour, colour, "S")
        _point(axis, y - 0.17, legacy.loc[method], colour, "white", "legacy")
    axis.set(xscale="log", ylim=(-0.6, len(order) - 0.4))
    axis.set_yticks(range(len(order)), [names[m] for m in order])
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel("1 − S (log scale; further left is better)")
    _legend(axis)
    return figure


def _point(axis: Axes, y: float, score: "pd.Series[Any]", edge: str, face: str, name: str) -> None:
    """Draw 1 - S with its interval, and S as a number at the right; no point at S = 1, which has no logarithm."""
    x = 1 - score["value"]
    text = f"{name} {score['value']:.4f}"
    axis.text(1.01, y, text, transform=axis.get_yaxis_transform(), va="center", fontsize=7, color=edge)
    if x <= 0:
        return
    if np.isfinite(score["low"]):
        axis.plot([1 - score["high"], 1 - score["low"]], [y, y], color=edge, linewidth=1.5)
    axis.plot([x], [y], "o", color=edge, markerfacecolor=face, markersize=5)


def _legend(axis: Axes) -> None:
    for face, label in (("black", "S"), ("white", "S legacy (of floors: stretched to the full range)")):
        axis.plot([], [], "o", color="black", markerfacecolor=face, markersize=5, label=label)
    axis.plot([], [], color="black", linewidth=1.5, label="interval over wells")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)


def per_channel(scores: pd.DataFrame, channels: Sequence[str], model: str, k: int) -> Figure:
    """Return S inside the cell of the model and its floors on the test split, one panel a channel.

    The whole tile is mostly outside the cell, which everything reconstructs; inside is where methods differ.
    """
    here = scores[(scores["split"] == "test") & (scores["region"] == "inside") & (scores["metric"] == "S")]
    names: Mapping[str, str] = LABELS | {"model": model, "pca": f"PCA-{k}"}
    methods = [
        m for m in ("black", "constant", "mean", "median", "pca", "encoder", "model") if m in set(here["method"])
    ]
    figure = new(2.1 * len(channels) + 1.2, 0.28 * len(methods) + 0.9)
    axes = figure.subplots(1, len(channels), sharex=True, sharey=True, squeeze=False)[0]
    for axis, channel in zip(axes, channels, strict=True):
        rows = here[here["channel"] == channel].set_index("method")
        for y, method in enumerate(methods):
            colour = _COLOUR.get(method, COLOURS[7])
            low, value, high = rows.loc[[method], ["low", "value", "high"]].to_numpy(dtype=float)[0]
            if np.isfinite(low):
                axis.plot([low, high], [y, y], color=colour, linewidth=1.5)
            axis.plot([value], [y], "o", color=colour, markersize=4)
        axis.set_title(channel)
        axis.set_yticks(range(len(methods)), [names[m] for m in methods])
        axis.grid(axis="x", alpha=0.3)
    figure.supxlabel("S inside the cell (axis does not start at 0; further right is better)", fontsize=9)
    return figure
