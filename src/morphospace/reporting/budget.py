"""Hours, money and storage: of this run, of the thesis's size on this machine, and of the thesis's own table."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from morphospace.errors import InputError
from morphospace.reasons import explained
from morphospace.reporting import figures

GB = 1e9
HOUR = 3600.0
FIELD_MEGAPIXELS = 1.280 * 1.024  # of BBBC021 (000-01)


class Price(NamedTuple):
    """What an hour of a machine costs."""

    spot: float
    on_demand: float


NO_PRICE = Price(np.nan, np.nan)
# What a stage's time is taken to grow with, in the order of the pipeline. `run` is counted once, whatever the size.
GROWS_WITH = {
    "fetch": "fields",
    "index": "fields",
    "illuminate": "fields",
    "segment": "fields",
    "validate": "run",
    "synthesize": "cells",
    "split": "cells",
    "train": "cells x epochs",
    "embed": "cells",
    "similarity": "cells",
}
COLUMNS = [
    "stage",
    "seconds",
    "items",
    "unit",
    "items_per_second",
    "cpu_seconds",
    "peak_memory_mb",
    "gb_written",
    "cost_spot",
    "cost_on_demand",
    "device",
    "machine",
]


def table(timings: Sequence[Mapping[str, Any]], prices: Mapping[str, Price]) -> pd.DataFrame:
    """Return a row a stage, in the order of the pipeline: seconds, speed, processor time, memory, disk, cost.

    Hours are worth what an hour costs of the machine that ran: the hours of a processor are not those of a GPU. Of a
    machine without a price the cost is NaN.

    Parameters
    ----------
    timings
        What ``clock`` wrote, one mapping a stage.
    prices
        Of an hour of each machine, by the name that the timings give it.

    Raises
    ------
    InputError
        When a stage is timed twice, or a timing lacks a number.
    """
    rows = [_row(timing, prices) for timing in timings]
    found = pd.DataFrame(rows, columns=COLUMNS)
    twice = found["stage"][found["stage"].duplicated()]
    if len(twice):
        raise InputError(f"the stage {twice.iloc[0]} is timed twice; delete the older file of data/timings")
    order = {stage: i for i, stage in enumerate(GROWS_WITH)}
    keys = [(order.get(stage, len(order)), stage) for stage in found["stage"]]
    return found.iloc[sorted(range(len(keys)), key=lambda i: keys[i])].reset_index(drop=True)


def _row(timing: Mapping[str, Any], prices: Mapping[str, Price]) -> dict[str, Any]:
    missing = [k for k in ("stage", "seconds", "cpu_seconds", "peak_memory_mb", "bytes", "items") if k not in timing]
    if missing:
        raise InputError(f"the timing of {timing.get('stage', 'a stage')} lacks {', '.join(missing)}; run it again")
    seconds, items = float(timing["seconds"]), int(timing["items"])
    machine = str(timing.get("machine", ""))
    price = prices.get(machine, NO_PRICE)
    return {
        "stage": str(timing["stage"]),
        "seconds": seconds,
        "items": items,
        "unit": str(timing.get("unit", "")),
        "items_per_second": items / seconds if seconds > 0 and items > 0 else np.nan,
        "cpu_seconds": float(timing["cpu_seconds"]),
        "peak_memory_mb": float(timing["peak_memory_mb"]),
        "gb_written": float(timing["bytes"]) / GB,
        "cost_spot": seconds / HOUR * price.spot,
        "cost_on_demand": seconds / HOUR * price.on_demand,
        "device": str(timing.get("device", "")),
        "machine": machine,
    }


def extrapolate(
    stages: pd.DataFrame,
    cells: int,
    fields: int,
    epochs: Sequence[int],
    prices: Mapping[str, Price],
    megapixels: float | None = None,
) -> pd.DataFrame:
    """Return a row a stage and number of epochs: hours, cost and gigabytes if the run had `cells` and `fields`.

    Each stage is scaled linearly by what `GROWS_WITH` says; one that names nothing there is counted once. Start-up
    time is scaled along, so the figure is an upper estimate for a small run. A stage whose measure is unknown in this
    run (no items) has NaN, never zero.

    Parameters
    ----------
    stages
        From `table`.
    cells, fields
        The size to extrapolate to (000-15: 250,783 cells; 000-02: 1,320 DMSO fields).
    epochs
        Numbers of epochs, one scenario each.
    prices
        As in `table`.
    megapixels
        Size of a field of this run, one channel: a field then counts by its pixels (BBBC021's have 1280 x 1024).
        Without it, fields are taken to be alike.
    """
    measured = _measured(stages)
    measured["fields"] *= 1.0 if megapixels is None else megapixels / FIELD_MEGAPIXELS
    rows = []
    for count in epochs:
        wanted = {"fields": float(fields), "cells": float(cells), "cells x epochs": float(cells) * count, "run": 1.0}
        columns = (stages[name] for name in ("stage", "seconds", "gb_written", "machine"))
        for stage, seconds, written, machine in zip(*columns, strict=True):
            measure = GROWS_WITH.get(stage, "run")
            factor = wanted[measure] / measured[measure]
            # Weights, curves and pictures of training do not grow with it.
            size = written if measure in ("run", "cells x epochs") else written * factor
            hours, price = seconds * factor / HOUR, prices.get(machine, NO_PRICE)
            costs = hours * price.spot, hours * price.on_demand
            rows.append((count, stage, measure, factor, hours, size, *costs))
    names = ["epochs", "stage", "grows_with", "factor", "hours", "gb_written", "cost_spot", "cost_on_demand"]
    return pd.DataFrame(rows, columns=names)


def _measured(stages: pd.DataFrame) -> dict[str, float]:
    """Return how many fields, cells and trained images this run had; NaN where no stage counted them."""
    items = stages.set_index("stage")["items"]

    def first(*names: str) -> float:
        return next((float(items[n]) for n in names if n in items.index and items[n] > 0), np.nan)

    return {
        "fields": first("index", "segment"),
        "cells": first("embed", "synthesize"),
        "cells x epochs": first("train"),
        "run": 1.0,
    }


def totals(stages: pd.DataFrame, scaled: pd.DataFrame, storage_gb_month: float, months: float) -> dict[str, Any]:
    """Return the sums as flat numbers: this run, its storage, and hours and money of each extrapolated scenario."""
    speed = stages.set_index("stage")["items_per_second"].get("train", np.nan)
    storage = float(stages["gb_written"].sum())
    found: dict[str, Any] = {
        "hours": float(stages["seconds"].sum()) / HOUR,
        "cpu_hours": float(stages["cpu_seconds"].sum()) / HOUR,
        "peak_memory_mb": float(stages["peak_memory_mb"].max()) if len(stages) else 0.0,
        "cost_spot": float(stages["cost_spot"].sum(skipna=False)),
        "cost_on_demand": float(stages["cost_on_demand"].sum(skipna=False)),
        "storage_gb": storage,
        "storage_cost_month": storage * storage_gb_month,
        "storage_cost": storage * storage_gb_month * months,
        "images_per_second": float(speed),
    }
    for epochs, group in scaled.groupby("epochs"):
        for name in ("hours", "cost_spot", "cost_on_demand"):
            found[f"thesis_{epochs}_epochs_{name}"] = float(group[name].sum(skipna=False))
        found["thesis_storage_gb"] = float(group["gb_written"].sum(skipna=False))
        found["thesis_storage_cost_month"] = found["thesis_storage_gb"] * storage_gb_month
    return explained({name: round(value, 6) for name, value in found.items()}, _why(found, stages))


def _why(found: Mapping[str, Any], stages: pd.DataFrame) -> dict[str, str]:
    """Return why a sum may be missing: the machine has no price, or a stage that grows counted nothing."""
    unpriced = sorted(set(stages.loc[stages["cost_spot"].isna(), "machine"]))
    price = f"no price of the machine that ran ({'; '.join(unpriced) or 'unknown'}) in budget.machines of params.yaml"
    uncounted = sorted(
        {s for s, n in zip(stages["stage"], stages["items"], strict=True) if GROWS_WITH.get(s) and not n}
    )
    size = f"{', '.join(uncounted) or 'a stage'} did not count what it grows with"
    why = {"images_per_second": "train did not run, or counted no images"}
    return why | {k: price if "cost_" in k and "storage" not in k and unpriced else size for k in found if k not in why}


def bars(stages: pd.DataFrame) -> Figure:
    """Return a figure of the wall seconds and the processor seconds of each stage."""
    figure = figures.new(7, 0.9 + 0.34 * max(len(stages), 1))
    axis = figure.subplots()
    rows = np.arange(len(stages))
    for shift, column, label in ((-0.19, "seconds", "wall clock"), (0.19, "cpu_seconds", "processor, all cores")):
        axis.barh(rows + shift, stages[column], height=0.36, label=label)
    top = max(stages["seconds"].max(), stages["cpu_seconds"].max(), 1.0) if len(stages) else 1.0
    for row, (wall, cpu) in enumerate(zip(stages["seconds"], stages["cpu_seconds"], strict=True)):
        axis.text(max(wall, cpu) + top * 0.01, row, f"{wall:,.1f} s", va="center", fontsize=8)
    axis.set_yticks(rows, list(stages["stage"]))
    axis.invert_yaxis()
    axis.set_xlim(0, top * 1.12)
    axis.set_xlabel("seconds")
    figure.legend(loc="outside upper right", ncols=2)
    return figure


def scenarios(scaled: pd.DataFrame, cells: int) -> Figure:
    """Return a figure of the extrapolated hours by stage, stacked, a bar a number of epochs."""
    epochs = sorted(scaled["epochs"].unique())
    figure = figures.new(7, 1.1 + 0.42 * len(epochs))
    axis = figure.subplots()
    wide = scaled.pivot(index="epochs", columns="stage", values="hours").fillna(0.0)
    total = wide.sum(axis=1).to_numpy()
    parts = [(s, wide[s].to_numpy()) for s in GROWS_WITH if s in wide and (wide[s].to_numpy() >= 0.02 * total).any()]
    parts += [("the rest", wide.drop(columns=[name for name, _ in parts]).sum(axis=1).to_numpy())]
    left = np.zeros(len(wide))
    for (name, part), colour in zip(parts, figures.COLOURS * 2, strict=False):
        axis.barh(range(len(wide)), part, left=left, height=0.6, label=name, color=colour)
        left += part
    for row, hours in enumerate(left):
        axis.text(hours, row, f" {hours:,.1f} h", va="center", fontsize=8)
    axis.set_yticks(range(len(wide)), [f"{e} epochs" for e in wide.index])
    axis.invert_yaxis()
    axis.set_xlim(0, max(float(left.max()), 1e-9) * 1.15)
    axis.set_xlabel(f"hours on this machine for {cells:,} cells, scaled linearly")
    figure.legend(loc="outside upper right", ncols=min(len(parts), 6))
    return figure
