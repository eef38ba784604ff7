"""Pictures of profiles: wells by their largest components, and how alike replicates are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphospace.reporting.figures import COLOURS, new

_ROWS = 60  # wells or treatments that a heat map can name
_BINS = 20


def heat_map(values: NDArray[Any], labels: Sequence[str], controls: Sequence[bool], unit: str) -> Figure:
    """Return a heat map of profiles (n, k), a row each, under a scale that is symmetric round the negative controls.

    Parameters
    ----------
    values
        Rows in the order in which they are to stand.
    labels
        What each row is.
    controls
        Which rows are negative controls: a line is drawn between them and the others.
    unit
        What 1 is on the scale.
    """
    shown = min(len(values), _ROWS)
    rows = np.linspace(0, len(values) - 1, shown).round().astype(int)
    figure = new(7.2, 0.16 * shown + 1.2)
    axis = figure.subplots()
    limit = float(np.quantile(np.abs(values), 0.98)) or 1.0
    image = axis.imshow(values[rows], cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    axis.set_yticks(range(shown), [labels[i] for i in rows], fontsize=7)
    axis.set_xlabel("feature, in the order of the table")
    marked = np.asarray(controls)[rows]
    for edge in np.flatnonzero(marked[1:] != marked[:-1]):
        axis.axhline(edge + 0.5, color="black", linewidth=1)
    bar = figure.colorbar(image, ax=axis, shrink=min(1.0, 12 / shown), aspect=25, extend="both")
    bar.set_label(unit, fontsize=8)
    if shown < len(values):
        axis.set_title(f"{shown} of {len(values)} treatments, evenly spaced", loc="left")
    return figure


def replicates(alike: NDArray[Any], others: NDArray[Any], caption: str) -> Figure:
    """Return the distributions of correlation of replicates and of matched random pairs, in shares of each kind."""
    figure = new(6.4, 3.2)
    axis = figure.subplots()
    edges = np.linspace(-1, 1, _BINS + 1)
    grey: dict[str, Any] = {
        "color": COLOURS[6],
        "alpha": 0.6,
        "label": f"other compounds, same plates ({len(others):,} pairs)",
    }
    blue: dict[str, Any] = {
        "color": COLOURS[0],
        "linewidth": 2,
        "histtype": "step",
        "label": f"replicates ({len(alike):,} pairs)",
    }
    for values, look in ((others, grey), (alike, blue)):
        axis.hist(values, bins=edges.tolist(), weights=np.full(len(values), 1 / len(values)), **look)
    axis.set(xlabel="Pearson correlation of two wells", ylabel="share of the pairs", xlim=(-1, 1))
    axis.set_title(caption, loc="left")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.08), ncols=2)
    return figure
