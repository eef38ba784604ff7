"""Pictures of a training: the curves, and fixed cells as each epoch reconstructs them (000-32, 000-33)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from morphospace.reporting.figures import COLOURS, grid, new

_PANELS = {"loss": "loss", "reconstruction": "reconstruction, R × distortion", "kl": "KL, nats"}
_TITLES = {
    "mse": "mean squared error of a pixel",
    "alpha": "α, share of the newest block",
    "resolution": "resolution, px",
}
_COLUMNS = 3
_SIDES = {
    "train": (COLOURS[0], "o", "train (samples)"),
    "validation": (COLOURS[3], "s", "validation (means)"),
}
_ROWS = 8  # epochs shown, at most


def curves(history: pd.DataFrame, best_epoch: int) -> Figure:
    """Return each part of the loss by epoch, train and validation, and the epoch whose weights are kept.

    `history` has `epoch`, ``train_<part>`` and, where there is a validation split, ``validation_<part>``; besides loss,
    reconstruction and KL, any part has a panel. What a model has not, and is 0 throughout, has none, nor has the
    squared error where the reconstruction is the same but for R. The axis is logarithmic where a curve spans more than
    a factor of 20. Where the resolution of a growing model changes, every panel has a line, so that its steps are told
    from others (003-11).
    """
    had = {_part(c) for c in history.columns if history[c].any()} - {""}
    had -= {"mse"} if _same_shape(history, "reconstruction", "mse") else set()
    parts = [p for p in _PANELS if p in had | {"loss"}] + sorted(had - {*_PANELS})
    lines = -(-len(parts) // _COLUMNS)
    figure = new(10.5, 2.7 * lines + 0.8)
    axes = figure.subplots(lines, _COLUMNS, squeeze=False).ravel()
    for axis, part in zip(axes, parts, strict=False):
        _panel(axis, history, part)
        for number, epoch in enumerate(_growth(history)):
            label = "" if number else "resolution grows"
            axis.axvline(epoch, color=COLOURS[6], linewidth=1, alpha=0.5, zorder=0, label=label)
        axis.axvline(best_epoch, color=COLOURS[6], linewidth=1, linestyle=":", label=f"kept: epoch {best_epoch}")
    for axis in axes[len(parts) :]:
        axis.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))  # nowhere in a panel is always free
    return figure


def _same_shape(history: pd.DataFrame, one: str, other: str) -> bool:
    """Return whether two parts differ by a factor only, so that one panel shows both."""
    sides = [s for s in _SIDES if {f"{s}_{one}", f"{s}_{other}"} <= set(history.columns)]
    values = [history[[f"{s}_{one}", f"{s}_{other}"]].dropna().to_numpy(dtype=float) for s in sides]
    first, second = np.concatenate([np.empty((0, 2)), *values]).T
    return len(first) > 0 and np.allclose(first * second[0], second * first[0], rtol=1e-6, atol=0)


def _part(column: str) -> str:
    side, _, part = column.partition("_")
    return part if side in _SIDES else ""


def _growth(history: pd.DataFrame) -> list[float]:
    """Return where the resolution changes: halfway between two epochs."""
    if "train_resolution" not in history:
        return []
    grown = history["train_resolution"].diff().fillna(0) != 0
    return [float(epoch) - 0.5 for epoch in history.loc[grown, "epoch"]]


def _panel(axis: Axes, history: pd.DataFrame, part: str) -> None:
    """Draw one part of the loss by epoch."""
    shown = []
    for side, (colour, marker, label) in _SIDES.items():
        column = f"{side}_{part}"
        if column in history and history[column].notna().any():
            few = marker if len(history) <= 30 else ""
            axis.plot(history["epoch"], history[column], color=colour, marker=few, markersize=3.5, label=label)
            shown.append(history[column].to_numpy(dtype=float))
    values = np.concatenate(shown)
    if values.min() > 0 and values.max() > 20 * values.min():
        axis.set_yscale("log")
    if part == "resolution":
        for line in axis.lines:
            line.set_drawstyle("steps-mid")
        axis.set_yscale("log", base=2)
        axis.set_yticks(np.unique(values), [f"{side:g}" for side in np.unique(values)])
    title = (_PANELS | _TITLES).get(part, part.replace("_", " "))
    axis.set(title=title, xlabel="epoch", xlim=(0.5, history["epoch"].max() + 0.5))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def shown_epochs(epochs: int, best_epoch: int) -> list[int]:
    """Return the epochs to draw, from 1: the first, the last, the best, and some between, closer at the start."""
    if epochs <= _ROWS:
        return list(range(1, epochs + 1))
    spaced = {int(e) for e in np.geomspace(1, epochs, _ROWS - 1).round()}
    return sorted(spaced | {best_epoch})


def epochs(originals: NDArray[Any], drawn: Mapping[int, NDArray[Any]], best_epoch: int) -> Figure:
    """Return originals (n, C, H, W) over their reconstructions after some epochs, one row an epoch."""
    labels = ["original", *(f"epoch {e}" + (" (kept)" if e == best_epoch else "") for e in drawn)]
    rows = [list(originals), *(list(tiles) for tiles in drawn.values())]
    return grid(rows, labels, title="The same cells, reconstructed after each epoch")


def masked(originals: NDArray[Any], seen: NDArray[Any], drawn: NDArray[Any]) -> Figure:
    """Return originals (n, C, H, W) over the part of them that the model was shown, and what it made of that."""
    rows = [list(originals), list(seen), list(drawn)]
    return grid(rows, ["original", "masked input", "hidden part drawn"], title="The same cells, completed by the model")
