"""Plates on a bucket, as docs/bucket.md says: DVC with our .dvc/config against a real S3 server."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from morphospace.apps.cloud.server import Server

ROOT = Path(__file__).resolve().parent.parent
# A stage that writes a folder of files; the large ones take long enough to upload that a kill finds some under way.
TOY = """
import os, pathlib, yaml
seed = yaml.safe_load(open("params.yaml"))["seed"]
pathlib.Path("data").mkdir()
for i, size in enumerate(yaml.safe_load(open("sizes.yaml"))):
    pathlib.Path(f"data/{i}.zip").write_bytes(bytes([seed]) + os.urandom(size))
"""
DVC_YAML = {
    "stages": {"draw": {"cmd": f"{sys.executable} toy.py", "deps": ["toy.py"], "params": ["seed"], "outs": ["data"]}}
}
pytestmark = pytest.mark.slow


class Repository:
    """A git and DVC repository whose ``.dvc/config`` is ours, in an environment that knows only the server."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.changes: dict[str, str] = {}

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command and return what it printed; it must fail just when `fails`."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "DVC_", "GIT_", "RCLONE_"))}
        who = {f"GIT_{w}_{what}": "a@b.c" for w in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        home = {"HOME": str(self.folder.parent), "PATH": path, "AWS_EC2_METADATA_DISABLED": "true"}
        home |= {"PYTHONPATH": str(ROOT / "src"), "NO_PROXY": "127.0.0.1"}
        environment = kept | who | home | self.server.environment | self.changes
        out = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert bool(out.returncode) == fails, f"{' '.join(command)}\n{out.stdout[-3000:]}\n{out.stderr[-3000:]}"
        return out.stdout + out.stderr

    def dvc(self, *arguments: str, fails: bool = False) -> str:
        return self.run(sys.executable, "-m", "dvc", *arguments, fails=fails)

    def doctor(self, *options: str, fails: bool = False) -> str:
        return self.run(sys.executable, "-m", "morphospace", "doctor", *options, fails=fails)

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "-m", "state")

    def clone(self, name: str) -> "Repository":
        """Return a fresh clone with an empty cache, as a colleague has it."""
        theirs = Repository(self.folder.parent / name, self.server)
        self.run("git", "clone", "-q", str(self.folder), str(theirs.folder))
        theirs.own_site()
        return theirs

    def own_site(self, more: str = "") -> None:
        """Keep DVC's locks and indices apart from those of other repositories; add a setting of the remote."""
        site = self.folder.parent / f"{self.folder.name}-site"
        text = f"[core]\n    site_cache_dir = {site}\n['remote \"store\"']\n    {more}\n"
        (self.folder / ".dvc" / "config.local").write_text(text)

    def content(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "data").iterdir()}


def _new(folder: Path, server: Server, names: list[str]) -> Repository:
    """Return an empty repository with some files of ours."""
    repository = Repository(folder, server)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", *names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    repository.run("git", "init", "-q")
    repository.own_site()
    return repository


@pytest.fixture
def toy(tmp_path: Path, s3: Server) -> Repository:
    """A repository with one stage, run and committed."""
    repository = _new(tmp_path / "mine", s3, [])
    (repository.folder / "toy.py").write_text(TOY)
    (repository.folder / "dvc.yaml").write_text(yaml.safe_dump(DVC_YAML))
    (repository.folder / ".gitignore").write_text("/data\n")
    _parameters(repository, seed=1)
    repository.dvc("repro", "-q")
    repository.commit()
    return repository


def _parameters(repository: Repository, seed: int, sizes: tuple[int, ...] = (1000, 2000)) -> None:
    given = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"seed": seed}
    given["segment"]["engine"] = "native"
    (repository.folder / "params.yaml").write_text(yaml.safe_dump(given))
    (repository.folder / "sizes.yaml").write_text(yaml.safe_dump(list(sizes)))


def _objects(server: Server) -> list[Path]:
    return [p for p in (server.objects / "morphospace" / "dvc").rglob("*") if p.is_file() and not _partial(p)]


def _partial(path: Path) -> bool:
    """Whether rclone is still writing it."""
    return path.name.startswith(".rclone_temp")


def test_real_stages_pulled_with_the_run_cache_run_nothing(tmp_path: Path, s3: Server) -> None:
    """The colleague repeats the repro from dvc.lock."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    kept = [
        n for n in names if n.startswith(("src/", "pipelines/")) or n in {"dvc.yaml", "params.yaml", "data/.gitignore"}
    ]
    mine = _new(tmp_path / "mine", s3, [n for n in kept if (ROOT / n).is_file()])
    given = yaml.safe_load((mine.folder / "params.yaml").read_text())
    given["synthetic"] |= {"plates": 1, "wells": 2, "sites": 1, "height": 256, "width": 256, "cells": 4}
    given["segment"]["engine"] = "native"
    (mine.folder / "params.yaml").write_text(yaml.safe_dump(given))
    mine.commit()
    assert "Running stage 'index'" in mine.dvc("repro", "fetch", "index")
    mine.commit()
    assert "objects can be written" in mine.doctor()
    mine.dvc("push", "--run-cache", "fetch", "index")
    theirs = mine.clone("theirs")
    theirs.dvc("pull", "--run-cache", "fetch", "index")
    table = "data/image_sets.csv"
    assert (theirs.folder / table).read_bytes() == (mine.folder / table).read_bytes()
    assert "Running stage" not in theirs.dvc("repro", "fetch", "index")


def test_what_is_pushed_comes_back_and_old_versions_are_swept(toy: Repository) -> None:
    assert "new" in toy.dvc("status", "-c")
    toy.dvc("push")
    assert "in sync" in toy.dvc("status", "-c")
    old = set(_objects(toy.server))
    _parameters(toy, seed=2)
    toy.dvc("repro", "-q")
    toy.commit()
    toy.dvc("push")
    assert old < set(_objects(toy.server))
    toy.dvc("gc", "-w", "-c", "-f")
    assert len(_objects(toy.server)) == 3  # two files and their folder
    assert not old & set(_objects(toy.server))
    theirs = toy.clone("theirs")
    theirs.dvc("pull")
    assert theirs.content() == toy.content()


def test_an_experiment_travels_with_its_data(toy: Repository) -> None:
    toy.run("git", "init", "-q", "--bare", "../origin.git")
    toy.run("git", "remote", "add", "origin", str(toy.folder.parent / "origin.git"))
    toy.run("git", "push", "-q", "origin", "HEAD")
    toy.dvc("exp", "run", "-n", "other", "-S", "seed=7")
    toy.dvc("exp", "push", "origin", "other")
    theirs = toy.clone("theirs")
    theirs.run("git", "remote", "set-url", "origin", str(toy.folder.parent / "origin.git"))
    assert "other" in theirs.dvc("exp", "list", "origin", "-A")
    theirs.dvc("exp", "pull", "origin", "other")
    theirs.dvc("exp", "apply", "other")
    assert theirs.content() == toy.content()
    assert theirs.content()["0.zip"][0] == 7


def test_wrong_keys_and_a_missing_bucket_fail_and_the_doctor_says_why(toy: Repository) -> None:
    toy.changes = {"AWS_SECRET_ACCESS_KEY": "wrong"}
    toy.dvc("push", fails=True)
    assert "check AWS_SECRET_ACCESS_KEY" in toy.doctor(fails=True)
    toy.changes = {}
    toy.own_site("url = s3://nowhere/dvc")
    toy.dvc("push", fails=True)
    assert "there is no bucket nowhere" in toy.doctor(fails=True)
    assert _objects(toy.server) == []


def test_a_truncated_object_is_caught_by_verify_and_mended(toy: Repository) -> None:
    toy.dvc("push")
    toy.server.stop()
    victim = max(_objects(toy.server), key=lambda path: path.stat().st_size)
    os.truncate(victim, 100)
    toy.server.start()
    theirs = toy.clone("theirs")
    theirs.dvc("pull", fails=True)
    assert not (theirs.folder / "data").exists()
    # The check is worth something: without it DVC takes the torn file.
    careless = toy.clone("careless")
    careless.own_site("verify = false")
    careless.dvc("pull")
    assert careless.content() != toy.content()
    # DVC sends it again only when the folder's list is gone, too.
    assert "in sync" in toy.dvc("status", "-c")
    assert "1 lost or torn" in toy.doctor("--objects", fails=True)
    assert "deleted, now `dvc push`" in toy.doctor("--objects", "--mend")
    toy.dvc("push")
    theirs.dvc("pull")
    assert theirs.content() == toy.content()


def test_a_server_killed_in_a_push_loses_nothing(toy: Repository) -> None:
    _parameters(toy, seed=3, sizes=(1000,) * 4 + (12_000_000,) * 6)
    toy.dvc("repro", "-q")
    toy.commit()
    command = [sys.executable, "-m", "dvc", "push"]
    environment = os.environ | toy.server.environment | {"HOME": str(toy.folder.parent)}
    with subprocess.Popen(
        command, cwd=toy.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as push:
        deadline = time.monotonic() + 60
        while not _objects(toy.server):
            assert push.poll() is None, push.communicate()[0].decode()
            assert time.monotonic() < deadline
            time.sleep(0.001)
        toy.server.kill()
        push.communicate(timeout=120)
        assert push.returncode != 0
    assert 0 < len(_objects(toy.server)) < 11  # ten files, and their folder, which goes last
    assert "nothing answers" in toy.doctor(fails=True)
    toy.server.start()
    toy.dvc("push")
    assert len(_objects(toy.server)) == 11
    theirs = toy.clone("theirs")
    theirs.dvc("pull")
    assert theirs.content() == toy.content()
