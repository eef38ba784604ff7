"""What a grid will take, from measured speeds; and, after a run, what was predicted beside what it took."""

import heapq
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from morphospace.errors import InputError
from morphospace.options import tiles_an_epoch
from morphospace.reporting import figures
from morphospace.speeds import Chain, Range, Speed, measured

GB = 1e9
HOUR = 3600.0
NOTHING = Range(0.0, 0.0, 0.0)
SHARED = ("fetch", "index", "illuminate", "segment", "validate", "synthesize", "split")
MEMBER = ("train", "embed", "similarity")
BEFORE = ("dataset", "segment.engine", "segment.method", "synthesize.size")  # of `decides`: what training follows
START = "start"  # of the processes: importing, before a stage's own clock runs
BYTES_A_NUMBER = 4
NOT_COUNTED = (
    "transfers to and from S3 or a published archive, DVC's own hashing and copying, the stages profile, moa, dose, "
    "interpret, package, budget and report, setting up a machine, early stopping (every epoch is counted), and "
    "whatever else the machine does at the time"
)


class Size(NamedTuple):
    """How much data: image sets, plates, cells that are cut, and how many of them stand on each side."""

    fields: int
    plates: int
    cells: int
    train: int
    validation: int
    test: int


class Part(NamedTuple):
    """What one part of a plan takes: seconds by stage, and gigabytes written."""

    name: str
    stages: dict[str, Range]
    gb: float
    parameters: dict[str, Any]

    @property
    def seconds(self) -> Range:
        """The sum of its stages."""
        return sum(self.stages.values(), start=NOTHING)


class Plan(NamedTuple):
    """A grid: what its members share, once each, and the members, in the order of the queue."""

    shared: list[Part]
    members: list[Part]
    workers: int

    @property
    def work(self) -> Range:
        """Seconds of all parts, one after the other."""
        return sum((part.seconds for part in (*self.shared, *self.members)), start=NOTHING)

    @property
    def wall(self) -> Range:
        """Seconds from start to end: what is shared, then the members on the workers."""
        first = sum((part.seconds for part in self.shared), start=NOTHING)
        return first + Range(*(makespan([p.seconds[i] for p in self.members], self.workers) for i in range(3)))

    @property
    def gb(self) -> float:
        """Gigabytes written by all parts."""
        return sum(part.gb for part in (*self.shared, *self.members))


def shared(
    chain: Chain, start: float, size: Size, validated: int, fetched: bool, parameters: Mapping[str, Any]
) -> Part:
    """Return what the stages before training take for `size`.

    Parameters
    ----------
    chain
        Their speeds, a field.
    start
        Seconds of one process before its stage begins.
    size
        How much data.
    validated
        Image sets that the other engines segment again.
    fetched
        Whether the images come from a network: then only their bytes are counted.
    parameters
        From `decides`.
    """
    stages: dict[str, Range] = {}
    written = 0.0
    for name, line in chain.stages.items():
        count = min(validated, size.fields) if name == "validate" else size.fields
        if name != "fetch" or not fetched:
            once = size.plates if name == "illuminate" else 1
            stages[name] = Range(*[line.fixed * once] * 3) + measured(line.rates).times(count)
        # The run that was measured had one plate; an engine is started, and a function estimated, a plate.
        whole = line.bytes_per_field * 6 if name == "illuminate" else line.bytes_per_field
        written += whole * (size.plates if name == "illuminate" else size.fields)
    stages["decode"] = measured(chain.decode).times(size.cells / chain.jobs)
    stages[START] = Range(*[start * (len(stages) - 1)] * 3)
    return Part("fetch to split, once", stages, written / GB, dict(parameters))


def member(
    speed: Speed,
    fixed: Mapping[str, float],
    size: Size,
    epochs: int,
    pca_cells: int,
    name: str,
    parameters: Mapping[str, Any],
) -> Part:
    """Return what training, embedding and scoring take; `fixed` is what the three take with next to nothing to do."""
    rate = {key: measured(values) for key, values in speed.model_dump().items() if isinstance(values, list)}
    an_epoch = (
        rate["train"].times(tiles_an_epoch(size.train, speed.shape.options))
        + rate["validate_"].times(size.validation)
        + rate["epoch"]
    )
    scored = rate["score"].times(size.cells) + rate["floors"].times(size.test)
    fitted = rate["fit"].times(min(size.train, pca_cells)) + rate["fit_once"]
    grows = {
        "train": an_epoch.times(epochs),
        "embed": rate["embed"].times(size.cells),
        "similarity": scored + fitted,
    }
    stages = {stage: Range(*[fixed[stage]] * 3) + grows[stage] for stage in MEMBER}
    stages[START] = Range(*[fixed[START] * len(MEMBER)] * 3)
    written = speed.weights_bytes + BYTES_A_NUMBER * size.cells * speed.latents
    return Part(name, stages, written / GB, dict(parameters))


def makespan(seconds: Sequence[float], workers: int) -> float:
    """Return when the last of some jobs ends: each, in the order given, is taken by the first worker that is free."""
    free = [0.0] * max(1, workers)
    for job in seconds:
        heapq.heapreplace(free, free[0] + job)
    return max(free)


def record(plan: Plan) -> dict[str, Any]:
    """Return a plan as it is written to JSON: seconds as [predicted, least, most]."""

    def part(of: Part) -> dict[str, Any]:
        stages = {name: [round(v, 3) for v in seconds] for name, seconds in of.stages.items()}
        return {"name": of.name, "parameters": of.parameters, "gb": round(of.gb, 6), "seconds": stages}

    return {
        "workers": plan.workers,
        "work_seconds": [round(v, 3) for v in plan.work],
        "wall_seconds": [round(v, 3) for v in plan.wall],
        "gb": round(plan.gb, 6),
        "shared": [part(p) for p in plan.shared],
        "members": [part(p) for p in plan.members],
    }


class Compared(NamedTuple):
    """A run beside its plan: a row a stage, the sums as flat numbers, and in what the two differ."""

    table: pd.DataFrame
    sums: dict[str, Any]
    differs: list[str]


def compare(
    found: Mapping[str, Any], stages: pd.DataFrame, parameters: Mapping[str, Any], price: float
) -> Compared | None:
    """Return the run beside the member of the plan that is most like it, or None when nothing is planned.

    Parameters
    ----------
    found
        What is in ``reports/plan.json``.
    stages
        Table of the run's stages: stage, seconds, items, device, machine.
    parameters
        Of the run, from `decides`.
    price
        Of an hour.

    Raises
    ------
    InputError
        When the plan lacks what a plan has.
    """
    plan = found.get("plan")
    if plan is None:
        return None
    try:
        like = min(plan["members"], key=lambda m: len(_differing(m["parameters"], parameters)))
        earlier = {name: parameters.get(name) for name in BEFORE}
        before = min(plan["shared"], key=lambda m: len(_differing(m["parameters"], earlier)))
        predicted = {**before["seconds"], **like["seconds"]}
        differs = _differing(like["parameters"], parameters) + _elsewhere(plan, stages)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"the plan is not what `morphospace budget --plan` writes ({type(error).__name__}: {error}); plan again"
        ) from None
    actual = stages.set_index("stage")["seconds"]
    rows = [(s, *predicted[s], float(actual[s])) for s in (*SHARED, *MEMBER) if s in predicted and s in actual.index]
    table = pd.DataFrame(rows, columns=["stage", "predicted", "low", "high", "actual"])
    table["ratio"] = table["actual"] / table["predicted"].where(table["predicted"] > 0)
    return Compared(table, _sums(table, str(like["name"]), price, differs), differs)


def _sums(table: pd.DataFrame, name: str, price: float, differs: list[str]) -> dict[str, Any]:
    total = table[["predicted", "low", "high", "actual"]].sum() / HOUR
    return {
        "predicted_member": name,
        "predicted_hours": round(float(total["predicted"]), 6),
        "predicted_hours_low": round(float(total["low"]), 6),
        "predicted_hours_high": round(float(total["high"]), 6),
        "predicted_cost_spot": round(float(total["predicted"]) * price, 6),
        "predicted_actual_hours": round(float(total["actual"]), 6),
        "predicted_ratio": round(float(total["actual"] / total["predicted"]), 4) if total["predicted"] else np.nan,
        "predicted_differs": "; ".join(differs) or "nothing",
    }


def _differing(planned: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    keys = dict.fromkeys([*planned, *run])
    return [f"{k} {run.get(k)}, planned {planned.get(k)}" for k in keys if planned.get(k) != run.get(k)]


def _elsewhere(plan: Mapping[str, Any], stages: pd.DataFrame) -> list[str]:
    """Say in what the machine and the size of the run differ from those of the plan."""
    rows = {str(row["stage"]): row for row in stages.to_dict("records")}
    found = []
    if train := rows.get("train"):
        ran, planned = f"{train['machine']}; {train['device']}", f"{plan['processor']}; {plan['device']}"
        if ran != planned:
            found.append(f"machine {ran}, planned {planned}")
    for stage, key, unit in (("index", "fields", "image sets"), ("embed", "cells", "cells")):
        if stage in rows and (done := int(rows[stage]["items"])) != plan["size"][key]:
            found.append(f"{done:,} {unit}, planned {plan['size'][key]:,}")
    return found


def bars(table: pd.DataFrame) -> Figure:
    """Return a figure of predicted and actual seconds a stage, on a logarithmic axis, with the predicted range."""
    figure = figures.new(7, 1.0 + 0.42 * len(table))
    axis = figure.subplots()
    rows = np.arange(len(table))
    least = 0.01  # seconds: what took less ends at the axis
    predicted, low, high, actual = (
        np.maximum(table[column].to_numpy(float), least) for column in ("predicted", "low", "high", "actual")
    )
    axis.barh(
        rows - 0.19,
        predicted,
        height=0.36,
        xerr=[predicted - low, high - predicted],
        error_kw={"ecolor": "black", "elinewidth": 1, "capsize": 2},
        color=figures.COLOURS[5],
        label="predicted, with the spread of the benchmark",
    )
    axis.barh(rows + 0.19, actual, height=0.36, color=figures.COLOURS[3], label="actual")
    far = np.maximum(high, actual)
    for row, (end, ratio) in enumerate(zip(far, table["ratio"], strict=True)):
        axis.text(end * 1.08, row, f"x {ratio:.2f}" if ratio == ratio else "", va="center", fontsize=8)
    axis.set_xscale("log")
    axis.set_xlim(least, float(far.max()) * 2.2)
    axis.set_yticks(rows, list(table["stage"]))
    axis.invert_yaxis()
    axis.set_xlabel("seconds (logarithmic); x: actual over predicted")
    figure.legend(loc="outside upper right", ncols=2)
    return figure
