"""The stage ``budget``: what the run took, and what the thesis's size would take."""

from pathlib import Path
from typing import Annotated, Any

import typer

from morphospace import files, params, records, tables
from morphospace.errors import InputError
from morphospace.reasons import explained, joined, of
from morphospace.reporting import budget, figures
from morphospace.reporting import plan as planning

COMPARED = (
    "hours",
    "cpu_hours",
    "peak_memory_mb",
    "cost_spot",
    "cost_on_demand",
    "storage_gb",
)  # by `dvc metrics diff`


def run(
    timings: Annotated[Path, typer.Argument(help="Folder of the timings that the stages wrote, one JSON each.")],
    index: Annotated[Path, typer.Argument(help="JSON of the index: how large the fields are.")],
    plan: Annotated[Path, typer.Argument(help="JSON of `morphospace budget --plan`; it may hold no plan.")],
    table: Annotated[Path, typer.Argument(help="CSV to write: a row a stage.")],
    metrics: Annotated[Path, typer.Argument(help="JSON to write: the sums, and the extrapolation.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    pictures: Annotated[Path, typer.Argument(help="Folder of figures to write.")],
) -> None:
    """Add up hours, money and storage, for this run and for the size of the thesis (000-41).

    Hours are worth the price, in `budget.machines` of params.yaml, of the machine that ran; where it has none, the
    costs are empty. The extrapolation to `budget.cells`, `budget.fields` and `budget.epochs` is linear, stage
    by stage: docs/budget.md says in what. Where a plan holds predictions, they stand beside what the run took.
    """
    whole = params.load()
    options = whole.budget
    prices = {name: budget.Price(of.spot, of.on_demand) for name, of in options.machines.items()}
    found = sorted(timings.glob("*.json"))
    if not found:
        raise InputError(f"{timings} holds no timing; run `dvc repro`")
    stages = budget.table([files.read_json(path) for path in found], prices)
    size = files.read_json(index).get("images") or {}
    megapixels = size["height"] * size["width"] / 1e6 if {"height", "width"} <= set(size) else None
    scaled = budget.extrapolate(stages, options.cells, options.fields, options.epochs, prices, megapixels)
    sums = budget.totals(stages, scaled, options.storage_gb_month, options.months)
    machines = "; ".join(sorted(set(stages["machine"]) - {""})) or "unknown"
    ran = {"currency": options.currency, "machine": machines}
    compared = planning.compare(
        files.read_json(plan), stages, whole.timed(), prices.get(machines, budget.NO_PRICE).spot
    )
    predicted = compared.sums if compared else {}
    if compared:
        columns = {"predicted": "predicted_seconds", "low": "predicted_low", "high": "predicted_high"}
        stages = stages.merge(compared.table[["stage", *columns]].rename(columns=columns), how="left", on="stage")
    tables.write_csv(stages, table, float_format="%.6g")
    cost = joined(sums, ran, explained(predicted, _unpredicted(sums)))
    records.write(metrics, record, whole.data_set, cost, COMPARED)
    with files.replacing_folder(pictures) as folder:
        figures.save(budget.bars(stages), folder / "stages.png")
        figures.save(budget.scenarios(scaled, options.cells), folder / "extrapolation.png")
        if compared:
            figures.save(planning.bars(compared.table), folder / "predicted.png")


def _unpredicted(sums: dict[str, Any]) -> dict[str, str]:
    """Return why a prediction has no cost or no ratio."""
    return {"predicted_cost_spot": of(sums, "cost_spot"), "predicted_ratio": "nothing of the run was predicted"}
