import time
from pathlib import Path

import pytest

from morphospace import files
from morphospace.reporting.clock import clock, size


def test_a_stage_is_timed_with_its_items_and_bytes(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with clock("train", tmp_path / "t.json", output) as tally:
        output.mkdir()
        (output / "a").write_bytes(b"12345")
        time.sleep(0.05)
        tally.items, tally.unit, tally.earlier_seconds = 7, "cells", 10.0
    row = files.read_json(tmp_path / "t.json")
    assert row["seconds"] >= 10.05
    assert (row["stage"], row["items"], row["unit"], row["bytes"]) == ("train", 7, "cells", 5)
    assert row["peak_memory_mb"] > 1
    assert row["cpu_seconds"] >= 0


def test_a_stage_that_fails_leaves_no_timing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), clock("train", tmp_path / "t.json"):
        raise RuntimeError("stop")
    assert not (tmp_path / "t.json").exists()


def test_the_size_of_a_file_is_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    assert size(tmp_path / "a") == 3
