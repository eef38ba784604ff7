"""The stage fills the raw folder whole or leaves it as it was."""

import json
from pathlib import Path

import pytest
import yaml

from morphospace import files
from morphospace.errors import InputError
from morphospace.stages import fetch

ROOT = Path(__file__).resolve().parents[2]


def _params(changes: dict[str, object]) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for key, value in changes.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    Path("params.yaml").write_text(yaml.safe_dump(values))


def test_the_raw_folder_is_filled_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _params({"synthetic": {"plates": 1, "wells": 2, "sites": 1, "height": 128, "width": 128, "cells": 2}})
    fetch.run(Path("raw"), Path("fetch.json"))
    timing = json.loads(Path("fetch.json").read_text())
    assert timing["items"] == 2 * 3 + 2 * 2 + 3  # images, truth, tables
    assert timing["bytes"] > 0
    assert len(list(Path("raw").glob("Week1_22123/*.tif"))) == 6


def test_a_failed_fetch_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _params({"dataset": "folder", "folder": {"root": "nowhere"}})
    Path("raw").mkdir()
    Path("raw/old.tif").write_text("x")
    Path("raw", files.LIST).write_text("# \nold.tif\n")
    with pytest.raises(InputError, match="is not a folder"):
        fetch.run(Path("raw"), Path("fetch.json"))
    assert sorted(p.name for p in Path().iterdir()) == ["params.yaml", "raw"]
    assert Path("raw/old.tif").read_text() == "x"
