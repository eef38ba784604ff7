"""`make clean` removes what morphospace made, wherever the scratch folder lies, and nothing else."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from morphospace import files, places

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "environments").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "environments" / "clean.sh", folder / "environments")
    return folder


def _clean(checkout: Path, **environment: str) -> None:
    kept = {k: v for k, v in os.environ.items() if k not in ("MORPHOSPACE_SCRATCH", "XDG_CACHE_HOME")}
    subprocess.run(["make", "-s", "clean"], cwd=checkout, env=kept | environment, check=True)


def test_a_scratch_folder_with_a_persons_files_keeps_them(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a home"
    (home / "train").mkdir(parents=True)
    for name in ("thesis.tex", "train/photo.jpg"):
        (home / name).write_text("mine")
    (home / "tagged").mkdir()
    (home / "tagged" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n# made by another\n")
    monkeypatch.setenv("MORPHOSPACE_SCRATCH", str(home))
    for stage in ("segment", "train"):
        (files.scratch(stage, "abc") / "work").touch()
    _clean(checkout, MORPHOSPACE_SCRATCH=str(home))
    left = {p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()}
    assert left == {"thesis.tex", "train/photo.jpg", "train/abc/work", "tagged/CACHEDIR.TAG"}


def test_a_scratch_folder_of_our_own_goes_whole(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MORPHOSPACE_SCRATCH", str(tmp_path / "scratch"))
    files.scratch("segment", "abc")
    _clean(checkout, MORPHOSPACE_SCRATCH=str(tmp_path / "scratch"))
    assert not (tmp_path / "scratch").exists()
    _clean(checkout, MORPHOSPACE_SCRATCH=str(tmp_path / "scratch"))
    (tmp_path / "cache" / "other").mkdir(parents=True)
    monkeypatch.delenv("MORPHOSPACE_SCRATCH")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files.scratch("train", "abc")
    mine = tmp_path / "cache" / "morphospace" / "mine.txt"
    mine.touch()
    _clean(checkout, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert [p.name for p in mine.parent.iterdir()] == ["mine.txt"]
    mine.unlink()
    files.scratch("train", "abc")
    _clean(checkout, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["other"]


def test_data_results_and_what_an_environment_links_to_stay(checkout: Path, tmp_path: Path) -> None:
    for name in ("data/raw/a.tif", "reports/report.md", "src/a.py", "elsewhere/bin/python"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    (checkout / ".venv").symlink_to("elsewhere")
    (checkout / ".mypy_cache").mkdir()
    _clean(checkout, HOME=str(tmp_path))
    assert not (checkout / ".venv").exists()
    assert not (checkout / ".mypy_cache").exists()
    for name in ("data/raw/a.tif", "reports/report.md", "src/a.py", "elsewhere/bin/python"):
        assert (checkout / name).exists()


def test_what_is_removed_is_what_a_person_is_kept_from() -> None:
    line = next(x for x in (ROOT / "environments/clean.sh").read_text().splitlines() if x.startswith("rm -rf .venv"))
    assert tuple(line.split()[2:]) == places.CLEANED
