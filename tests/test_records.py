import ast
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from morphospace import files, params, records
from morphospace.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
FOUND: dict[str, Any] = {
    "S": np.float32(0.5),
    "S_low": float("nan"),
    "draws": True,
    "verdict": "a sentence",
    "cells": {"train": 3, "test": 1},
    "scores": {"a.b": {"nuclei": {"f1": 0.5, "recall": 1.0}}, "plain": {"nuclei": {"f1": 0.25}}},
    "notes": ["one"],
}


def _write(folder: Path, *compared: str) -> tuple[dict[str, Any], dict[str, Any]]:
    records.write(folder / "metrics.json", folder / "record.json", "folder: may/images", FOUND, compared)
    return files.read_json(folder / "metrics.json"), files.read_json(folder / "record.json")


def test_both_files_name_the_data_set_first_and_metrics_hold_numbers_alone(tmp_path: Path) -> None:
    metrics, record = _write(tmp_path, "S", "S_low", "draws", "cells.*", "scores.*.*.f1", "absent", "absent.too")
    assert list(metrics) == ["dataset", "S", "S_low", "draws", "cells", "scores"]
    assert metrics["dataset"] == record["dataset"] == "folder: may/images"
    assert (tmp_path / "metrics.json").read_text().splitlines()[1] == '  "dataset": "folder: may/images",'
    assert (metrics["S"], metrics["S_low"], metrics["draws"]) == (0.5, None, True)
    assert metrics["cells"] == FOUND["cells"]
    assert metrics["scores"] == {"a.b": {"nuclei": {"f1": 0.5}}, "plain": {"nuclei": {"f1": 0.25}}}
    assert list(record) == ["dataset", *FOUND]
    assert record["notes"] == ["one"]


@pytest.mark.parametrize("name", ["verdict", "notes", "cells", "scores.*.nuclei"])
def test_a_sentence_or_a_list_is_no_metric(tmp_path: Path, name: str) -> None:
    with pytest.raises(TypeError, match="only numbers are compared"):
        _write(tmp_path, name)


def test_a_record_of_another_data_set_is_refused_by_name(tmp_path: Path) -> None:
    _write(tmp_path)
    path = tmp_path / "record.json"
    assert records.read(path, "folder: may/images")["S"] == 0.5
    # The same images at another place: no stage after the index has to run again, so its record keeps its name.
    assert records.read(path, "folder: june/images")["S"] == 0.5
    with pytest.raises(InputError, match=r"record\.json is the result of another data set, 'folder: may/images', and"):
        records.read(path, "synthetic")
    for text in ("[]", "{}", '{"dataset": null}'):
        path.write_text(text)
        with pytest.raises(InputError, match=r"record\.json does not name its data set; run `dvc repro`"):
            records.read(path, "synthetic")


def test_every_stage_with_metrics_has_a_record_and_the_report_reads_records() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name, stage in stages.items():
        if "metrics" in stage:
            (metrics,) = (next(iter(entry)) for entry in stage["metrics"])
            assert {metrics.replace("metrics", "records"): {"cache": False}} in stage["plots"], name
            assert "dataset" in stage["params"], name
            assert importlib.import_module(f"morphospace.stages.{name}").COMPARED, name
        assert not [d for d in stage["deps"] if d.startswith("reports/metrics")], name


def test_no_stage_writes_results_past_the_one_writer() -> None:
    for path in (ROOT / "src/morphospace/stages").glob("*.py"):
        called = {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)}
        assert "files.write_json" not in called, path


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, "synthetic"),
        ({"dataset": "folder"}, "folder"),
        ({"dataset": "folder", "folder.root": "/data/may/images"}, "folder: may/images"),
        ({"dataset": "folder", "folder.root": "/images/"}, "folder: images"),
        ({"dataset": "bbbc021"}, "bbbc021: Week1_22123"),
        ({"dataset": "bbbc021", "bbbc021.plates": ["all"]}, "bbbc021"),
        ({"dataset": "bbbc021", "bbbc021.plates": ["all"], "bbbc021.wells": "negcon"}, "bbbc021: negcon"),
        ({"dataset": "bbbc021", "bbbc021.plates": [f"Week1_2212{n}" for n in range(4)]}, "bbbc021: 4 plates"),
    ],
)
def test_a_data_set_is_called_by_its_kind_and_its_part(changes: dict[str, Any], named: str) -> None:
    assert params.load(ROOT / "params.yaml", changes).data_set == named
