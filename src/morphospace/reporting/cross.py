"""The cross table in a figure and in words."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from morphospace.reporting.figures import new
from morphospace.words import count

Number = Mapping[str, Any]


def heatmaps(table: pd.DataFrame, title: str) -> Figure:
    """Return two heat maps, rows the class of the data, columns that of the model.

    The left one has the errors: a dark row is data that are hard for every model. The right one has each row divided by
    the error of its own model: a column that is below 1 in a row draws these cells better than their own model.

    Parameters
    ----------
    table
        A row a pair: ``data``, ``model``, ``mse`` and ``ratio`` with ``_low`` and ``_high``, ``cells``, ``groups``.
    title
        Above both.
    """
    classes = list(dict.fromkeys(table["data"]))
    k = len(classes)
    figure = new(4.6 + 1.7 * k, 2.2 + 0.62 * k)
    left, right = figure.subplots(1, 2, sharey=True)
    thousandths = table.assign(**{c: 1000 * table[c] for c in ("mse", "mse_low", "mse_high")})
    errors = left.imshow(_square(thousandths, "mse", classes), cmap="cividis_r", aspect="auto")
    ratios = _square(table, "ratio", classes)
    far = max(0.02, float(np.nanmax(np.abs(ratios - 1))))
    shares = right.imshow(ratios, cmap="PuOr_r", norm=TwoSlopeNorm(1, 1 - far, 1 + far), aspect="auto")
    for axis, image, rows, name in ((left, errors, thousandths, "mse"), (right, shares, table, "ratio")):
        _annotate(axis, image, rows, name, classes)
        axis.set_xticks(range(k), classes, rotation=30, ha="right", rotation_mode="anchor")
        axis.set_xlabel("class of the model")
        axis.spines[:].set_visible(False)
    sizes = table.drop_duplicates("data")[["cells", "groups"]].to_numpy(int)
    names = [f"{c}\n{_sizes(n, g)}" for c, (n, g) in zip(classes, sizes, strict=True)]
    left.set_yticks(range(k), names)
    left.set_ylabel("class of the held-out cells")
    figure.colorbar(errors, ax=left, label="mean squared error × 1,000 (full intensity is 1)")
    figure.colorbar(shares, ax=right, label="error / error of the row's own model")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def title(found: Number) -> str:
    """Return how well the lowest error names the class, beside the floors."""
    return (
        f"{found['model']}, {found['trained_on']:,} training cells a class, {found['epochs']} epochs. "
        f"Class = model with the lowest error:\naccuracy {_said(found['accuracy'])}, "
        f"majority {_short(found['majority']['accuracy'])}; balanced accuracy {_said(found['balanced_accuracy'])}, "
        f"chance {found['chance']:.3f}"
    )


def text(found: Number) -> str:
    """Return the table in a few lines: who is hard, whose own model is best, whether the error names the class."""
    errors: Mapping[str, Mapping[str, Number]] = found["mse"]
    classes = list(errors)
    best = {c: min(errors[c], key=lambda m: errors[c][m]["value"]) for c in classes}
    own = [c for c in classes if best[c] == c]
    trained = f"{found['model']}, z_dim {found['z_dim']}, {found['size']} px, {found['epochs']} epochs"
    held = f"{found['held_out_cells']:,} held-out cells in {found['held_out_groups']:,} groups ({found['group']})"
    others = [c for c in classes if c not in own]
    lines = [
        f"{len(classes)} models ({trained}), {found['trained_on']:,} training cells each; {held}.",
        *(_row(c, errors[c]) for c in classes),
        f"The own model has the lowest mean error for {len(own)} of {len(classes)} classes"
        + (f" (not {', '.join(others)})." if others else "."),
        *_hard(errors),
        f"Class = the model with the lowest error: accuracy {_said(found['accuracy'])}, majority class "
        f"{_said(found['majority']['accuracy'])}; balanced accuracy {_said(found['balanced_accuracy'])}, "
        f"chance {found['chance']:.3f}. {_verdict(found)}",
    ]
    if found["cut_cells"]:
        lines.append(f"{found['cut_cells']:,} held-out cells show something outside the {found['size']} px used.")
    for x in found["left_out"]:
        lines.append(f"Left out: {x['cells']:,} cells of {x['label'] or 'no class'}: {x['reason']}.")
    return "\n".join(lines)


def _row(data: str, errors: Mapping[str, Number]) -> str:
    each = ", ".join(f"{model} {1000 * e['value']:.3f}" for model, e in errors.items())
    one = next(iter(errors.values()))
    return f"  {data} ({_sizes(one['cells'], one['groups'])}), MSE x 1,000 by model: {each}"


def _hard(errors: Mapping[str, Mapping[str, Number]]) -> list[str]:
    """Say so when every model ranks the same class as the hardest: 001-12 had that."""
    hardest = {max(errors, key=lambda c: errors[c][m]["value"]) for m in errors}
    return [f"Cells of {hardest.pop()} are the hardest for every model."] if len(hardest) == 1 else []


def _verdict(found: Number) -> str:
    low, high = found["balanced_accuracy"]["low"], found["balanced_accuracy"]["high"]
    if low is None or np.isnan(low):
        return "Without an interval, nothing follows."
    if low > found["chance"]:
        lead = found["lead_over_majority"]["accuracy"]["low"]
        return "The error tells about the class" + (
            ", and leads over the majority." if lead > 0 else ", but does not lead over the majority."
        )
    return "The error tells nothing about the class." if high >= found["chance"] else "The error misleads."


def _annotate(axis: Axes, image: Any, table: pd.DataFrame, name: str, classes: list[str]) -> None:
    values, low, high = (_square(table, f"{name}{end}", classes) for end in ("", "_low", "_high"))
    for (r, c), value in np.ndenumerate(values):
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        said = f"{value:.2f}" + ("" if np.isnan(low[r, c]) else f"\n{low[r, c]:.2f} to {high[r, c]:.2f}")
        said = "1\n(own)" if name == "ratio" and r == c else said
        axis.text(c, r, said, ha="center", va="center", fontsize=7, color="white" if dark else "black")


def _square(table: pd.DataFrame, column: str, classes: list[str]) -> Any:
    return table.pivot_table(column, "data", "model", dropna=False).loc[classes, classes].to_numpy(float)


def _sizes(cells: int, groups: int) -> str:
    return f"{count(cells, 'cell')}, {count(groups, 'group')}"


def _said(e: Number) -> str:
    if e["low"] is None or np.isnan(e["low"]):
        return f"{e['value']:.3f}"
    return f"{e['value']:.3f} ({e['low']:.3f} to {e['high']:.3f})"


def _short(e: Number) -> str:
    return f"{e['value']:.3f}"
