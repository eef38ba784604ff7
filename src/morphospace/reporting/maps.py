"""Maps of an embedding, coloured by a column: categories by colour and shape, numbers by a colour bar."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphospace.reporting.figures import COLOURS, new
from morphospace.words import count

# Eight colours that colour-blind people tell apart, times three shapes. There are no 13 such colours.
SHAPES = ["o", "^", "s"]
NOTHING = "#CCCCCC"
MOST = len(COLOURS) * len(SHAPES) - 1  # categories with a look of their own
_NOTE = "axes, sizes and gaps mean nothing"


def draw(points: NDArray[Any], values: Sequence[Any], name: str, rows: str = "cells") -> Figure:
    """Return a map (n, 2) coloured by the values of a column; the legend stands outside.

    Numbers (not text, not truth values) get a colour bar; a missing one is grey. Anything else is a category, with
    its number of cells; the rarest beyond 23 are grey together. `rows` says what a point stands for.
    """
    column = pd.Series(values).reset_index(drop=True)
    figure = new(8.5, 5.6)
    axis = figure.subplots()
    _bare(axis, f"UMAP of {len(points):,} {rows} by {_plain(name)} ({_NOTE})")
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        _numbers(figure, axis, points, column.to_numpy(float), _plain(name))
    else:
        _categories(axis, points, column, _looks(column), _size(len(points)))
        _legend(figure, axis)
    return figure


def draw_halves(points: NDArray[Any], labels: Sequence[str], hidden: NDArray[np.bool_], name: str) -> Figure:
    """Return a map that was given some labels: on the left those cells, on the right the hidden ones (002-18)."""
    column = pd.Series(labels).reset_index(drop=True)
    looks = _looks(column)
    figure = new(12, 5.6)
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for axis, part, what in zip(
        axes, (~hidden, hidden), ("labels were given: no evidence", "labels were hidden"), strict=True
    ):
        _bare(axis, f"{count(int(part.sum()), 'cell')} whose {what}")
        rows = np.flatnonzero(part)
        _categories(axis, points[rows], column.iloc[rows], looks, _size(len(points)))
    figure.suptitle(f"UMAP that knows some of {_plain(name)} ({_NOTE})", fontsize=10)
    _legend(figure, axes[0])
    return figure


def _bare(axis: Axes, title: str) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set(xlabel="UMAP 1", ylabel="UMAP 2")
    axis.set_title(title, loc="left")


def _numbers(figure: Figure, axis: Axes, points: NDArray[Any], values: NDArray[np.float64], name: str) -> None:
    known = np.isfinite(values)
    size = _size(len(points))
    axis.scatter(
        points[~known, 0],
        points[~known, 1],
        s=size,
        color=NOTHING,
        linewidths=0,
        label=f"no value ({int((~known).sum()):,})",
    )
    shown = axis.scatter(points[known, 0], points[known, 1], s=size, c=values[known], cmap="viridis", linewidths=0)
    if known.any():
        figure.colorbar(shown, ax=axis, label=name)
    if not known.all():
        _legend(figure, axis)


def _looks(column: "pd.Series[Any]") -> dict[str, tuple[str, str, str]]:
    """Colour, shape and label of each category, the names in order; the rarest beyond `MOST` share one."""
    counts = _text(column).value_counts()
    own = sorted(counts.drop("", errors="ignore").index[:MOST])
    found = {
        c: (COLOURS[i % len(COLOURS)], SHAPES[i // len(COLOURS)], f"{c} ({counts[c]:,})") for i, c in enumerate(own)
    }
    others = [c for c in counts.index if c not in found and c]
    rest = f"{len(others)} others ({counts[others].sum():,})"
    found |= dict.fromkeys(others, (NOTHING, "o", rest))
    return found | ({"": (NOTHING, "o", f"none ({counts['']:,})")} if "" in counts else {})


def _categories(
    axis: Axes, points: NDArray[Any], column: "pd.Series[Any]", looks: dict[str, tuple[str, str, str]], size: float
) -> None:
    """Draw the common categories first, so that the rare ones are seen; each look once, in the order of the legend."""
    text = _text(column).to_numpy()
    labels = list(dict.fromkeys(looks.values()))
    of = {look: [c for c, other in looks.items() if other == look] for look in labels}
    sizes = {look: int(np.isin(text, of[look]).sum()) for look in labels}
    for depth, look in enumerate(sorted(labels, key=lambda x: -sizes[x])):
        colour, shape, label = look
        rows = np.flatnonzero(np.isin(text, of[look]))
        axis.scatter(
            points[rows, 0],
            points[rows, 1],
            s=size,
            c=colour,
            marker=shape,
            alpha=0.75,
            linewidths=0,
            label=label,
            zorder=2 + depth / 100,
        )


def _legend(figure: Figure, axis: Axes) -> None:
    """Put the legend at the right, outside, in alphabetical order, the grey ones last."""
    handles, labels = axis.get_legend_handles_labels()
    last = ("none (", "no value (")
    order = sorted(range(len(labels)), key=lambda i: (labels[i].startswith(last), " others (" in labels[i], labels[i]))
    figure.legend([handles[i] for i in order], [labels[i] for i in order], loc="outside right upper", markerscale=2)


def _size(n: int) -> float:
    return float(np.clip(20000 / max(n, 1), 1.5, 25))


def _text(column: "pd.Series[Any]") -> "pd.Series[str]":
    return column.astype("string").fillna("").astype(str)


def _plain(name: str) -> str:
    return name.removeprefix("Metadata_")
