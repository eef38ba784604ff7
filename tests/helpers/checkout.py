"""A copy of the working tree in which the pipeline runs as a user runs it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "z_dim": 8,
    "synthetic": {"plates": 1, "wells": 12, "sites": 1, "height": 384, "width": 512, "cells": 14},
    "validate": {"fields": 2},
    "synthesize": {"size": 96},
    "train": {"epochs": 2, "pictures": 3, "keep_every": 1, "threads": 1},
    "canonical_vae": {"copies": 600, "components": 100, "mend_width": 16},
    "similarity": {"bootstrap": 100},
}


def queue(folder: Path) -> dict[str, str]:
    """Return how each experiment of the queue stands, by name: without the seconds that `dvc queue status` starts."""
    with Repo(str(folder)) as repo:
        return {str(row["name"] or row["rev"]): str(row["status"]) for row in repo.experiments.celery_queue.status()}


def workers(folder: Path) -> int:
    """Return how many workers of the queue run."""
    with Repo(str(folder)) as repo:
        return len(repo.experiments.celery_queue.worker_status())


def _is_input(name: str) -> bool:
    """Whether a file of the repository is no result: the plan lies with the reports, but a person made it."""
    return name == "reports/plan.json" or not name.startswith(("reports/", "dvc.lock"))


class Checkout:
    """A copy of the working tree, with its own git, DVC cache and scratch folder."""

    def __init__(self, folder: Path, params: dict[str, object]) -> None:
        self.folder = folder
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in listed.splitlines():
            if (ROOT / name).is_file() and _is_input(name):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        given = yaml.safe_load((folder / "params.yaml").read_text())
        for key, value in params.items():
            given[key] = given[key] | value if isinstance(value, dict) else value
        (folder / "params.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
        self.run("git", "init", "-q")
        self.dvc("config", "--local", "core.site_cache_dir", str(folder.parent / "site"))
        self.commit()

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "MORPHOSPACE_SCRATCH": str(self.folder.parent / "scratch")}
        return environment | {
            f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        out = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if check and out.returncode:
            pytest.fail(f"{' '.join(command)}\n{out.stdout[-4000:]}\n{out.stderr[-4000:]}")
        return out

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check)

    def start_queue(self, jobs: int) -> None:
        """Start workers; they would hold a pipe for as long as they live, so nothing is captured."""
        command = [sys.executable, "-m", "dvc", "queue", "start", "-j", str(jobs)]
        away = subprocess.DEVNULL
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True, stdout=away, stderr=away)

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "state")

    def metrics(self, name: str) -> dict[str, float]:
        values: dict[str, float] = json.loads((self.folder / "reports" / "records" / f"{name}.json").read_text())
        return values
