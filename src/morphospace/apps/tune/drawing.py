"""The trials of a search: a table, and a figure of how it went and of what each parameter did."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from morphospace.reporting import figures, page

_MARKS = {  # state: marker, colour, filled
    "complete": ("o", figures.COLOURS[0], True),
    "pruned": ("v", figures.COLOURS[1], False),
    "interrupted": ("s", figures.COLOURS[6], False),
}
_COLUMNS = 3  # panels side by side
_DECADE = 20  # a factor from which on an axis is logarithmic


def markdown(found: pd.DataFrame, keys: Sequence[str], floor_name: str, floor: float) -> str:
    """Return the trials, best first, as a Markdown table.

    Parameters
    ----------
    found
        A row a trial: trial, state, validation_mse, skill, validation_kl, epochs, seconds, experiment, reason, and
        the parameters.
    keys
        The parameters.
    floor_name, floor
        The best picture that knows nothing of the cell, and its mean squared error on the validation cells.
    """
    head = ["trial", "state", *keys, "validation MSE", "skill", "KL, nats", "epochs", "time, s", "experiment"]
    order = found.assign(late=found["state"] != "complete").sort_values(["late", "validation_mse", "trial"])
    rows = []
    for row in order.to_dict("records"):
        values = [row[k] for k in (*keys, "validation_mse", "skill", "validation_kl", "epochs", "seconds")]
        state = row["state"] if row["reason"] is None or row["reason"] != row["reason"] else f"failed: {row['reason']}"
        rows.append([str(row["trial"]), state, *(page.number(_plain(v)) for v in values), str(row["experiment"] or "")])
    lines = [head, ["---"] * len(head), *rows]
    escaped = [[c if i == 1 else str(page.escape_markdown(c)) for c in row] for i, row in enumerate(lines)]
    return "\n".join(
        [
            "# Trials",
            "",
            f"The mean squared error is of validation cells, drawn from their latent means. Skill is 1 where perfect, "
            f"0 where no better than the {floor_name} picture ({floor:.4g}). A pruned trial shows its last epoch.",
            "",
            *(f"| {' | '.join(row)} |" for row in escaped),
            "",
        ]
    )


def figure(
    found: pd.DataFrame,
    keys: Sequence[str],
    floor_name: str,
    floor: float,
    importances: Mapping[str, float],
    logs: Collection[str] = (),
) -> Figure:
    """Return the validation error by trial, and by the value of each parameter.

    Parameters
    ----------
    found, keys, floor_name, floor
        As of `markdown`.
    importances
        Share of each parameter in the spread, where it is known.
    logs
        The parameters that were drawn evenly in their logarithm.
    """
    rows = -(-len(keys) // _COLUMNS)
    made = figures.new(9.6, 3.0 + 2.6 * rows)
    grid = made.add_gridspec(1 + rows, _COLUMNS, height_ratios=[1.2] + [1] * rows)
    shown = found[found["validation_mse"].notna()]
    first = made.add_subplot(grid[0, :])
    _history(first, shown, floor_name, floor)
    _failed(first, found)
    if first.get_legend_handles_labels()[0]:
        first.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    for i, key in enumerate(keys):
        axis = made.add_subplot(grid[1 + i // _COLUMNS, i % _COLUMNS])
        _slice(axis, shown, key, key in logs)
        share = f"; importance {importances[key]:.2f}" if key in importances else ""
        axis.set_xlabel(f"{key}{share}")
        if i % _COLUMNS == 0:
            axis.set_ylabel("validation MSE")
    return made


def _history(axis: Any, shown: pd.DataFrame, floor_name: str, floor: float) -> None:
    """Draw the trials in their order, the best so far, and the floor where it is near."""
    _points(axis, shown, shown["trial"])
    done = shown[shown["state"] == "complete"]
    if len(done):
        best = done["validation_mse"].cummin()
        axis.step(done["trial"], best, where="post", color=figures.COLOURS[2], label="best so far")
    if len(shown) and floor < 5 * shown["validation_mse"].max():
        axis.axhline(floor, color=figures.COLOURS[3], linestyle="--", label=f"{floor_name} picture")
    if len(shown) and max(shown["validation_mse"].max(), floor) > _DECADE * shown["validation_mse"].min() > 0:
        axis.set_yscale("log")
    axis.set(xlabel="trial", ylabel="validation MSE (does not start at 0)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _failed(axis: Any, found: pd.DataFrame) -> None:
    """Mark the trials without a value at the foot of the panel."""
    lost = found[(found["state"] == "fail")]
    if len(lost):
        where = axis.get_xaxis_transform()
        marks = np.full(len(lost), 0.03)
        axis.plot(lost["trial"], marks, "x", color=figures.COLOURS[7], transform=where, label="failed", clip_on=False)


def _slice(axis: Any, shown: pd.DataFrame, key: str, logarithmic: bool) -> None:
    """Draw the trials by one parameter: choices side by side, numbers on an axis."""
    values = shown[key]
    numeric = pd.to_numeric(values, errors="coerce")
    if not len(shown) or numeric.isna().any() or values.map(lambda v: isinstance(v, bool)).any():
        names = sorted({str(v) for v in values})
        _points(axis, shown, values.map(lambda v: names.index(str(v))))
        axis.set_xticks(range(len(names)), names)
        return
    _points(axis, shown, numeric)
    if logarithmic:
        axis.set_xscale("log")
    if numeric.nunique() <= 5 and (numeric % 1 == 0).all():
        axis.set_xticks(sorted(numeric.unique()), [f"{v:g}" for v in sorted(numeric.unique())])
        axis.minorticks_off()


def _points(axis: Any, shown: pd.DataFrame, x: "pd.Series[Any]") -> None:
    for state, (marker, colour, filled) in _MARKS.items():
        of = shown["state"] == state
        if of.any():
            face = colour if filled else "none"
            axis.plot(x[of], shown["validation_mse"][of], marker, color=colour, markerfacecolor=face, label=state)


def _plain(value: Any) -> Any:
    """Return a NumPy number as Python's."""
    return value.item() if hasattr(value, "item") else value
