"""``compare --models``: every model and variant on the same cells, with the same budget, in one report."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import typer

from morphospace import files, params, schema, tables
from morphospace.commands import _contest
from morphospace.commands._cell_sets import Cells
from morphospace.commands._contenders import Contender
from morphospace.commands._contest import PCA, PCA_VIEWS, Result
from morphospace.errors import StoppedError, TrainingError
from morphospace.metrics import bootstrap
from morphospace.metrics.classification import EMBEDDING
from morphospace.reporting import contest as drawing
from morphospace.reporting import figures, page
from morphospace.training import process
from morphospace.training.allowance import Budget

RECORD = "comparison.json"
_RESAMPLES = 8  # stream of random numbers
_COSTS = ("parameters", "images_per_second", "steps", "epochs", "best_epoch", "cpu_seconds", "seconds", "active_units")


class Compared(NamedTuple):
    """What one data set gave: results by name, why others have none, and what needs no training."""

    cells: Cells
    results: dict[str, Result]
    refused: dict[str, str]
    references: Result


def run(data_sets: Sequence[Cells], contenders: Sequence[Contender], budget: Budget, output: Path) -> None:
    """Train what is not trained yet, and write the report; a folder that holds something else is refused."""
    files.require_own(output)
    torch.set_num_threads(contenders[0].options.train.threads)
    process.keep_memory()
    options = contenders[0].options
    compared = [_compare(cells, contenders, budget) for cells in data_sets]
    table = drawing.ordered(pd.concat([_table(one, options) for one in compared], ignore_index=True))
    floors = pd.concat([_floors(one) for one in compared], ignore_index=True)
    with files.replacing_folder(output, listed=True) as folder:
        tables.write_csv(pd.concat([table, floors], ignore_index=True), folder / "comparison.csv")
        shown = _page(compared, table, floors, folder, budget)
        record = {"verdict": shown.verdict, "budget": budget._asdict(), "seed": options.seed, "z_dim": options.z_dim}
        record["data_sets"] = [_record(one) for one in compared]
        files.write_json(folder / RECORD, record)
        (folder / "report.md").write_text(page.to_markdown(shown, folder), encoding="utf-8")
        (folder / "report.html").write_text(page.to_html(shown), encoding="utf-8")
    typer.echo(shown.verdict)
    typer.echo(f"all of it: {output}")


def _compare(cells: Cells, contenders: Sequence[Contender], budget: Budget) -> Compared:
    """Return the results on one data set, each kept as soon as it is there."""
    rows = cells.rows
    sizes = ", ".join(f"{len(rows[split]):,} {split}" for split in rows)
    typer.echo(f"{cells.name}: {cells.what}, {sizes}")
    first = contenders[0]
    references, _ = _contest.kept(
        _contest.floors_key(cells, first.options), lambda _: _contest.references(cells, first)
    )
    results: dict[str, Result] = {}
    refused: dict[str, str] = {}
    for n, contender in enumerate(contenders, 1):
        key = _contest.key(cells, contender.options, budget)
        train = partial(_contest.trained, contender, cells, budget, fingerprint=key)
        try:
            results[contender.name], made = _contest.kept(key, train)
        except StoppedError:
            raise
        except TrainingError as error:
            refused[contender.name] = str(error)
            typer.echo(f"{cells.name} {n}/{len(contenders)} {contender.name}: {error}")
            continue
        took = results[contender.name].record
        spent = f"{took['cpu_seconds']:.0f} CPU s, {took['steps']:,} steps, {took['epochs']} epochs"
        said = spent if made else "kept from before"
        typer.echo(f"{cells.name} {n}/{len(contenders)} {contender.name}: {said}")
    return Compared(cells, results, refused, references)


def _table(one: Compared, options: params.Params) -> pd.DataFrame:
    """Return a row a model, and one for each PCA."""
    test = one.cells.rows[schema.TEST]
    groups = np.asarray(one.cells.groups)[test]
    rng = np.random.default_rng([options.seed, _RESAMPLES])
    draws = bootstrap.resample(groups, options.similarity.bootstrap, options.similarity.confidence, rng)
    base = one.references.arrays[f"{PCA}/mse"]
    rows = []
    for name, record, arrays in _rows(one):
        found = {"dataset": one.cells.name, "name": name, "z_dim": options.z_dim, **record}
        found |= {column: np.nan for metric in ("skill", "S", "ssim") for column in _columns(metric)} | {"mse": np.nan}
        if "mse" in arrays:
            estimates = {
                "skill": draws.estimate(np.stack([arrays["mse"], base], axis=1), lambda m: 1 - m[..., 0] / m[..., 1]),
                "S": draws.estimate(1 - arrays["mae"]),
                "ssim": draws.estimate(arrays["ssim"]),
            }
            found |= {c: v for m, e in estimates.items() for c, v in zip(_columns(m), e[:3], strict=True)}
            found["mse"] = float(arrays["mse"].mean())
        rows.append(found)
    return pd.DataFrame(rows)


def _rows(one: Compared) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Return name, plain columns and arrays of every row."""
    found = []
    for name in (PCA, PCA_VIEWS):
        record = one.references.record[name]
        arrays = {k.removeprefix(f"{name}/"): v for k, v in one.references.arrays.items() if k.startswith(f"{name}/")}
        plain = {"kind": drawing.REFERENCE, "bottleneck": True, "reconstructs": True}
        plain |= {cost: record.get(cost, np.nan) for cost in _COSTS}
        found.append((name.replace(PCA, f"{PCA}-{record['k']}", 1), plain, arrays))
    views = one.references.record[PCA_VIEWS]["validation_mse"]
    for name, result in one.results.items():
        plain = {"kind": drawing.MODEL, drawing.AHEAD: _ahead(result.record["curve"], views)}
        plain |= {c: result.record[c] for c in ("bottleneck", "reconstructs", *_COSTS)}
        found.append((name, plain | _classified(result.record["scores"], EMBEDDING), result.arrays))
    return found


def _ahead(curve: Sequence[tuple[float, float]], error: float | None) -> float:
    """Return the processor seconds of training after which the validation error is below another; NaN if never."""
    return next((seconds for seconds, mse in curve if error is not None and mse < error), np.nan)


def _floors(one: Compared) -> pd.DataFrame:
    """Return a row a floor of the embedding's scores."""
    scores = one.references.record["scores"]
    names = {"majority": "majority class", "mean_intensity": "mean intensity", "random_projection": "random projection"}
    rows = [
        {"dataset": one.cells.name, "name": names.get(m, f"{PCA} of pixels"), "kind": "floor", **_classified(scores, m)}
        for m in dict.fromkeys(s["method"] for s in scores)
    ]
    return pd.DataFrame(rows)


def _classified(scores: Sequence[dict[str, Any]], method: str) -> dict[str, float]:
    """Return the scores of one method as columns."""
    return {
        column: value
        for of in scores
        if of["method"] == method
        for name in drawing.SCORES
        for column, value in zip(_columns(f"{of['classifier']}_{name}"), of["scores"][name], strict=True)
    }


def _columns(metric: str) -> tuple[str, str, str]:
    return metric, f"{metric}_low", f"{metric}_high"


def _record(one: Compared) -> dict[str, Any]:
    rows, groups = one.cells.rows, np.asarray(one.cells.groups)
    return {
        "name": one.cells.name,
        "cells": {split: len(of) for split, of in rows.items()},
        "groups": {split: len(set(groups[of])) for split, of in rows.items()},
        "by": one.cells.by,
        "not_compared": one.refused,
        "references": one.references.record,
        "models": {name: result.record for name, result in one.results.items()},
    }


def _page(
    compared: Sequence[Compared], table: pd.DataFrame, floors: pd.DataFrame, folder: Path, budget: Budget
) -> page.Page:
    sections = []
    for one in compared:
        name = one.cells.name
        rows, beside = table[table["dataset"] == name], floors[floors["dataset"] == name]
        pictures = _pictures(one, rows, beside, folder)
        blocks: list[page.Block] = [page.Text(_sizes(one)), drawing.reconstruction(rows), *pictures[:1]]
        blocks += [drawing.embedding(rows, beside), *pictures[1:]]
        if one.refused:
            blocks.append(page.Items([f"Not compared: {who}: {why}" for who, why in one.refused.items()]))
        sections.append(page.Section(name, blocks))
    return page.Page(
        title="Comparison of models",
        verdict=drawing.verdict(table),
        summary=[
            f"Every model was trained for {budget.text} with as many latent numbers "
            "as PCA has components; the weights of its best validation loss are scored on groups that it never saw.",
            "Intervals resample these groups. They hold for this one training of each model: another seed is not in "
            "them.",
        ],
        sections=sections,
        footer="Made by morphospace compare --models; see docs/model-comparison.md.",
    )


def _sizes(one: Compared) -> str:
    found = _record(one)
    parts = [f"{found['cells'][s]:,} {s} cells of {found['groups'][s]} groups" for s in found["cells"]]
    return f"{one.cells.what[0].upper()}{one.cells.what[1:]}, divided by {one.cells.by}: {', '.join(parts)}."


def _pictures(one: Compared, rows: pd.DataFrame, floors: pd.DataFrame, folder: Path) -> list[page.Picture]:
    """Draw the figures of one data set into a folder."""
    k = int(rows["z_dim"].max())
    order = [str(n) for n in rows["name"] if n in one.results]
    lines = {n: one.results[n].record["curve"] for n in order if one.results[n].record["curve"]}
    errors = {n.replace(PCA, f"{PCA}-{k}", 1): one.references.record[n]["validation_mse"] for n in (PCA, PCA_VIEWS)}
    drawn = {f"{PCA}-{k}": one.references.arrays[f"{PCA}/drawn"]}
    drawn |= {n: one.results[n].arrays["drawn"] for n in order if "drawn" in one.results[n].arrays}
    made = [
        ("skill", drawing.skill(rows), "Who beats PCA", "Bars are intervals over held-out groups; 0 is PCA."),
        ("classes", drawing.classes(rows, floors), "What the embeddings know", "Lines are floors; further right wins."),
    ]
    if one.cells.shown:
        gallery = drawing.gallery(one.references.arrays["originals"], drawn)
        made.append(("gallery", gallery, "The same cells", "Drawn at random."))
    if lines and None not in errors.values():
        said = "A model above the lines draws validation cells better than PCA; epochs end at a tenth of the budget."
        made.append(("curve", drawing.curves(lines, errors), "Skill while training", said))
    found = []
    for name, figure, title, caption in made:
        path = folder / f"{one.cells.name}_{name}.png"
        figures.save(figure, path)
        found.append(page.Picture(path, title, caption))
    return found
