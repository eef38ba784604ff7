"""The stage ``budget``: what the run took, and what the thesis's size would take."""

from pathlib import Path
from typing import Annotated

import typer

from morphospace import files, params
from morphospace.errors import InputError
from morphospace.reporting import budget, figures


def run(
    timings: Annotated[Path, typer.Argument(help="Folder of the timings that the stages wrote, one JSON each.")],
    index: Annotated[Path, typer.Argument(help="JSON of the index: how large the fields are.")],
    table: Annotated[Path, typer.Argument(help="CSV to write: a row a stage.")],
    metrics: Annotated[Path, typer.Argument(help="JSON to write: the sums, and the extrapolation.")],
    pictures: Annotated[Path, typer.Argument(help="Folder of figures to write.")],
) -> None:
    """Add up hours, money and storage, for this run and for the size of the thesis (000-41).

    The prices are those of `budget.machine` in params.yaml, whatever machine ran: the cost is what the measured hours
    would be charged there. The extrapolation to `budget.cells`, `budget.fields` and `budget.epochs` is linear, stage
    by stage: docs/budget.md says in what.
    """
    options = params.load().budget
    price = options.machines[options.machine]
    found = sorted(timings.glob("*.json"))
    if not found:
        raise InputError(f"{timings} holds no timing; run `dvc repro`")
    stages = budget.table([files.read_json(path) for path in found], price.spot, price.on_demand)
    size = files.read_json(index).get("images") or {}
    megapixels = size["height"] * size["width"] / 1e6 if {"height", "width"} <= set(size) else None
    scaled = budget.extrapolate(
        stages, options.cells, options.fields, options.epochs, price.spot, price.on_demand, megapixels
    )
    sums = budget.totals(stages, scaled, options.storage_gb_month, options.months)
    prices = {"currency": options.currency, "machine": options.machine}
    with files.replacing(table) as aside:
        stages.to_csv(aside, index=False, float_format="%.6g", lineterminator="\n")
    files.write_json(metrics, {**sums, **prices})
    with files.replacing_folder(pictures) as folder:
        figures.save(budget.bars(stages), folder / "stages.png")
        figures.save(budget.scenarios(scaled, options.cells), folder / "extrapolation.png")
