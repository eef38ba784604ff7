"""The verdict, and the table of scores beside their floors."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from morphospace.reporting.page import NOT_MEASURED, Block, Table, Text, interval, number

TRIVIAL = {
    "black": "an all-black picture",
    "constant": "one constant colour",
    "mean": "the mean image",
    "median": "the median image",
}
_DIGITS = {"psnr": 2, "psnr_per_cell": 2, "mse": 5}
_METRICS = {
    "S": "S",
    "S_legacy": "S legacy",
    "mae": "MAE",
    "mse": "MSE",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
}
Metrics = Mapping[str, Any]


def headline(found: Metrics | None, model: str) -> str:
    """Return the verdict in one sentence: who wins, S with its interval, PCA, and the best floor.

    The winner is decided by the interval of the paired skill against PCA (mean squared error), when there is one. Of a
    model that draws nothing it is the verdict of the stage.
    """
    if found and not found.get("reconstructs", True):
        return str(found["verdict"])
    if not found or found.get("S") is None:
        return f"The similarity of {model} was {NOT_MEASURED}: nothing can be said of how well it reconstructs."
    name, best = _best(found)
    score = interval(found["S"], found.get("S_low"), found.get("S_high"))
    pca = f"PCA-{found.get('pca_k', '?')}"
    rest = f"{pca} {interval(found.get('S_pca'), None, None)}, {name} {interval(best, None, None)}"
    if best is not None and found["S"] <= best:
        return f"{model} is no better than {name}: similarity S = {score} on unseen cells, {rest}."
    return f"{_winner(found, model, pca)}: similarity S = {score} on unseen cells, {rest}."


def _best(found: Metrics) -> tuple[str, float | None]:
    """Return the best of the predictors that know nothing of the cell, in words, and its S."""
    known = {name: found.get(f"S_{name}") for name in TRIVIAL}
    scored = {name: float(value) for name, value in known.items() if value is not None}
    if not scored:
        return "the best trivial floor", None
    best = max(scored, key=lambda name: scored[name])
    return TRIVIAL[best], scored[best]


def _winner(found: Metrics, model: str, pca: str) -> str:
    low, high = found.get("skill_pca_low"), found.get("skill_pca_high")
    if found.get("S_pca") is None:
        return f"{model} was not compared with PCA"
    if low is None or high is None:
        return f"{model} against {pca} is undecided, for want of an interval"
    if high < 0:
        return f"{pca} beats {model}"
    return f"{model} beats {pca}" if low > 0 else f"{model} and {pca} cannot be told apart"


def summary(found: Metrics | None) -> list[str]:
    """Return the paragraphs under the verdict: what S is, what it was measured on, and the longer verdict."""
    if not found or not found.get("reconstructs", True):
        return []
    # The sentence begins with the winner, whom the headline has named.
    longer = str(found.get("verdict") or "").partition(": ")[2]
    lines = [longer[:1].upper() + longer[1:]] if longer else []
    lines.append(
        f"S is 1 minus the mean absolute error of images in [0, 1], on {number(found.get('n_cells_test'))} cells of "
        f"{number(found.get('n_groups_test'))} wells that training never saw; brackets are intervals over wells. Most "
        "of a tile is black, so every method scores high: read S only beside its floors. Skill over the best trivial "
        f"floor (MAE): {_skill(found, 'mae')}; over PCA (MSE): {_skill(found, 'pca')}. 1 is perfect, 0 no better, "
        "below 0 worse."
    )
    if found.get("refines"):
        lines.append(
            "The latent point of each cell is the encoder's, refined by Gauss-Newton steps; by the encoder alone the "
            f"skill over PCA is {_skill(found, 'pca_encoder')}."
        )
    return lines


def _skill(found: Metrics, name: str) -> str:
    value, low, high = (found.get(f"skill_{name}{end}") for end in ("", "_low", "_high"))
    return interval(value, low, high, 3)


def blocks(found: Metrics | None, table: pd.DataFrame | None, model: str) -> list[Block]:
    """Return the tables of scores: floors on test cells, splits apart, and inside the cell by channel.

    Parameters
    ----------
    found
        ``similarity.json``.
    table
        ``similarity.csv``: split, region, channel, method, metric, value, low, high, n_cells, n_groups.
    model
        The model's name.
    """
    if not found or table is None or table.empty:
        return [Text(f"Similarity: {NOT_MEASURED}.")]
    names = {"model": model, "pca": f"PCA-{found.get('pca_k', '?')}", "perfect": "the image itself", **TRIVIAL}
    if found.get("S_encoder") is not None:
        names |= {"model": f"{model}, refined", "encoder": "its encoder alone"}
    return [_floors(table, names), *_legacy(found, model), *_splits(table), *_inside(table, names)]


def _legacy(found: Metrics, model: str) -> list[Block]:
    """Return what each step of the thesis's similarity costs; nothing of a model that has none."""
    costs = [found.get(f"legacy_cost_{step}") for step in ("stretch", "sampling", "input")]
    if found.get("S_legacy") is None or None in costs:
        return []
    stretch, sampling, pixels = (number(cost, 3) for cost in costs)
    return [
        Text(
            f"S legacy of {model} on test cells is {number(found['S_legacy'], 3)}: S {number(found['S'], 3)}, less "
            f"{stretch} by the stretch of each picture to its full range, {sampling} by decoding a sample of the "
            f"posterior, {pixels} by pixels of 0 to 255 for a network trained on 0 to 1."
        )
    ]


def _floors(table: pd.DataFrame, names: Mapping[str, str]) -> Table:
    here = table[(table["split"] == "test") & (table["region"] == "all") & (table["channel"] == "all")]
    methods = _ranked(here)
    metrics = [m for m in _METRICS if m in set(here["metric"])]
    rows = [[names.get(m, m), *(_score(here, metric, method=m) for metric in metrics)] for m in methods]
    caption = (
        "Test cells: the model beside what knows nothing of the cell, and beside PCA with as many numbers a cell, "
        "all fitted on training cells. S legacy is that of the thesis, which stretched each reconstruction to its full "
        "range (see what that makes of the image itself) and, of the model, took the steps below the table"
    )
    marked = [i for i, m in enumerate(methods) if m == "model"]
    return Table(caption, ["", *(_METRICS[m] for m in metrics)], rows, marked=marked)


def _splits(table: pd.DataFrame) -> list[Block]:
    """Return the scores of the model on each split; nothing of one that draws nothing."""
    here = table[(table["method"] == "model") & (table["region"] == "all") & (table["channel"] == "all")]
    if here.empty:
        return []
    metrics = [m for m in _METRICS if m in set(here["metric"])]
    rows = []
    for split in [s for s in ("train", "validation", "test") if s in set(here["split"])]:
        part = here[here["split"] == split]
        counts = [number(int(part[c].iloc[0])) for c in ("n_cells", "n_groups")]
        rows.append([split, *counts, *(_score(part, m, method="model") for m in metrics)])
    head = ["split", "cells", "wells", *(_METRICS[m] for m in metrics)]
    return [Table("The model on each split: train far above test is overfitting", head, rows)]


def _inside(table: pd.DataFrame, names: Mapping[str, str]) -> list[Block]:
    """Return S inside the cell, over all channels and by channel."""
    here = table[(table["split"] == "test") & (table["region"] == "inside") & (table["metric"] == "S")]
    if here.empty:
        return []
    channels = list(dict.fromkeys(here["channel"]))
    methods = _ranked(here[here["channel"] == "all"])
    rows = [[names.get(m, m), *(_score(here, "S", method=m, channel=c) for c in channels)] for m in methods]
    head = ["", *("all channels" if c == "all" else str(c) for c in channels)]
    marked = [i for i, m in enumerate(methods) if m == "model"]
    return [Table("S inside the cell only, on test cells: the black around it left out", head, rows, marked=marked)]


def _ranked(table: pd.DataFrame) -> list[str]:
    """Return the methods, best S first."""
    scored = table[table["metric"] == "S"].sort_values("value", ascending=False, kind="stable")
    return [str(m) for m in scored["method"]]


def _score(table: pd.DataFrame, metric: str, **where: str) -> str:
    rows = table[table["metric"] == metric]
    for column, value in where.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        return "–"
    row = rows.iloc[0]
    return interval(float(row["value"]), float(row["low"]), float(row["high"]), _DIGITS.get(metric, 4))
