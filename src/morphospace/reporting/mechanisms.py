"""Pictures of mechanisms of action: every score beside its floors, and who is taken for whom."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphospace.reporting.classification import confusion
from morphospace.reporting.figures import COLOURS, new
from morphospace.reporting.moa_names import FLOORS, SHORT

_LINE = 58  # letters of a title that the smallest confusion matrix is wide enough for
Row = tuple[float, float, float]  # value, low, high; NaN where there is none


def draw(
    scores: Mapping[str, Mapping[str, Row]],
    counts: Mapping[str, int],
    matrices: Mapping[str, tuple[Any, Sequence[str], str]],
    embeddings: Mapping[str, str],
    width: int,
) -> dict[str, Figure]:
    """Return the figures by name: every score beside its floors, and a confusion matrix a protocol.

    `matrices` has matrix, mechanisms and verdict by protocol; see `floors` for the rest.
    """
    found = {"floors": floors(scores, counts, embeddings, width)}
    for name, (matrix, classes, verdict) in matrices.items():
        found[f"confusion_{name}"] = confusion(matrix, classes, textwrap.fill(verdict, _LINE), "treatments")
    return found


def floors(
    scores: Mapping[str, Mapping[str, Row]], counts: Mapping[str, int], embeddings: Mapping[str, str], width: int
) -> Figure:
    """Return every score as a point with its interval, the embedding first, then the floors, a panel a score.

    Parameters
    ----------
    scores
        By name: value, low and high of each embedding and of each of `FLOORS`.
    counts
        How many rows each score is a mean of.
    embeddings
        What each is called for people; a single one has a line down to the floors.
    width
        Of projection and PCA.
    """
    methods = [*embeddings, *FLOORS]
    wide = {"random_projection", "pca"}
    labels = [
        *embeddings.values(),
        *(f"{label}, {width} numbers" if m in wide else label for m, label in FLOORS.items()),
    ]
    figure = new(2.3 * len(scores) + 2.2, 0.32 * len(methods) + 1.1)
    axes = np.atleast_1d(figure.subplots(1, len(scores), sharey=True))
    for axis, (name, found) in zip(axes, scores.items(), strict=True):
        for y, method in enumerate(methods):
            _point(axis, y, found[method], COLOURS[0] if method in embeddings else COLOURS[7])
        if len(embeddings) == 1:
            axis.axvline(found[methods[0]][0], color=COLOURS[0], linewidth=0.8, alpha=0.5)
        axis.set(xlim=(-0.04, 1.04), title=f"{SHORT.get(name, name)} (n = {counts[name]})")
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(methods)), labels)
    axes[0].set_ylim(len(methods) - 0.5, -0.5)
    figure.supxlabel("share right, or mean average precision; intervals over compounds", fontsize=9)
    return figure


def _point(axis: Axes, y: int, row: Row, colour: str) -> None:
    """Draw a value with its interval; words where there is none."""
    value, low, high = row
    if not np.isfinite(value):
        axis.text(0.5, y, "not measured", ha="center", va="center", fontsize=7, color=COLOURS[6])
        return
    if np.isfinite(low):
        axis.plot([low, high], [y, y], color=colour, linewidth=1.5)
    axis.plot([value], [y], "o", color=colour, markersize=5)
