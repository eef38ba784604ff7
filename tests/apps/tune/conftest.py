"""An empty store of studies, made once: making its tables takes a second."""

import shutil
from pathlib import Path

import pytest

from morphospace.apps.tune import study as studies


@pytest.fixture(scope="session")
def _empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tune.db"
    studies.connect(path, "another", studies.Identity({}, ""), 0, False)
    return path


@pytest.fixture(autouse=True)
def _store(_empty: Path, tmp_path: Path) -> None:
    shutil.copy(_empty, tmp_path / "tune.db")
