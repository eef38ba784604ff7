"""Every module of measurements of the installed CellProfiler, without its window, on one drawn field.

All fourteen of 4.2.8.1 run; a module that could not would be named here, with the reason.
"""

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest

from morphospace.segmentation import _cppipe, _program, cellprofiler
from morphospace.segmentation._engine import Settings
from morphospace.segmentation._program import Run

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    "MeasureColocalization",
    "MeasureGranularity",
    "MeasureImageAreaOccupied",
    "MeasureImageIntensity",
    "MeasureImageOverlap",
    "MeasureImageQuality",
    "MeasureImageSkeleton",
    "MeasureObjectIntensity",
    "MeasureObjectIntensityDistribution",
    "MeasureObjectNeighbors",
    "MeasureObjectOverlap",
    "MeasureObjectSizeShape",
    "MeasureObjectSkeleton",
    "MeasureTexture",
]


@pytest.mark.slow
def test_every_module_of_measurements_runs_without_a_window(make, tmp_path):
    program = _program.find()
    small = _cppipe.changed(
        (ROOT / "pipelines/segment.cppipe").read_text(), _cppipe.segmentation(Settings("watershed", 12, 60, 2))
    )
    (tmp_path / "small.cppipe").write_text(small)
    writer = [program.executable.with_name("python"), ROOT / "tests/helpers/measure_everything.py"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"JAVA_HOME": str(program.java_home)}
    command = [*map(str, writer), str(tmp_path / "small.cppipe"), str(tmp_path / "all.cppipe")]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    columns: dict[str, list[tuple[str, str]]] = json.loads(said.splitlines()[-1])
    assert list(columns) == MODULES
    rows = [cellprofiler._row(make(1))]
    run = Run(tmp_path / "run", (tmp_path / "all.cppipe").read_text(), rows, False)
    *_, ended = _program.supervise(iter([run]), program, 1)
    assert ended.complete, ended.complaint()
    heads = {}
    for path in run.outputs.glob("*.csv"):
        with path.open(newline="") as file:
            heads[path.stem] = set(next(csv.reader(file)))
    for name, measured in columns.items():
        assert measured, name
        absent = [feature for of, feature in measured if of != "Experiment" and feature not in heads.get(of, ())]
        assert not absent, f"{name} did not write {absent[:3]}"
