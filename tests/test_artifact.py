"""The package as others get it: from a git repository and a bucket, in a folder that knows neither."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from morphospace.apps.cloud.server import Server
from morphospace.stages.package import NAME

ROOT = Path(__file__).resolve().parent.parent
OUTPUTS = ("data/models", "data/package")
pytestmark = pytest.mark.slow


class Shell:
    """Runs commands with the keys of a bucket, and a git identity."""

    def __init__(self, s3: Server, scratch: Path) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        identity = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        self.environment = os.environ | s3.environment | identity | {"PATH": path, "MORPHOSPACE_JOBS": "1"}
        self.environment["DVC_SITE_CACHE_DIR"] = str(scratch)

    def __call__(self, folder: Path, *command: str, fails: bool = False) -> str:
        out = subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True)
        assert bool(out.returncode) == fails, f"{' '.join(command)}\n{out.stdout}\n{out.stderr}"
        return out.stdout + out.stderr


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("s3"), "morphospace") as server:
        yield server


@pytest.fixture(scope="module")
def published(trained: Path, bucket: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shell, Path, str]:
    """A repository whose only commit names the package, which lies in the bucket, and a bare clone as its origin."""
    root = tmp_path_factory.mktemp("published")
    run, repo, bare = Shell(bucket, root / "site"), root / "repo", root / "bare.git"
    for name in OUTPUTS:
        shutil.copytree(trained / name, repo / name)
    artifacts = yaml.safe_load((ROOT / "dvc.yaml").read_text())["artifacts"]
    stages: dict[str, Any] = {Path(name).name: {"cmd": "true", "outs": [name]} for name in OUTPUTS}
    (repo / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages, "artifacts": artifacts}))
    run(repo, "git", "init", "-q", "-b", "main")
    run(repo, "dvc", "init", "-q")
    shutil.copy(ROOT / ".dvc/config", repo / ".dvc/config")
    run(repo, "dvc", "config", "--unset", "plots.html_template")
    run(repo, "dvc", "commit", "-q", "-f")
    run(repo, "git", "add", "-A")
    run(repo, "git", "commit", "-q", "-m", "a model")
    run(repo, "dvc", "push", "-q")
    commit = run(repo, "git", "rev-parse", "HEAD").strip()
    run(root, "git", "clone", "-q", "--bare", str(repo), str(bare))
    run(repo, "git", "remote", "add", "origin", str(bare))
    return run, repo, commit


def test_a_registered_model_is_fetched_and_used_where_there_is_nothing_else(
    published: tuple[Shell, Path, str], trained: Path, tmp_path: Path
) -> None:
    run, repo, commit = published
    there, address = tmp_path / "elsewhere", f"file://{repo.with_name('bare.git')}"
    there.mkdir()
    assert "Unable to find artifact" in run(there, "dvc", "artifacts", "get", address, NAME, fails=True)

    run(repo, "gto", "register", NAME, "--version", "v1.0.0")
    run(repo, "git", "push", "-q", "origin", f"{NAME}@v1.0.0")
    shutil.rmtree(repo)
    run(there, "dvc", "artifacts", "get", address, NAME, "-o", "newest")
    run(there, "dvc", "artifacts", "get", address, NAME, "--rev", "v1.0.0", "-o", "version")
    run(there, "dvc", "get", address, "data/package", "--rev", commit, "-o", "commit")
    expected = {path.name: path.read_bytes() for path in (trained / "data/package").iterdir()}
    for name in ("newest", "version", "commit"):
        assert {path.name: path.read_bytes() for path in (there / name).iterdir()} == expected

    shutil.copy(trained / "data/crops/P1.zip", there / "cells.zip")
    for verb in ("embed", "reconstruct"):
        assert "images: 20" in run(there, sys.executable, "-m", "morphospace", verb, "newest", "cells.zip")
    assert len(pd.read_csv(there / "embeddings.csv")) == len(pd.read_csv(there / "reconstructions/scores.csv")) == 20
    missing = run(
        there, sys.executable, "-m", "morphospace", "embed", "nowhere", "cells.zip", "-o", "more.csv", fails=True
    )
    assert missing.splitlines() == [
        "error: InputError: nowhere is no folder of a model: it has no model.json, as data/package and data/models have"
    ]


def test_the_weights_lie_in_the_bucket_once(published: tuple[Shell, Path, str], bucket: Server, trained: Path) -> None:
    weights = (trained / "data/models/model.safetensors").read_bytes()
    objects = [path.read_bytes() for path in (bucket.objects / bucket.bucket).rglob("*") if path.is_file()]
    assert objects.count(weights) == 1
    assert len(objects) == 7  # weights, two model.json, README.md, the picture, and the listing of each folder
