"""The comparison of models: its table, its first line, its figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter
from numpy.typing import NDArray

from morphospace.reporting.figures import COLOURS, grid, new
from morphospace.reporting.page import Table, interval, number

MODEL, REFERENCE = "model", "reference"
CLASSIFIERS = {"random_forest": "forest", "logistic_regression": "logistic"}
AHEAD = "seconds_to_beat_views"  # column: time to skill
SCORES = ("macro_f1", "accuracy", "balanced_accuracy")
NOT_BOTTLENECK = "*"  # behind the S of a model that draws from more than its latent point
_LINEAR, _TICKS = 0.5, (-300, -100, -30, -10, -3, -1, -0.5, -0.25, 0, 0.1, 0.25, 0.5)  # of the axis of the skill
_WIN, _LOSE, _TIE = COLOURS[0], COLOURS[3], COLOURS[6]


def ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by data set, best skill over PCA first; those that draw nothing come last, by macro F1."""
    keys = ["dataset", "skill", "random_forest_macro_f1"]
    return table.sort_values(keys, ascending=[True, False, False], kind="stable", na_position="last", ignore_index=True)


def verdict(table: pd.DataFrame) -> str:
    """Return one sentence a data set: who wins over PCA with as many numbers a cell, who ties with it, who loses.

    The interval of the skill decides. A model that draws from more than its latent point is not counted.
    """
    return " ".join(_verdict(str(name), rows) for name, rows in table.groupby("dataset", sort=False))


def _verdict(dataset: str, rows: pd.DataFrame) -> str:
    found = rows[(rows["kind"] == MODEL) & rows["skill"].notna() & rows["bottleneck"].astype(bool)]
    parts = {
        "better than": found[found["skill_low"] > 0],
        "as good as": found[~((found["skill_low"] > 0) | (found["skill_high"] < 0))],
        "worse than": found[found["skill_high"] < 0],
    }
    k = int(rows["z_dim"].max())
    said = [f"{how} PCA-{k}: {_names(part)}" for how, part in parts.items() if len(part)]
    if parts["better than"].empty:
        said.insert(0, f"no model is better than PCA-{k}")
    return f"On {dataset}, {'; '.join(said)}."


def _names(rows: pd.DataFrame) -> str:
    return ", ".join(f"{name} ({skill:+.2f})" for name, skill in zip(rows["name"], rows["skill"], strict=True))


def reconstruction(rows: pd.DataFrame) -> Table:
    """Return the table of how well each draws cells of held-out groups, and what it cost."""
    head = ["", "skill over PCA", "S", "SSIM", "active units", "parameters", "images/s", "epochs (best)"]
    head += ["CPU s", "CPU s to beat PCA of 8 views"]
    body = []
    for row in rows.to_dict("records"):
        epochs = "–" if pd.isna(row["epochs"]) else f"{row['epochs']:.0f} ({row['best_epoch']:.0f})"
        speed = [_whole(row[c]) for c in ("active_units", "parameters", "images_per_second")]
        body.append([_name(row), *(_drawn(row, m, d) for m, d in (("skill", 3), ("S", 4), ("ssim", 3))), *speed])
        ahead = row.get(AHEAD, np.nan)
        body[-1] += [epochs, number(float(row["cpu_seconds"]), 3), "–" if pd.isna(ahead) else number(float(ahead), 3)]
    caption = (
        "Cells of held-out groups, best first. Skill is 1 − (mean squared error) / (that of PCA with as many numbers a "
        "cell): 0 is PCA, negative is worse. CPU s: training steps of a model; the whole fit of PCA. The last column: "
        "after how many the error on validation cells was below that of PCA of all eight views of each cell; –: never"
    )
    if any(_name(row).endswith(NOT_BOTTLENECK) for row in rows.to_dict("records")):
        caption += f". {NOT_BOTTLENECK} draws from more than its latent point: its S is not one of {_k(rows)} numbers"
    return Table(caption, head, body, marked=[i for i, s in enumerate(rows["skill_low"]) if s > 0])


def embedding(rows: pd.DataFrame, floors: pd.DataFrame) -> Table:
    """Return the table of how well classifiers name the class of held-out groups, the floors below."""
    head = ["", *(f"{short}: {score.replace('_', ' ')}" for short in CLASSIFIERS.values() for score in SCORES)]
    both = pd.concat([rows[rows["kind"] == MODEL], floors])
    both = both.sort_values("random_forest_macro_f1", ascending=False, kind="stable")
    keys = [f"{name}_{score}" for name in CLASSIFIERS for score in SCORES]
    body = [[str(row["name"]), *(_interval(row, key, 3) for key in keys)] for row in both.to_dict("records")]
    caption = (
        "Class of cells of held-out groups, named by classifiers fitted on training groups; best macro F1 of the "
        "forest first. Floors cost no training: a model below one has learned less than that floor knows"
    )
    marked = [i for i, kind in enumerate(both["kind"]) if kind == MODEL]
    return Table(caption, head, body, marked=marked)


def _name(row: Mapping[Any, Any]) -> str:
    drawn_from_more = row["kind"] == MODEL and row["reconstructs"] and not row["bottleneck"]
    return f"{row['name']} {NOT_BOTTLENECK}" if drawn_from_more else str(row["name"])


def _drawn(row: Mapping[Any, Any], metric: str, digits: int) -> str:
    return "draws nothing" if metric == "skill" and not row["reconstructs"] else _interval(row, metric, digits)


def _interval(row: Mapping[Any, Any], metric: str, digits: int) -> str:
    value, low, high = (float(row[f"{metric}{end}"]) for end in ("", "_low", "_high"))
    return "–" if np.isnan(value) else interval(value, low, high, digits)


def _whole(value: Any) -> str:
    return "–" if pd.isna(value) else number(round(float(value)))


def _k(rows: pd.DataFrame) -> int:
    return int(rows["z_dim"].max())


def skill(rows: pd.DataFrame) -> Figure:
    """Return the skill over PCA of each model with its interval, best at the top, a line at PCA itself."""
    found = rows[rows["skill"].notna()].iloc[::-1]
    found = found[(found["kind"] == MODEL) | (found["skill"] != 0)]
    figure = new(6.6, 0.32 * len(found) + 1.2)
    axis = figure.subplots()
    for y, row in enumerate(found.to_dict("records")):
        colour = _WIN if row["skill_low"] > 0 else _LOSE if row["skill_high"] < 0 else _TIE
        axis.plot([row["skill_low"], row["skill_high"]], [y, y], color=colour, linewidth=2)
        marker = "o" if row["kind"] == MODEL else "D"
        face = "white" if _name(row).endswith(NOT_BOTTLENECK) else colour
        axis.plot([row["skill"]], [y], marker, color=colour, markerfacecolor=face, markersize=5)
    axis.axvline(0, color="black", linewidth=1)
    axis.set_yticks(range(len(found)), [_name(row) for row in found.to_dict("records")])
    label = f"skill over PCA-{_k(rows)}: 1 − MSE / MSE of PCA, cells of held-out groups"
    if (found["skill_low"] < -1).any():
        label += _logarithmic(axis.xaxis)
    axis.set_xlabel(label)
    for colour, label in ((_WIN, "better than PCA"), (_TIE, "cannot be told apart"), (_LOSE, "worse")):
        axis.plot([], [], "o-", color=colour, markersize=5, label=label)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return figure


def _logarithmic(axis: Axis) -> str:
    """Let skills be logarithmic where they are low; return what the label of the axis says of it.

    A poor model has no lowest skill, and would press the others together.
    """
    scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
    scale("symlog", linthresh=_LINEAR, linscale=1.5)
    low, high = axis.get_view_interval()
    axis.set_ticks([t for t in _TICKS if low <= t <= high])
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())
    return f"\n(logarithmic below −{_LINEAR:g})"


def classes(rows: pd.DataFrame, floors: pd.DataFrame) -> Figure:
    """Return the macro F1 of each embedding with intervals, a panel a classifier; each floor is a line across."""
    found = rows[rows["kind"] == MODEL].sort_values("random_forest_macro_f1", kind="stable")
    figure = new(8.2, 0.3 * len(found) + 1.6)
    axes = figure.subplots(1, len(CLASSIFIERS), sharey=True, squeeze=False)[0]
    styles = ["-", "--", "-.", ":"]
    for axis, (name, short) in zip(axes, CLASSIFIERS.items(), strict=True):
        key = f"{name}_macro_f1"
        for y, row in enumerate(found.to_dict("records")):
            axis.plot([row[f"{key}_low"], row[f"{key}_high"]], [y, y], color=COLOURS[0], linewidth=2)
            axis.plot([row[key]], [y], "o", color=COLOURS[0], markersize=5)
        for n, floor in enumerate(floors.to_dict("records")):
            style = {"color": [*COLOURS[1:5]][n % 4], "linestyle": styles[n % 4]}
            axis.axvline(floor[key], linewidth=1.3, label=str(floor["name"]), **style)
        axis.set_yticks(range(len(found)), found["name"])
        axis.set_xlabel(f"macro F1, {'random forest' if short == 'forest' else 'logistic regression'}")
        axis.set_xlim(left=0)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


def curves(lines: Mapping[str, Sequence[Sequence[float]]], references: Mapping[str, float]) -> Figure:
    """Return the skill over PCA on validation cells of every model against the processor seconds it had.

    Parameters
    ----------
    lines
        Pairs of seconds and mean squared error of each model, an epoch each.
    references
        Mean squared error by name, that of PCA first: the skill is over it, and each is a line across.
    """
    figure = new(7.4, 0.16 * max(0, len(lines) - 12) + 4.2)
    axis = figure.subplots()
    markers, strokes = ["o", "s", "^", "D"], ["-", "--", ":", "-."]
    base = next(iter(references.values()))
    lowest = 0.0
    for n, (name, points) in enumerate(lines.items()):
        seconds, errors = np.asarray(points, dtype=float).T
        lap, skills = n // 6, 1 - errors / base
        lowest = min(lowest, float(skills.min()))
        look: dict[str, Any] = {"color": COLOURS[n % 6], "linestyle": strokes[lap % 4], "marker": markers[lap % 4]}
        axis.plot(seconds, skills, markersize=3, linewidth=1.2, label=name, **look)
    for (name, error), stroke in zip(references.items(), ("-", "--"), strict=False):
        axis.axhline(1 - error / base, color="black", linewidth=1.2, linestyle=stroke, label=name)
    label = f"skill over {next(iter(references))}, validation cells"
    if lowest < -1:
        label += _logarithmic(axis.yaxis)
    axis.set(xlabel="processor seconds of training steps", ylabel=label)
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def gallery(originals: NDArray[Any], drawn: Mapping[str, NDArray[Any]]) -> Figure:
    """Return the same test cells (n, C, H, W) as they are and as each method draws them, a row each."""
    rows = [list(originals), *(list(tiles) for tiles in drawn.values())]
    return grid(rows, ["original", *drawn], tile=0.8)
