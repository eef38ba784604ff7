"""The whole pipeline, as a user runs it: dvc repro in a copy of the repository, with the real CellProfiler."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
TINY = {
    "z_dim": 8,
    "synthetic": {"plates": 2, "wells": 6, "sites": 1, "height": 384, "width": 512, "cells": 14},
    "validate": {"fields": 2},
    "synthesize": {"size": 96},
    "train": {"epochs": 2, "pictures": 3},
    "similarity": {"bootstrap": 100},
}
pytestmark = pytest.mark.slow


class Checkout:
    """A copy of the working tree, with its own git, DVC cache and scratch folder."""

    def __init__(self, folder: Path, params: dict[str, object]) -> None:
        self.folder = folder
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in listed.splitlines():
            if (ROOT / name).is_file() and not name.startswith(("reports/", "dvc.lock")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        given = yaml.safe_load((folder / "params.yaml").read_text())
        for key, value in params.items():
            given[key] = given[key] | value if isinstance(value, dict) else value
        (folder / "params.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
        self.run("git", "init", "-q")
        self.dvc("config", "--local", "core.site_cache_dir", str(folder.parent / "site"))
        self.commit()

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "MORPHOSPACE_SCRATCH": str(self.folder.parent / "scratch")}
        environment |= {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        out = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        if check and out.returncode:
            pytest.fail(f"{' '.join(command)}\n{out.stdout[-4000:]}\n{out.stderr[-4000:]}")
        return out

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check)

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "state")

    def metrics(self, name: str) -> dict[str, float]:
        values: dict[str, float] = json.loads((self.folder / "reports" / "metrics" / f"{name}.json").read_text())
        return values


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A tiny synthetic plate, through all stages once."""
    checkout = Checkout(tmp_path_factory.mktemp("tiny") / "repo", TINY)
    checkout.dvc("repro")
    checkout.commit()
    return checkout


def test_every_cell_found_is_cropped_or_counted(tiny: Checkout) -> None:
    crops = pd.read_parquet(tiny.folder / "data" / "crops.parquet")
    metrics = tiny.metrics("synthesize")
    assert len(crops) == metrics["cells"] == tiny.metrics("segment")["cells"]
    assert metrics["kept"] + metrics["too_large"] <= metrics["cells"]
    assert metrics["kept"] > 20


def test_both_engines_find_the_same_cells(tiny: Checkout) -> None:
    text = json.dumps(tiny.metrics("validate"))
    assert "native" in text
    assert "plain" in text


def test_the_score_stands_beside_its_floors_and_interval(tiny: Checkout) -> None:
    score = tiny.metrics("similarity")
    floors = {"S_black", "S_constant", "S_mean", "S_median", "S_pca"}
    assert floors <= set(score)
    assert score["S_low"] <= score["S"] <= score["S_high"]
    assert all(0 < score[name] <= 1 for name in floors)


def test_the_report_is_one_file_that_names_what_was_run(tiny: Checkout) -> None:
    page = (tiny.folder / "reports" / "report.html").read_text()
    assert "synthetic" in page
    assert "conv_vae" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (tiny.folder / "reports" / "report.md").stat().st_size > 1000


def test_a_second_repro_runs_nothing_and_the_tree_is_clean(tiny: Checkout) -> None:
    out = tiny.dvc("repro")
    assert "Running stage" not in out.stdout
    assert tiny.run("git", "status", "--porcelain").stdout == ""


def test_an_experiment_trains_again_and_is_compared(tiny: Checkout) -> None:
    out = tiny.dvc("exp", "run", "-S", "z_dim=4", "-n", "narrow")
    assert "Running stage 'train'" in out.stdout
    assert "Running stage 'segment'" not in out.stdout
    diff = json.loads(tiny.dvc("metrics", "diff", "--json", "HEAD").stdout)
    assert "S_pca" in json.dumps(diff)
    assert "narrow" in tiny.dvc("exp", "show", "--csv").stdout
    tiny.dvc("plots", "diff", "HEAD", "-o", str(tiny.folder.parent / "plots"))
    assert "cdn" not in (tiny.folder.parent / "plots" / "index.html").read_text()[:20000]
    tiny.run("git", "checkout", "-q", ".")


def test_a_grid_runs_two_at_a_time_and_is_compared(tiny: Checkout) -> None:
    tiny.dvc("exp", "run", "--queue", "-S", "z_dim=5,6")
    tiny.dvc("queue", "start", "-j", "2")
    deadline = time.monotonic() + 300
    while (status := tiny.dvc("queue", "status").stdout).count("Success") != 2:
        assert "Failed" not in status, status
        assert time.monotonic() < deadline, status
        time.sleep(2)
    tiny.run(sys.executable, "-m", "morphospace", "compare", str(tiny.folder.parent / "compare"))
    table = pd.read_csv(tiny.folder.parent / "compare" / "experiments.csv")
    assert {5, 6, 8} <= set(table["z_dim"])
    assert (tiny.folder.parent / "compare" / "similarity.png").stat().st_size > 1000


def test_a_typo_is_refused_before_any_work(tiny: Checkout) -> None:
    text = (tiny.folder / "params.yaml").read_text()
    (tiny.folder / "params.yaml").write_text(text.replace("epochs:", "epocs:"))
    out = tiny.dvc("repro", check=False)
    (tiny.folder / "params.yaml").write_text(text)
    assert out.returncode != 0
    assert "did you mean 'epochs'" in out.stdout + out.stderr


def test_real_fields_go_through_the_whole_chain(tmp_path: Path, real_data: Path) -> None:
    """Two complete fields of BBBC021 and one that lacks a channel, which is dropped and named."""
    changes = TINY | {
        "dataset": "folder",
        "folder": {"root": str(real_data / "bbbc021_fields"), "plate": "Week2_24381"},
        "split": {"by": "site"},
        "synthesize": {"size": 128},
    }
    pattern = r"(?P<well>[A-P]\d{2})_s(?P<site>\d+)_w(?P<channel>\d)"
    changes["folder"] = dict(changes["folder"], pattern=pattern)  # type: ignore[call-overload]
    checkout = Checkout(tmp_path / "repo", changes)
    checkout.dvc("repro")
    dropped = pd.read_csv(checkout.folder / "data" / "dropped.csv")
    assert dropped.to_string().count("Actin") >= 1
    assert checkout.metrics("synthesize")["kept"] > 100
    assert checkout.metrics("similarity")["S"] > 0.5
