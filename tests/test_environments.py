"""environments/setup.sh says in one line what is missing, before it makes anything."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that the script reads, and a folder for the only programs it may find."""
    for name in ("environments/setup.sh", "environments/constraints.txt", "pyproject.toml", "params.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "dirname", "id", "cat"):
        (programs / name).symlink_to(shutil.which(name) or "")
    return tmp_path


def _program(checkout: Path, name: str, script: str) -> None:
    path = checkout / "bin" / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def _setup(checkout: Path) -> str:
    bash = shutil.which("bash") or ""
    environment = {"PATH": str(checkout / "bin")}
    command = [bash, str(checkout / "environments" / "setup.sh")]
    out = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert out.returncode == 1
    assert not (checkout / ".venv").exists()
    return out.stderr.strip()


def test_a_missing_python_is_named(checkout: Path) -> None:
    assert _setup(checkout) == "missing: Python 3.11 or 3.12 (apt-get install -y python3)"


def test_a_python_that_cellprofiler_cannot_use_is_named(checkout: Path) -> None:
    _program(checkout, "python3", 'if [ "$1" = --version ]; then echo Python 3.13.1; else exit 1; fi')
    said = _setup(checkout)
    assert said.startswith("Python 3.13.1 cannot run CellProfiler 4.2.8.1")
    assert len(said.splitlines()) == 1


def test_an_ordinary_user_is_told_the_line_to_type(checkout: Path) -> None:
    _program(checkout, "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    _program(checkout, "id", "echo 1000")
    assert _setup(checkout) == (
        "missing system packages; run: sudo apt-get install -y --no-install-recommends python3-venv"
    )
