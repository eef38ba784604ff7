"""The micro-benchmark as a whole: what a grid needs and was not measured on this machine yet, within a time."""

import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from morphospace import files, speeds
from morphospace.apps.budget import chain, trainings
from morphospace.errors import EngineError
from morphospace.segmentation._engine import alone_in

REPEATS = 3  # of the fields, when there is time
LEAST, MOST = 4.0, 15.0  # seconds worth starting a shape with, and beyond which it is known well enough
START = "start"


def this_machine(label: str | None = None) -> speeds.Benchmark:
    """Return what was measured here so far, with the software that is installed; `label` names the machine anew."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "numpy"))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    empty = speeds.Benchmark(
        machine=label or "",
        host=platform.node(),
        processor=speeds.processor(),
        device=device,
        versions=versions,
        date=datetime.date.today().isoformat(),
    )
    known = speeds.known()
    if known is None:
        return empty
    if (known.versions, known.device, known.processor) != (versions, device, empty.processor):
        return empty.model_copy(update={"machine": label or known.machine})
    return known.model_copy(update={"machine": label}) if label else known


def missing(
    found: speeds.Benchmark,
    shapes: Sequence[speeds.Shape],
    plates: Sequence[speeds.Plate],
    jobs: int,
    workers: int,
    all_jobs: int,
) -> list[str]:
    """Return the names of what a grid needs and a benchmark lacks."""
    lacking = [] if set(chain.MEMBER) | {START} <= set(found.fixed) else ["the empty run"]
    lacking += [key for p in plates if (key := p.key(all_jobs)) not in found.plates]
    return lacking + [key for s in shapes if (key := s.key(jobs, workers)) not in found.shapes]


def measure(
    found: speeds.Benchmark,
    shapes: Sequence[speeds.Shape],
    plates: Sequence[speeds.Plate],
    jobs: int,
    workers: int,
    all_jobs: int,
    seconds: float,
) -> speeds.Benchmark:
    """Return a benchmark with all that a grid needs, each part kept in this machine's file as soon as it is there.

    Raises
    ------
    EngineError
        When the time does not suffice: what is measured is kept, and the same command goes on from there.
    """
    lacking = missing(found, shapes, plates, jobs, workers, all_jobs)
    if not lacking:
        return found
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    found = found.model_copy(update={"load": max(found.load, round(load, 2))})
    until = time.perf_counter() + seconds
    given = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        steps = bar.add_task("benchmark", total=len(lacking) * len(chain.SHARED))
        for plate in plates:
            if plate.key(all_jobs) not in found.plates or "the empty run" in lacking:
                found = _plate(found, given, plate, all_jobs, until, bar, steps)
        for number, shape in enumerate(shapes):
            key = shape.key(jobs, workers)
            if key in found.shapes:
                continue
            if (left := until - time.perf_counter()) < LEAST:
                raise EngineError(
                    f"{seconds:.0f} s did not suffice: {key} and what follows are not measured; what is measured is "
                    "kept: type the same again to go on, or give more with --seconds"
                )
            bar.update(steps, description=f"train z {shape.z_dim}", advance=len(chain.SHARED))
            # Starting the processes and the least number of repeats take about as long as what is measured.
            share = min(MOST, left / (len(shapes) - number) / 2)
            speed = trainings.speed(shape, jobs, workers, share)
            found = _kept(found.model_copy(update={"shapes": found.shapes | {key: speed}}))
    return found


def _plate(
    found: speeds.Benchmark,
    given: dict[str, object],
    plate: speeds.Plate,
    jobs: int,
    until: float,
    bar: Progress,
    task: TaskID,
) -> speeds.Benchmark:
    """Run the stages with next to nothing to do, then on fields of the wanted size; again while there is time."""
    chosen = given | {
        "segment": given["segment"] | {"engine": plate.engine, "method": plate.method},  # type: ignore[operator]
        "synthesize": given["synthesize"] | {"size": plate.size},  # type: ignore[operator]
    }
    name = f"{plate.key(jobs)}-{files.fingerprint(found.versions)}"
    empty: dict[str, dict[str, float]] = {}
    whole: dict[str, list[dict[str, float]]] = {stage: [] for stage in chain.SHARED}
    with alone_in(files.scratch("benchmarks", name)) as folder:
        for stage, took in chain.empty(chosen, folder, jobs, until):
            empty[stage] = took
            bar.update(task, description=f"{stage}, next to nothing to do", advance=0.5)
        for repeat in range(REPEATS):
            began = time.perf_counter()
            for stage, took in chain.plates(chosen, plate, folder / f"plates-{repeat}", jobs, until):
                whole[stage].append(took)
                bar.update(task, description=f"{stage}, {chain.FIELDS} fields", advance=0.5)
            if 3 * (time.perf_counter() - began) > until - time.perf_counter():
                break  # the models come after this
    tiles = trainings.generated(64, 3, plate.size)
    speed = speeds.Chain(
        plate=plate,
        jobs=jobs,
        stages={stage: chain.line(empty[stage], whole[stage]) for stage in chain.SHARED},
        decode=chain.decoding(np.asarray(tiles), 0.5),
    )
    fixed = {stage: empty[stage]["seconds"] for stage in chain.MEMBER}
    fixed[START] = float(np.mean([empty[stage][START] for stage in chain.MEMBER]))
    fixed[f"{START}_shared"] = float(np.mean([empty[stage][START] for stage in chain.SHARED]))
    return _kept(found.model_copy(update={"fixed": fixed, "plates": found.plates | {plate.key(jobs): speed}}))


def _kept(found: speeds.Benchmark) -> speeds.Benchmark:
    """Write what is measured so far beside what another process has measured in the meantime, and return both."""
    known = this_machine(found.machine)
    both = {"shapes": known.shapes | found.shapes, "plates": known.plates | found.plates}
    merged = found.model_copy(update=both)
    speeds.write(speeds.here(), merged)
    return merged


def threads(workers: int) -> tuple[int, int]:
    """Return how many threads a member takes with `workers` at once, and how many the stages before training take.

    ``MORPHOSPACE_JOBS`` decides where it is set, as it does for the stages; else the members share the processors.
    """
    if os.environ.get("MORPHOSPACE_JOBS", "").isdigit():
        return files.jobs(), files.jobs()
    return max(1, files.jobs() // workers), files.jobs()
