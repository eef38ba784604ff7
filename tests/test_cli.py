import subprocess
import sys
from pathlib import Path

import pytest

from morphospace.cli import COMMANDS


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "morphospace", *arguments], cwd=cwd, capture_output=True, text=True)


def test_help_lists_every_command(tmp_path: Path) -> None:
    out = _run("--help", cwd=tmp_path)
    assert out.returncode == 0
    assert all(name in out.stdout for name in COMMANDS)


def test_the_help_of_a_stage_explains_its_paths(tmp_path: Path) -> None:
    out = _run("split", "--help", cwd=tmp_path)
    assert out.returncode == 0
    assert "CROPS" in out.stdout.upper()
    assert "SPLITS" in out.stdout.upper()


def test_a_mistake_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    out = _run("split", "a", "b", "c", "d", cwd=tmp_path)
    assert out.returncode == 1
    assert "Traceback" not in out.stderr
    assert out.stderr.startswith("error: ParameterError: params.yaml is not here")


@pytest.mark.parametrize("arguments", [["splt"], ["split"]])
def test_a_wrong_command_or_a_missing_path_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    assert _run(*arguments, cwd=tmp_path).returncode == 2
