"""Seconds a field of the stages before training, and of every stage with next to nothing to do: they are really run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from morphospace import files, speeds
from morphospace.errors import EngineError
from morphospace.imaging import codec

SHARED = ("fetch", "index", "illuminate", "segment", "validate", "synthesize", "split")
MEMBER = ("train", "embed", "similarity")
FIELDS = 6  # drawn for each run, a well each: three splits need some
EMPTY = {"height": 256, "width": 256, "cells": 6}  # of a run that has next to nothing to do


class Trial:
    """A folder in which the stages of dvc.yaml run on drawn fields, each as DVC runs it: a process of its own."""

    def __init__(self, folder: Path, given: dict[str, Any], field: dict[str, Any], jobs: int, until: float) -> None:
        self.folder, self.jobs, self.until = folder, jobs, until
        self.given = given | {
            "dataset": "synthetic",
            "z_dim": 4,
            "synthetic": {"plates": 1, "wells": FIELDS, "sites": 1, **field},
            "train": given["train"] | {"epochs": 1, "pictures": 1},
            "split": given["split"] | {"by": "well"},
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "params.yaml").write_text(yaml.safe_dump(self.given), encoding="utf-8")
        if not (folder / "pipelines").is_symlink():
            (folder / "pipelines").symlink_to(Path("pipelines").resolve())
        self.commands = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]

    def run(self, stage: str) -> dict[str, float]:
        """Run a stage; return its own seconds and bytes, and `start`, the seconds of its process beyond them.

        Raises
        ------
        EngineError
            When it fails, or takes longer than there is time.
        """
        done = self.folder / f"{stage}.json"
        if done.is_file():  # before a time that was up
            return dict(files.read_json(done))
        paths = self.commands[stage]["cmd"].replace("${dataset}", "synthetic").split()[2:]
        environment = os.environ | {
            "MORPHOSPACE_JOBS": str(self.jobs),
            "MORPHOSPACE_SCRATCH": str(self.folder / "scratch"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}",
        }
        start = time.perf_counter()
        command = [sys.executable, "-m", "morphospace", "stage", stage, *paths]
        pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        # A group of its own, or the processes of an engine would go on when the time is up.
        with subprocess.Popen(command, cwd=self.folder, env=environment, start_new_session=True, **pipes) as child:
            try:
                said = child.communicate(timeout=max(1.0, self.until - start))[1]
            except subprocess.TimeoutExpired:
                raise EngineError(
                    f"the time was up in the stage {stage}; what is measured is kept: type the same again to go on, or "
                    "give more with --seconds"
                ) from None
            finally:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
        if child.returncode:
            raise EngineError(f"the benchmark failed in the stage {stage}: {' '.join(said.split())[-300:]}")
        timing = files.read_json(self.folder / f"data/timings/{stage}.json")
        seconds = float(timing["seconds"])
        found = {"seconds": seconds, "bytes": timing["bytes"], "start": time.perf_counter() - start - seconds}
        files.write_json(done, found)
        return found


def empty(given: dict[str, Any], folder: Path, jobs: int, until: float) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield what each stage takes on a handful of tiny fields, in the order of the pipeline."""
    trial = Trial(folder / "empty", given, EMPTY, jobs, until)
    for stage in (*SHARED, *MEMBER):
        yield stage, trial.run(stage)


def plates(
    given: dict[str, Any], plate: speeds.Plate, folder: Path, jobs: int, until: float
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield what each stage before training takes on `FIELDS` fields of the wanted size."""
    field = {"height": plate.height, "width": plate.width, "cells": plate.cells_per_field}
    trial = Trial(folder, given, field, jobs, until)
    for stage in SHARED:
        yield stage, trial.run(stage)


def line(empty: dict[str, float], whole: list[dict[str, float]]) -> speeds.Line:
    """Return the straight line of a stage through a run with next to nothing to do and runs with `FIELDS` fields."""
    rates = [max(0.0, run["seconds"] - empty["seconds"]) / FIELDS for run in whole]
    return speeds.Line(fixed=empty["seconds"], rates=rates, bytes_per_field=whole[0]["bytes"] / FIELDS)


def decoding(tiles: "np.typing.NDArray[np.uint8]", seconds: float) -> list[float]:
    """Return seconds a tile to decode its PNG, on one thread, measured several times."""
    content = [codec.encode_tile(tile) for tile in tiles]
    found: list[float] = []
    until = time.perf_counter() + seconds
    while len(found) < 3 or (time.perf_counter() < until and len(found) < 20):
        start = time.perf_counter()
        for png in content:
            codec.decode_tile(png, tiles.shape[1])
        found.append((time.perf_counter() - start) / len(tiles))
    return found
