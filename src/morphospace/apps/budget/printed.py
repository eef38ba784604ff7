"""What the command ``budget`` shows on a terminal: the last run, a plan, the cap."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from morphospace import files, reasons, spending, tables
from morphospace.params import Machine
from morphospace.reporting import plan as planning
from morphospace.speeds import Range
from morphospace.words import count

HOUR = 3600.0


def span(seconds: Range) -> str:
    """Return a duration with its range, in the unit that suits it."""
    for unit, length in (("h", HOUR), ("min", 60.0), ("s", 1.0)):
        if seconds.value >= length or unit == "s":
            value, low, high = (v / length for v in seconds)
            return f"{value:.3g} {unit}" if low == high else f"{value:.3g} {unit} ({low:.3g} to {high:.3g})"
    return ""


def money(amount: float) -> str:
    """Return an amount of money; a small one is not shown as nothing."""
    if math.isnan(amount):
        return "not measured"
    return f"{amount:,.2f}" if amount >= 0.095 or amount == 0 else f"{amount:.2g}"


def plan(forecast: planning.Plan, price: Machine, currency: str) -> Table:
    """Return a row a part: what is shared, each member, all work, and the time from start to end.

    The machine is paid from start to end: with several workers a member is charged its share of it.
    """
    head = ("", "takes (fastest to slowest)", f"spot, {currency}", f"on demand, {currency}", "storage, GB")
    table = Table(*head, title=f"{count(len(forecast.members), 'member')}, {forecast.workers} at a time")
    for part in forecast.shared:
        table.add_row(part.name, span(part.seconds), *_costs(part.seconds.value, price), f"{part.gb:.3g}")
    for part in forecast.members:
        share = part.seconds.value / min(forecast.workers, len(forecast.members))
        table.add_row(part.name, span(part.seconds), *_costs(share, price), f"{part.gb:.3g}")
    table.add_section()
    table.add_row("all work, one after the other", span(forecast.work), "", "", f"{forecast.gb:.3g}")
    table.add_row("from start to end", span(forecast.wall), *_costs(forecast.wall.value, price), "", style="bold")
    return table


def _costs(seconds: float, price: Machine) -> tuple[str, str]:
    return money(seconds / HOUR * price.spot), money(seconds / HOUR * price.on_demand)


def notes(
    forecast: planning.Plan, size: planning.Size, threads: tuple[int, int], price: Machine, currency: str, month: float
) -> Iterator[str]:
    """Yield what a plan is of, and what it leaves out."""
    yield (
        f"For {count(size.fields, 'image set')} and {count(size.cells, 'cell')} ({size.train:,} for training, "
        f"{size.validation:,} for validation, {size.test:,} for the test); {forecast.gb:.3g} GB "
        f"cost {money(forecast.gb * month)} {currency} a month in an object store."
    )
    low, high = (w / HOUR * price.spot for w in forecast.wall[1:])
    yield f"Spot, from start to end: {money(low)} to {money(high)} {currency}, as the repeats of the benchmark spread."
    if any(part.seconds.low == part.seconds.high for part in forecast.shared):
        yield "What is shared was measured once, so its spread is not known; --seconds 300 measures it again."
    if any("fetch" not in part.stages for part in forecast.shared):
        yield "Fetching the images is not predicted: it depends on the network. Their bytes are counted."
    if forecast.workers > 1:
        yield (
            f"Measured with {forecast.workers} processes of {threads[0]} threads at once: start the queue with "
            f"`MORPHOSPACE_JOBS={threads[0]} dvc queue start -j {forecast.workers}`."
        )
    yield f"Not counted: {planning.NOT_COUNTED}."


def show_run(console: Console, table: Path, record: Path, plan_file: Path, currency: str) -> None:
    """Show what the last run cost, and what was predicted; say so when nothing has run or nothing is planned."""
    sums = files.read_json(record) if record.is_file() else {}
    if table.is_file():
        console.print(
            _stages(tables.read_csv(table, {"stage", "unit", "device", "machine"}.__contains__, "budget"), currency)
        )
    if sums:
        took = span(Range(*[HOUR * float(sums["hours"])] * 3))
        said = f"The last run, on {sums['dataset']}: {took}"
        if sums.get("cost_spot") is None:
            console.print(f"{said}; no cost: {reasons.of(sums, 'cost_spot') or 'not measured'}.")
        else:
            console.print(
                f"{said}, {money(float(sums['cost_spot']))} {currency} spot, "
                f"{money(float(sums['cost_on_demand']))} on demand, at the prices of {sums['machine']}."
            )
    else:
        console.print("Nothing has run yet: `dvc repro`, then ask again.")
    planned = (files.read_json(plan_file) if plan_file.is_file() else {}).get("plan")
    if not planned:
        console.print("Nothing is planned: `morphospace budget --plan`.")
    elif "predicted_hours" in sums:
        console.print(verdict(sums))
    else:
        console.print(f"A plan is in {plan_file}, and no run beside it yet: `dvc repro`.")


def verdict(sums: dict[str, Any]) -> str:
    """Return one sentence: predicted, actual, their ratio, and in what the two differ."""
    predicted = Range(*(HOUR * float(sums[f"predicted_hours{end}"]) for end in ("", "_low", "_high")))
    actual = HOUR * float(sums["predicted_actual_hours"])
    return (
        f"Predicted for {sums['predicted_member']}: {span(predicted)}; actual {span(Range(*[actual] * 3))}, "
        f"{float(sums['predicted_ratio']):.2f} times that. Run and plan differ in: {sums['predicted_differs']}."
    )


def _stages(rows: pd.DataFrame, currency: str) -> Table:
    planned = "predicted_seconds" in rows and rows["predicted_seconds"].notna().any()
    head = ["stage", "seconds", *(["predicted", "ratio"] if planned else []), "GB", f"spot, {currency}"]
    found = Table(*head, title="The last run")
    for row in rows.to_dict("records"):
        beside = []
        if planned:
            guess = float(row["predicted_seconds"])
            known = not math.isnan(guess) and guess > 0
            beside = [f"{guess:,.1f}", f"{float(row['seconds']) / guess:.2f}"] if known else ["", ""]
        gb, cost = float(row["gb_written"]), float(row["cost_spot"])
        found.add_row(str(row["stage"]), f"{float(row['seconds']):,.1f}", *beside, f"{gb:.3g}", money(cost))
    return found


def cap_line(limit: spending.Cap | None) -> str:
    """Return one line on the cap: what it is, what is spent, what is left."""
    if limit is None:
        return "No spending cap: `morphospace budget --cap 20` sets one."
    trainings = spending.runs(limit.account)
    total = spending.spent(trainings)
    return (
        f"Spending cap: {limit.amount:g} {limit.currency}; {total:.4g} spent by {len(trainings)} trainings at "
        f"{limit.price:g} an hour ({limit.machine}), {max(0.0, limit.amount - total):.4g} left."
    )
