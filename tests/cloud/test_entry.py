"""cloud/entry.sh through its whole life: a new machine, killed, another one, the end; against a real S3 server."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import matplotlib
import pytest
import yaml

from morphospace.apps.cloud.server import Server

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
TINY = {
    "z_dim": 4,
    "train": {"epochs": 1, "pictures": 2, "patience": 0},
    "model": "conv_vae",
}
EPOCHS = 60
OUTPUTS = ["data/crops", "data/crops.parquet", "data/splits.csv"]
pytestmark = pytest.mark.slow


def test_the_script_is_clean() -> None:
    out = subprocess.run([BIN / "shellcheck", ROOT / "cloud" / "entry.sh"], capture_output=True, text=True)
    assert out.returncode == 0, out.stdout


class Machine:
    """A folder with its own home, clone, scratch and cache. `.venv` is given: what pip does is tested elsewhere."""

    def __init__(self, folder: Path, origin: Path, s3: Server) -> None:
        self.folder, self.clone = folder, folder / "morphospace"
        folder.mkdir()
        self.stopped = folder / "stopped"
        stop = folder / "stop"
        stop.write_text(f'#!/bin/sh\necho "$1" >> {self.stopped}\n')
        stop.chmod(0o755)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "MORPHOSPACE_", "PYTEST", "GIT_"))}
        self.environment = kept | s3.environment
        self.environment |= {"HOME": str(folder), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        self.environment |= {"MORPHOSPACE_BUCKET": s3.bucket, "MORPHOSPACE_SHUTDOWN": str(stop)}
        self.environment |= {"MORPHOSPACE_JOBS": "1", "MORPHOSPACE_SYNC": "1", "AWS_REGION": "us-east-1"}
        self.environment |= {"PYTHONPATH": "src"}
        self.environment |= {"MORPHOSPACE_SCRATCH": str(folder / "scratch"), "DVC_SITE_CACHE_DIR": str(folder / "site")}
        self.environment |= {"MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", matplotlib.get_configdir())}
        self.environment |= {f"GIT_{w}_{x}": "a@b.c" for w in ("AUTHOR", "COMMITTER") for x in ("NAME", "EMAIL")}
        self("git", "clone", "-q", str(origin), str(self.clone), cwd=folder)
        self._give_environment()

    def _give_environment(self) -> None:
        """Link what pip would install, and say that it was made from the files of this clone."""
        given = self.clone / ".venv"
        given.mkdir()
        for path in BIN.parent.iterdir():
            if path.name != ".made-from":
                (given / path.name).symlink_to(path)
        made_from = (self.clone / name for name in ("pyproject.toml", "environments/constraints.txt"))
        key = hashlib.sha256(b"".join(path.read_bytes() for path in made_from)).hexdigest()[:16]
        (given / ".made-from").write_text(key)

    def __call__(self, *command: str, cwd: Path | None = None) -> str:
        out = subprocess.run(command, cwd=cwd or self.clone, env=self.environment, capture_output=True, text=True)
        assert out.returncode == 0, f"{' '.join(command)}\n{out.stdout[-3000:]}\n{out.stderr[-3000:]}"
        return out.stdout

    def rent(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call `morphospace rent`, which may fail."""
        command = [sys.executable, "-m", "morphospace", "rent", *words]
        environment = self.environment | {"AWS_DEFAULT_REGION": "us-east-1"}
        return subprocess.run(command, cwd=self.clone, env=environment, capture_output=True, text=True)

    def start(self, run: str, *settings: str, minutes: int = 10) -> subprocess.Popen[str]:
        """Start the script as the first process of a session, so that the whole machine can be killed."""
        process = subprocess.Popen(
            ["bash", "cloud/entry.sh", *settings],
            cwd=self.clone,
            env=self.environment | {"MORPHOSPACE_RUN": run, "MORPHOSPACE_MINUTES": str(minutes)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        STARTED.append((self, process))
        return process

    def run(self, name: str, *settings: str, minutes: int = 10) -> tuple[int, str]:
        """Run the script to its end."""
        process = self.start(name, *settings, minutes=minutes)
        said, _ = process.communicate(timeout=300)
        return process.returncode, said

    def pull_the_plug(self, process: subprocess.Popen[str]) -> None:
        """Kill everything on this machine at once, whatever group it is in."""
        mine = f"MORPHOSPACE_SCRATCH={self.environment['MORPHOSPACE_SCRATCH']}".encode()
        process.kill()
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mine in entry.read_bytes().split(b"\0"):
                    os.kill(int(entry.parent.name), signal.SIGKILL)
            except OSError:
                continue
        if process.stdout and not process.stdout.closed:
            process.communicate()

    @property
    def shutdowns(self) -> list[str]:
        return self.stopped.read_text().split() if self.stopped.exists() else []

    def weights(self) -> bytes:
        return next((self.clone / "data" / "models").glob("*.safetensors")).read_bytes()


STARTED: list[tuple[Machine, subprocess.Popen[str]]] = []


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Kill what a failed test has left running."""
    yield
    while STARTED:
        machine, process = STARTED.pop()
        machine.pull_the_plug(process)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("s3"), "bench") as server:
        yield server


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory, s3: Server) -> Machine:
    """The working tree with tiny parameters, its data drawn by one stage and pushed, then the real stage train."""
    folder = tmp_path_factory.mktemp("laptop")
    origin = folder / "origin"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("reports/", "dvc.lock", "tests/")):
            (origin / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, origin / name)
    params = yaml.safe_load((origin / "params.yaml").read_text())
    for key, value in TINY.items():
        params[key] = params[key] | value if isinstance(value, dict) else value
    (origin / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    pipeline = yaml.safe_load((origin / "dvc.yaml").read_text())
    pipeline["stages"] = {
        "cells": {
            "cmd": "env PYTHONPATH=src python cells.py",
            "outs": OUTPUTS,
            "metrics": [{"reports/records/synthesize.json": {"cache": False}}],
        },
        "train": pipeline["stages"]["train"],
    }
    shutil.copy2(Path(__file__).with_name("cells.py"), origin)
    (origin / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "code"]):
        subprocess.run(["git", *command], cwd=origin, check=True)
    machine = Machine(folder / "machine", origin, s3)
    machine("dvc", "config", "--local", "remote.store.url", f"s3://{s3.bucket}/dvc")
    machine("dvc", "repro", "-q", "cells")
    machine("dvc", "push", "-q")
    machine("git", "add", "-A")
    machine("git", "commit", "-qm", "data")
    return machine


def _object(s3: Server, *parts: str) -> Path:
    return s3.objects.joinpath(s3.bucket, *parts)


def test_a_machine_taken_away_is_replaced_and_the_result_is_the_same_to_the_byte(
    laptop: Machine, s3: Server, tmp_path: Path
) -> None:
    setting = f"train.epochs={EPOCHS}"
    first = Machine(tmp_path / "first", laptop.clone, s3)
    process = first.start("far", setting)
    saved = _object(s3, "checkpoints", "far")
    deadline = time.monotonic() + 120
    while not list(saved.glob("*/checkpoint.safetensors")):
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline
        time.sleep(0.1)
    first.pull_the_plug(process)
    assert first.shutdowns == ["+10"], "only the limit set at the start: nothing could follow"
    assert not _object(s3, "runs", "far", "ended").exists()
    header = _header(next(saved.glob("*/checkpoint.safetensors")))
    done = len(json.loads(header["history"]))
    assert 0 < done < EPOCHS

    second = Machine(tmp_path / "second", laptop.clone, s3)
    code, said = second.run("far", setting)
    assert code == 0, said
    assert f"epoch {done + 1} of {EPOCHS}" in said
    assert f"epoch {done} of {EPOCHS}" not in said, "an epoch was trained twice"
    assert second.shutdowns == ["+10", "+2"]
    assert _object(s3, "runs", "far", "ended").read_text() == "0\n"
    assert int(_object(s3, "runs", "far", "used").read_text()) > 0
    assert "Ends with code 0" in _object(s3, "runs", "far", "log.txt").read_text()

    fetched = laptop.rent("far", "--fetch")
    assert "far is here" in fetched.stdout, fetched.stderr
    assert (fetched.returncode, "could NOT be verified" in fetched.stderr) == (1, True), "this server knows no machines"
    laptop("dvc", "exp", "apply", "far")
    brought = laptop.weights()
    metrics = json.loads((laptop.clone / "reports" / "metrics" / "train.json").read_text())
    assert metrics["epochs"] == EPOCHS
    laptop("git", "checkout", "-q", ".")
    laptop("dvc", "exp", "run", "-q", "--name", "here", "-S", setting)
    assert laptop.weights() == brought, "an uninterrupted run gives other weights"

    third = Machine(tmp_path / "third", laptop.clone, s3)
    code, said = third.run("far", setting)
    assert (code, third.shutdowns) == (0, ["+10", "+2"])
    assert "has ended already" in said
    assert "Ends with code 0" in _object(s3, "runs", "far", "log.txt").read_text(), "the log of the run is gone"


def test_a_crash_is_saved_and_ends_the_machine(laptop: Machine, s3: Server, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine", laptop.clone, s3)
    code, said = machine.run("broken", "train.r_loss_factor=1e39")
    assert code != 0
    assert "no longer finite" in said
    assert machine.shutdowns == ["+10", "+2"]
    assert _object(s3, "runs", "broken", "ended").read_text() == f"{code}\n"
    assert "no longer finite" in _object(s3, "runs", "broken", "log.txt").read_text()


def test_the_limit_holds_over_all_machines_of_a_run(laptop: Machine, s3: Server, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine", laptop.clone, s3)
    # Seconds, by an earlier machine; a few are left of a minute. The server must be told, or it does not look.
    given = s3.environment
    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint,
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
    )
    client.put_object(Bucket=s3.bucket, Key="runs/long/used", Body=b"52\n")
    code, said = machine.run("long", "train.epochs=100000", minutes=1)
    assert code == 124
    assert "The limit of 1 minutes is reached" in said
    assert "after 0 minutes" in said, "what an earlier machine has used was forgotten"
    assert machine.shutdowns == ["+1", "+2"]
    assert _object(s3, "runs", "long", "ended").read_text() == "124\n"
    assert 60 <= int(_object(s3, "runs", "long", "used").read_text()) < 90
    # `tee` reads the end of its pipe, and killed processes go, a moment after the script.
    deadline = time.monotonic() + 20
    while _running(machine) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _running(machine), "the training went on"


def test_a_machine_that_is_asked_to_go_saves_and_may_be_replaced(laptop: Machine, s3: Server, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine", laptop.clone, s3)
    process = machine.start("asked", "train.epochs=100000")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "machine" / "scratch" / "train").glob("*/checkpoint.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert list(_object(s3, "checkpoints", "asked").glob("*/checkpoint.safetensors"))
    assert not _object(s3, "runs", "asked", "ended").exists()
    assert machine.shutdowns == ["+10", "+2"]


def test_a_laptop_that_is_ready_lacks_only_skypilot(laptop: Machine) -> None:
    laptop("git", "checkout", "-q", ".")
    assert "SkyPilot is not installed" in laptop.rent("next", "z_dim=5", "--yes").stderr


def _header(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return dict(file.metadata() or {})


def _running(machine: Machine) -> list[str]:
    mine = f"MORPHOSPACE_SCRATCH={machine.environment['MORPHOSPACE_SCRATCH']}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mine in entry.read_bytes().split(b"\0"):
                found.append((entry.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
