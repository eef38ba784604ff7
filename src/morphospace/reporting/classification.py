"""Pictures of classifiers: who is taken for whom, and every score beside its floors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphospace.reporting.figures import COLOURS, new


def label(method: str, width: int) -> str:
    """Return the name of a method for people: ``PCA-75 of pixels``."""
    names = {
        "embedding": f"embedding ({width})",
        "majority": "majority class",
        "mean_intensity": f"mean intensity ({width})",
        "random_projection": f"random projection-{width} of pixels",
        "pca": f"PCA-{width} of pixels",
    }
    return names.get(method, f"{method} ({width})")


def confusion(matrix: NDArray[Any], classes: Sequence[str], title: str, rows: str = "cells") -> Figure:
    """Return the confusion matrix (K, K), rows the truth: colour is the share of the row, figures count `rows`."""
    k = len(classes)
    cells = matrix.sum(axis=1)
    share = matrix / np.maximum(cells, 1)[:, None]
    figure = new(2.6 + 0.46 * k, 2.3 + 0.4 * k)
    axis = figure.subplots()
    shown = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), n in np.ndenumerate(matrix):
        if n:
            axis.text(
                column,
                row,
                f"{n:.3g}" if n % 1 else f"{int(n)}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if share[row, column] > 0.55 else "black",
            )
    axis.set_xticks(range(k), classes, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(k), [f"{c} ({round(n):,})" for c, n in zip(classes, cells, strict=True)])
    axis.set(xlabel="predicted", ylabel=f"truth ({rows})")
    axis.spines[:].set_visible(False)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    figure.colorbar(shown, ax=axis, label="share of the true class", shrink=0.8)
    return figure


def bars(table: pd.DataFrame, missing: str = "") -> Figure:
    """Return accuracy, balanced accuracy and macro F1 of every method with intervals, a panel a score.

    Parameters
    ----------
    table
        From the scorecard, the rows of all classes together.
    missing
        Why floors are missing; it stands in the picture, too.
    """
    wanted = ["accuracy", "balanced_accuracy", "macro_f1"]
    whole = table[(table["class"] == "") & table["score"].isin(wanted)]
    methods = list(dict.fromkeys(whole["method"]))
    classifiers = list(dict.fromkeys(whole["classifier"]))
    widths = whole.groupby("method")["width"].max()
    figure = new(11, 1.6 + 0.45 * len(methods))
    axes = figure.subplots(1, len(wanted), sharey=True)
    thick = 0.8 / len(classifiers)
    for axis, score in zip(axes, wanted, strict=True):
        for i, name in enumerate(classifiers):
            part = whole[(whole["score"] == score) & (whole["classifier"] == name)].set_index("method").loc[methods]
            place = np.arange(len(methods)) + (i - (len(classifiers) - 1) / 2) * thick
            value = part["value"].to_numpy()
            around = np.abs(part[["low", "high"]].to_numpy().T - value)
            axis.barh(
                place, value, thick * 0.9, xerr=around, color=COLOURS[i], ecolor="#444444", label=name.replace("_", " ")
            )
        axis.set(xlabel=score.replace("_", " ").replace("f1", "F1"), xlim=(0, 1))
    axes[0].set_yticks(range(len(methods)), [label(m, int(widths[m])) for m in methods])
    axes[0].invert_yaxis()
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=len(names))
    if missing:
        figure.supxlabel(missing, fontsize=8, color=COLOURS[3])
    return figure
