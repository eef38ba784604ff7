"""Pictures of a training: the curves, and fixed cells as each epoch reconstructs them (000-32, 000-33)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from morphospace.reporting.figures import COLOURS, grid, new

_PANELS = {"loss": "loss", "reconstruction": "reconstruction, R × MSE", "kl": "KL, nats"}
_SIDES = {
    "train": (COLOURS[0], "o", "train (samples)"),
    "validation": (COLOURS[3], "s", "validation (means)"),
}
_ROWS = 8  # epochs shown, at most


def curves(history: pd.DataFrame, best_epoch: int) -> Figure:
    """Return loss, reconstruction and KL by epoch, train and validation, and the epoch whose weights are kept.

    `history` has `epoch`, ``train_<part>`` and, where there is a validation split, ``validation_<part>``. The axis is
    logarithmic where a curve spans more than a factor of 20.
    """
    figure = new(10.5, 3.2)
    for axis, (part, title) in zip(figure.subplots(1, len(_PANELS)), _PANELS.items(), strict=True):
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
        axis.axvline(best_epoch, color=COLOURS[6], linewidth=1, linestyle=":", label=f"kept: epoch {best_epoch}")
        axis.set(title=title, xlabel="epoch", xlim=(0.5, history["epoch"].max() + 0.5))
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.axes[0].legend(frameon=True, facecolor="white", framealpha=1, edgecolor="none")
    return figure


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
