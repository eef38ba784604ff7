"""Real fields go from image to crop; that both engines label them alike is tested with the engines."""

from pathlib import Path

import pandas as pd
import pytest
from checkout import TINY, Checkout


@pytest.mark.slow
def test_real_fields_are_segmented_and_cut(tmp_path: Path, real_data: Path) -> None:
    """Two complete fields of BBBC021 and one that lacks a channel, which is dropped and named."""
    changes = TINY | {
        "dataset": "folder",
        "folder": {"root": str(real_data / "bbbc021_fields"), "plate": "Week2_24381"},
        "split": {"by": "site"},
        "segment": {"engine": "native"},
        "synthesize": {"size": 128},
    }
    pattern = r"(?P<well>[A-P]\d{2})_s(?P<site>\d+)_w(?P<channel>\d)"
    changes["folder"] = dict(changes["folder"], pattern=pattern)  # type: ignore[call-overload]
    checkout = Checkout(tmp_path / "repo", changes)
    checkout.dvc("repro", "synthesize")
    dropped = pd.read_csv(checkout.folder / "data" / "dropped.csv")
    assert dropped.to_string().count("Actin") >= 1
    assert checkout.metrics("synthesize")["kept"] > 100
