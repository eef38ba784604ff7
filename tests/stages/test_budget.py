import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from morphospace import reasons
from morphospace.errors import InputError
from morphospace.stages import budget

ROOT = Path(__file__).resolve().parents[2]
INPUTS = (Path("timings"), Path("index.json"), Path("plan.json"))


def _timing(folder: Path, stage: str, seconds: float, items: int) -> None:
    folder.mkdir(exist_ok=True)
    text = {"stage": stage, "seconds": seconds, "cpu_seconds": 1.5, "peak_memory_mb": 10.0, "bytes": 100}
    (folder / f"{stage}.json").write_text(json.dumps(text | {"items": items, "unit": "cells"}))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    given = {name: value for name, value in given.items() if name not in {"folder", "bbbc021"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))
    monkeypatch.chdir(tmp_path)
    Path("plan.json").write_text('{"plan": null}')
    return tmp_path


def test_table_metrics_and_figures_are_written_and_repeat(here: Path) -> None:
    for stage, seconds, items in [("index", 2.0, 10), ("train", 50.0, 1000), ("embed", 3.0, 100)]:
        _timing(here / "timings", stage, seconds, items)
    (here / "timings" / ".gitignore").write_text("/fetch.json\n")
    Path("index.json").write_text('{"images": {"height": 1024, "width": 1280}}')
    outputs = [Path("budget.csv"), Path("metrics.json"), Path("budget.json"), Path("figures")]
    budget.run(*INPUTS, *outputs)
    first = [p.read_bytes() for o in outputs for p in (sorted(o.iterdir()) if o.is_dir() else [o])]
    budget.run(*INPUTS, *outputs)
    assert first == [p.read_bytes() for o in outputs for p in (sorted(o.iterdir()) if o.is_dir() else [o])]
    assert list(pd.read_csv("budget.csv")["stage"]) == ["index", "train", "embed"]
    sums = json.loads(Path("budget.json").read_text())
    assert sums["images_per_second"] == 20
    assert {"thesis_20_epochs_hours", "thesis_50_epochs_cost_spot", "thesis_200_epochs_cost_on_demand"} <= set(sums)
    assert sorted(p.name for p in Path("figures").iterdir()) == ["extrapolation.png", "stages.png"]
    assert not [name for name in sums if name.startswith("predicted")]


def test_a_folder_without_timings_is_refused(here: Path) -> None:
    (here / "timings").mkdir()
    with pytest.raises(InputError, match="timings holds no timing"):
        budget.run(*INPUTS, Path("a.csv"), Path("m.json"), Path("a.json"), Path("figures"))


def test_varying_sizes_of_fields_count_as_alike(here: Path) -> None:
    _timing(here / "timings", "index", 2.0, 1)
    Path("index.json").write_text('{"images": {}}')
    budget.run(*INPUTS, Path("budget.csv"), Path("metrics.json"), Path("budget.json"), Path("figures"))
    assert json.loads(Path("budget.json").read_text())["thesis_20_epochs_hours"] == pytest.approx(1320 * 2 / 3600)


def test_a_plan_stands_beside_what_the_run_took(here: Path) -> None:
    for stage, seconds, items in [("index", 2.0, 10), ("train", 50.0, 1000), ("embed", 3.0, 100)]:
        _timing(here / "timings", stage, seconds, items)
    Path("index.json").write_text('{"images": {}}')
    member = {"name": "z_dim=75", "parameters": {"z_dim": 75}, "seconds": {"train": [100, 80, 120], "embed": [1, 1, 1]}}
    before = {"parameters": {}, "seconds": {"index": [4, 4, 4], "start": [9, 9, 9]}}
    plan = {"members": [member], "shared": [before], "processor": "x", "device": "cpu", "size": {"fields": 10}}
    Path("plan.json").write_text(json.dumps({"plan": plan | {"size": {"fields": 10, "cells": 100}}}))
    budget.run(*INPUTS, Path("budget.csv"), Path("metrics.json"), Path("budget.json"), Path("figures"))
    table = pd.read_csv("budget.csv").set_index("stage")
    assert list(table["predicted_seconds"]) == [4, 100, 1]
    assert table.loc["train", ["predicted_low", "predicted_high"]].tolist() == [80, 120]
    sums = json.loads(Path("budget.json").read_text())
    assert sums["predicted_ratio"] == pytest.approx(55 / 105, abs=1e-4)
    assert sums["predicted_hours"] == pytest.approx(105 / 3600, abs=1e-6)
    assert sums["predicted_cost_spot"] is None
    assert "no price of the machine that ran" in reasons.of(sums, "predicted_cost_spot")
    assert "planned x; cpu" in sums["predicted_differs"]
    assert (Path("figures") / "predicted.png").stat().st_size > 5000


def test_a_plan_that_is_not_there_is_named(here: Path) -> None:
    _timing(here / "timings", "index", 2.0, 1)
    Path("index.json").write_text('{"images": {}}')
    Path("plan.json").unlink()
    with pytest.raises(InputError, match=r"plan\.json is missing"):
        budget.run(*INPUTS, Path("budget.csv"), Path("metrics.json"), Path("budget.json"), Path("figures"))
