import re
import subprocess
import sys
from pathlib import Path

import pytest

from morphospace.cli import COMMANDS, STAGES


def _run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "morphospace", *arguments], cwd=cwd, capture_output=True, text=True)


def test_help_lists_every_command(tmp_path: Path) -> None:
    for group, names in [((), [*COMMANDS, "stage"]), (("stage",), STAGES)]:
        out = _run(*group, "--help", cwd=tmp_path)
        assert out.returncode == 0
        assert [n for n in names if not re.search(rf"^\W*{n} ", out.stdout, re.MULTILINE)] == []


def test_the_help_of_a_stage_explains_its_paths(tmp_path: Path) -> None:
    out = _run("stage", "split", "--help", cwd=tmp_path)
    assert out.returncode == 0
    assert "CROPS" in out.stdout.upper()
    assert "SPLITS" in out.stdout.upper()


def test_a_mistake_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    out = _run("stage", "split", "a", "b", "c", "d", "e", "f", cwd=tmp_path)
    assert out.returncode == 1
    assert "Traceback" not in out.stderr
    assert out.stderr.startswith("error: ParameterError: params.yaml is not here")


@pytest.mark.parametrize("arguments", ["splt", "split", "compare x y", "stage splt", "stage split", "stage compare"])
def test_a_wrong_command_or_a_missing_path_is_refused(tmp_path: Path, arguments: str) -> None:
    assert _run(*arguments.split(), cwd=tmp_path).returncode == 2
