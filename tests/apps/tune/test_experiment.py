"""An experiment by the real DVC: what it says when it fails, and that it waits for other DVC commands."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from dvc.lock import make_lock

from morphospace.apps.tune import experiment
from morphospace.errors import InputError


def _end(running: experiment.Experiment) -> int:
    deadline = time.monotonic() + 120
    while (code := running.poll()) is None:
        assert time.monotonic() < deadline, running.said()
        time.sleep(0.05)
    running.stop()
    return code


def test_outside_a_repository_dvc_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    running = experiment.Experiment("one", {"z_dim": 4}, "train", tmp_path / "work", 1)
    assert _end(running) != 0
    assert "not inside of a DVC repository" in running.reason()
    with pytest.raises(InputError, match=r"`dvc repro split` failed: .*not inside of a DVC repository"):
        experiment.bring("split")


@pytest.mark.slow
def test_a_start_that_meets_another_dvc_command_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True)
    with make_lock(tmp_path / ".dvc" / "tmp" / "lock", tmp_dir=tmp_path / ".dvc" / "tmp"):
        running = experiment.Experiment("one", {"z_dim": 4}, "train", tmp_path / "work", 1)
        while running._starts < 2:
            assert running.poll() is None
            time.sleep(0.05)
    assert _end(running) != 0
    assert "Unable to acquire lock" not in running.reason()
    assert "Empty" in running.reason() or "HEAD" in running.reason() or "commit" in running.reason()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "error: ParameterError: z_dim is 0\nERROR: failed to reproduce 'train': exited with 1\n",
            "error: ParameterError: z_dim is 0",
        ),
        ("Traceback\nKeyError: 'x'\nERROR: failed to reproduce 'train': 1\n", "KeyError: 'x'"),
        (
            "ERROR: unexpected error - no space left\n\nHaving any troubles?\n",
            "ERROR: unexpected error - no space left",
        ),
        ("", "it said nothing"),
    ],
)
def test_the_line_that_matters_is_found(tmp_path: Path, said: str, reason: str) -> None:
    running = experiment.Experiment.__new__(experiment.Experiment)
    running.log = tmp_path / "x.log"
    running.log.write_text(said)
    assert running.reason() == reason


@pytest.mark.parametrize(
    ("value", "text"), [(1e-05, "1e-05"), (75, "75"), (True, "true"), ("elbo", "'elbo'"), (1 / 3, "0.3333333333333333")]
)
def test_values_keep_all_their_digits(value: object, text: str) -> None:
    assert experiment._text(value) == text
