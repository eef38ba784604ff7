"""Experiments that DVC's queue calls running though their worker was killed."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from morphospace.apps.cloud import queue

REVISION = "5968016151a147d78671b6b688e19b46af5ba3cd"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose queue calls one experiment running, as DVC 3.67 leaves it when its worker is killed."""
    (tmp_path / "params.yaml").write_text("z_dim: 75\ntrain: {epochs: 8, patience: 5}\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        _git(tmp_path, *arguments)
    clone = tmp_path / ".dvc/tmp/exps/tmpx"
    clone.mkdir(parents=True)
    (clone / "params.yaml").write_text("z_dim: 150\ntrain: {epochs: 20, patience: 5}\n")
    run = tmp_path / ".dvc/tmp/exps/run" / REVISION
    run.mkdir(parents=True)
    record = {"baseline_rev": _git(tmp_path, "rev-parse", "HEAD"), "location": "dvc-task", "name": "wide", "status": 2}
    (run / f"{REVISION}.run").write_text(json.dumps({**record, "root_dir": str(clone)}))
    (run / f"{REVISION}.pid").write_text("999999999")
    monkeypatch.setattr(queue, "_active", lambda root: [REVISION])
    return tmp_path


def test_an_experiment_whose_worker_was_killed_is_named_with_the_lines_to_type(repository: Path) -> None:
    found = queue.stuck(repository)
    assert found.verdict == "warn"
    lines = found.says.split("`")[1::2]
    assert [shlex.split(line) for line in lines] == [
        ["dvc", "queue", "kill", "wide"],
        ["dvc", "exp", "run", "--queue", "-n", "wide", "-S", "z_dim=150", "-S", "train.epochs=20"],
        ["dvc", "queue", "start"],
    ]


def test_one_that_is_at_work_and_one_that_the_queue_let_go_are_well(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = repository / ".dvc/tmp/exps/run" / REVISION / f"{REVISION}.pid"
    with subprocess.Popen([sys.executable, "-c", "input()", f"{REVISION}.run"], stdin=subprocess.PIPE) as worker:
        pid.write_text(str(worker.pid))
        assert queue.stuck(repository).verdict == "ok"
        worker.kill()
    assert queue.stuck(repository).verdict == "warn"
    pid.write_text("1")  # the number went to another process
    assert queue.stuck(repository).verdict == "warn"
    monkeypatch.setattr(queue, "_active", lambda root: [])
    assert queue.stuck(repository).verdict == "ok"


def test_without_its_clone_the_lines_say_the_same_values(repository: Path) -> None:
    (repository / ".dvc/tmp/exps/tmpx/params.yaml").unlink()
    assert "-n wide -S 'the same values'" in queue.stuck(repository).says


def test_records_that_cannot_be_read_and_other_runs_are_left_out(repository: Path) -> None:
    run = repository / ".dvc/tmp/exps/run" / REVISION / f"{REVISION}.run"
    for text in ("{", json.dumps({"status": 6, "location": "dvc-task"}), json.dumps({"status": 2, "location": "temp"})):
        run.write_text(text)
        assert queue.stuck(repository).verdict == "ok"
