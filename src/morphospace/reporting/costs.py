"""The section on cost: this run, the size of the thesis, and the thesis's own table."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from morphospace import reasons
from morphospace.reporting import thesis
from morphospace.reporting.page import NOT_MEASURED, Block, Items, Table, Text, number


def blocks(
    budget: Mapping[str, Any] | None, stages: pd.DataFrame | None, currency: str, pictures: Sequence[Block]
) -> list[Block]:
    """Return the tables of cost; the thesis's own is there whether or not this run was measured."""
    found: list[Block] = []
    if budget:
        found += [_text(budget), _predicted(budget, currency), _scenarios(budget, currency)]
    else:
        found.append(Text(f"Cost of this run: {NOT_MEASURED}."))
    if stages is not None and not stages.empty:
        found.append(_stages(stages, currency))
    return [*found, *pictures, *_thesis()]


def _text(budget: Mapping[str, Any]) -> Text:
    hours = budget.get("hours")
    return Text(
        f"This run took {_hours(hours)} ({_hours(budget.get('cpu_hours'))} of processor time), at most "
        f"{number(budget.get('peak_memory_mb'), 3)} MB in one process, and wrote "
        f"{number(budget.get('storage_gb'), 3)} GB. The stage train, with start-up and pictures, went at "
        f"{number(budget.get('images_per_second'), 3)} images a second. {_price(budget)}"
    )


def _price(budget: Mapping[str, Any]) -> str:
    """Say whose prices were used, or why there are none."""
    if why := reasons.of(budget, "cost_spot"):
        return f"Costs are {NOT_MEASURED}: {why}."
    return f"Prices are those of {budget.get('machine', 'the machine in params.yaml')}."


def _predicted(budget: Mapping[str, Any], currency: str) -> Text:
    """Return what was predicted beside what it took, and in what the plan and the run differ."""
    if "predicted_hours" not in budget:
        return Text("Predicted: nothing; `morphospace budget --plan` before a run predicts it.")
    return Text(
        f"Planned, for {budget['predicted_member']}: {_hours(budget['predicted_hours'])} (from "
        f"{_hours(budget.get('predicted_hours_low'))} to {_hours(budget.get('predicted_hours_high'))}), "
        f"{_money(budget.get('predicted_cost_spot'))} {currency}. The same stages took "
        f"{_hours(budget.get('predicted_actual_hours'))}: {number(budget.get('predicted_ratio'), 3)} times that. The "
        f"run and the plan differ in: {budget.get('predicted_differs')}."
    )


def _hours(hours: Any) -> str:
    if hours is None or hours != hours:
        return NOT_MEASURED
    return f"{hours * 60:.1f} min" if hours < 1 else f"{hours:.1f} h"


def _scenarios(budget: Mapping[str, Any], currency: str) -> Table:
    """Return this run beside the thesis's size, a row a number of epochs."""
    names = [re.fullmatch(r"thesis_(\d+)_epochs_hours", key) for key in budget]
    epochs = sorted(int(m[1]) for m in names if m)
    rows = [_scenario(budget, "this run", "", budget.get("storage_gb"), budget.get("storage_cost_month"))]
    for count in epochs:
        size = budget.get("thesis_storage_gb"), budget.get("thesis_storage_cost_month")
        rows.append(_scenario(budget, f"the thesis's size, {count} epochs", f"thesis_{count}_epochs_", *size))
    head = ["", "hours", f"spot, {currency}", f"on demand, {currency}", "storage, GB", f"storage, {currency} a month"]
    return Table("This run, and the size of the thesis scaled linearly from it", head, rows)


def _scenario(budget: Mapping[str, Any], name: str, prefix: str, size: Any, monthly: Any) -> list[str]:
    values = [budget.get(f"{prefix}{key}") for key in ("hours", "cost_spot", "cost_on_demand")]
    hours, *costs = values
    return [name, number(hours, 3), *map(_money, costs), number(size, 3), _money(monthly)]


def _money(amount: Any) -> str:
    if amount is None or amount != amount:
        return NOT_MEASURED
    return f"{amount:,.2f}" if amount >= 0.005 or amount == 0 else "under 0.01"


def _stages(stages: pd.DataFrame, currency: str) -> Table:
    planned = "predicted_seconds" in stages
    rows = [
        [
            str(row["stage"]),
            number(float(row["seconds"]), 3),
            *([_beside(float(row["seconds"]), float(row["predicted_seconds"]))] if planned else []),
            f"{number(int(row['items']))} {row['unit']}",
            number(float(row["items_per_second"]), 3),
            number(float(row["cpu_seconds"]), 3),
            number(float(row["peak_memory_mb"]), 3),
            number(1000 * float(row["gb_written"]), 3),
            _money(float(row["cost_spot"])),
        ]
        for row in stages.fillna({"unit": "", "device": ""}).to_dict("records")
    ]
    most = max(float(stages["seconds"].max()), 1e-9)
    head = [
        "stage",
        "seconds",
        *(["predicted (actual over it)"] if planned else []),
        "items",
        "items/s",
        "processor s",
        "peak MB",
        "MB written",
        f"spot, {currency}",
    ]
    return Table("Each stage, measured", head, rows, [float(s) / most for s in stages["seconds"]])


def _beside(actual: float, predicted: float) -> str:
    if predicted != predicted:
        return "not predicted"
    return f"{number(predicted, 3)} (x {actual / predicted:.2f})" if predicted > 0 else number(predicted, 3)


def _thesis() -> list[Block]:
    """Return the published budget from its own inputs, and where it contradicts itself (000-41)."""
    rows = [
        [
            row["model"],
            number(row["z_dim"]),
            number(row["r_loss_factor"]),
            f"{row['epochs']}"
            if row["epochs"] == row["budget_epochs"]
            else f"{row['epochs']} ({row['budget_epochs']})",
            f"{row['hours']:.0f}",
            f"{row['cost']:.2f}",
            f"{row['log_hours']:.2f}",
            f"{row['seconds_an_epoch']:.0f}",
            f"{row['S']:.5f}",
        ]
        for row in thesis.table().to_dict("records")
    ]
    head = [
        "model",
        "z",
        "R",
        "epochs (in the budget)",
        "hours paid",
        "EUR",
        "hours by its log",
        "s an epoch paid",
        "S",
    ]
    caption = (
        f"The thesis's budget from its own inputs: hours on one V100 at {thesis.SPOT:.2f} EUR, and about "
        f"{thesis.STORAGE_MONTH:.0f} EUR a month for storage. Its S is another measure, on training images: not "
        "comparable"
    )
    return [
        Table(caption, head, rows),
        Text("Where that table contradicts itself, or the rest of the thesis:"),
        Items(thesis.contradictions()),
    ]
