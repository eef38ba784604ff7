"""Pictures and tables of shape embeddings: there and back, and every score beside those of older descriptors."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphospace.reporting.figures import COLOURS, new

SCORES = ("accuracy", "balanced_accuracy", "macro_precision", "macro_f1", "roc_auc")
Floats = NDArray[np.floating[Any]]


class There(NamedTuple):
    """One shape on its way: mask (H, W) and contour (n, 2) in px, D and D' (n, n) in px, and the contour from D'."""

    title: str
    mask: NDArray[np.bool_]
    contour: Floats
    matrix: Floats
    drawn: Floats
    back: Floats


def reconstructions(shapes: Sequence[There], title: str) -> Figure:
    """Return a column a shape: mask and contour, D, D', and the contour that scaling makes of D' over the true one."""
    names = ["mask and contour", "distances D, px", "reconstructed D', px", "contour from D'"]
    figure = new(1.25 * len(shapes) + 1.6, 5.9)
    axes = figure.subplots(4, len(shapes), squeeze=False)
    top = max(float(s.matrix.max()) for s in shapes)
    for column, s in zip(axes.T, shapes, strict=True):
        closed, back = (np.vstack([line, line[:1]]) for line in (s.contour, s.back))
        column[0].imshow(s.mask, vmax=2)
        column[0].plot(closed[:, 1], closed[:, 0], color=COLOURS[1], linewidth=1)
        column[0].set_title(s.title, fontsize=7)
        shown = column[1].imshow(s.matrix, vmin=0, vmax=top, cmap="viridis")
        column[2].imshow(s.drawn, vmin=0, vmax=top, cmap="viridis")
        column[3].plot(closed[:, 1], closed[:, 0], color="#BBBBBB", linewidth=3, label="true")
        column[3].plot(back[:, 1], back[:, 0], color=COLOURS[0], linewidth=1, label="from D'")
        column[3].set_aspect("equal")
        column[3].invert_yaxis()
    for row, name in zip(axes, names, strict=True):
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axes[1:3].ravel().tolist(), shrink=0.7, pad=0.01)
    handles, said = axes[3, 0].get_legend_handles_labels()
    figure.legend(handles, said, loc="outside lower right", ncols=2)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def bars(table: pd.DataFrame) -> Figure:
    """Return balanced accuracy, macro F1 and ROC AUC of every method with intervals, a colour a division into folds.

    `table` has the columns split, method, score, value, low and high.
    """
    wanted = ["balanced_accuracy", "macro_f1", "roc_auc"]
    methods, splits = (list(dict.fromkeys(table[c])) for c in ("method", "split"))
    figure = new(11, 1.4 + 0.42 * len(methods))
    axes = figure.subplots(1, len(wanted), sharey=True)
    thick = 0.8 / len(splits)
    for axis, score in zip(axes, wanted, strict=True):
        for i, split in enumerate(splits):
            part = table[(table["score"] == score) & (table["split"] == split)].set_index("method").reindex(methods)
            place = np.arange(len(methods)) + (i - (len(splits) - 1) / 2) * thick
            value = part["value"].to_numpy(dtype=float)
            around = np.abs(np.nan_to_num(part[["low", "high"]].to_numpy(dtype=float).T - value))
            axis.barh(place, value, thick * 0.9, xerr=around, color=COLOURS[i], ecolor="#444444", label=split)
        axis.set(xlabel=_plain(score), xlim=(0, 1))
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(methods)), methods)
    axes[0].invert_yaxis()
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=len(names))
    return figure


def markdown(table: pd.DataFrame) -> str:
    """Return the scores as one Markdown table a division into folds, intervals in brackets."""
    lines = []
    for split, part in table.groupby("split", sort=False):
        lines += [f"**{split}**", "", "| method | numbers | repeats | " + " | ".join(_plain(s) for s in SCORES) + " |"]
        lines.append("|---|--:|--:|" + "--:|" * len(SCORES))
        for method, rows in part.groupby("method", sort=False):
            by = rows.set_index("score")
            cells = [_cell(by, s) for s in SCORES]
            first = rows.iloc[0]
            lines.append(f"| {method} | {first['width']} | {first['repeats']} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _plain(score: str) -> str:
    return score.replace("_", " ").replace("roc auc", "ROC AUC").replace("f1", "F1")


def _cell(by: pd.DataFrame, score: str) -> str:
    value, low, high = by[["value", "low", "high"]].loc[score].to_numpy(dtype=float)
    return f"{value:.3f}" if np.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"
