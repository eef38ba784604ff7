from typing import Any

import numpy as np
import pytest

from morphospace.reporting import mechanisms, moa_scores
from morphospace.reporting.moa_names import FLOORS, SCORES
from morphospace.reporting.page import Items, Table, Text


def record(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"verdict": "NSC 0.9 of 20: better.", "metric": "cosine", "batch_rule": "strict"}
    found["batch_rule_meaning"] = "no batch in common"
    for name in SCORES:
        found |= {name: 0.9, f"{name}_low": 0.8, f"{name}_high": 1.0, f"{name}_n": 20, f"{name}_left": 3}
        found |= {f"{name}_{floor}": 0.125 for floor in FLOORS}
        found |= {f"{name}_lead": 0.775, f"{name}_lead_low": 0.5, f"{name}_lead_high": 0.9, f"{name}_best_floor": "pca"}
    batch = "batch_from_controls"
    found |= {batch: 0.5, f"{batch}_low": 0.3, f"{batch}_high": 0.7, f"{batch}_majority": 0.25, f"{batch}_n": 48}
    return found | {f"{batch}_batches": 4, f"{batch}_held_out": "plate", "not_scored": [], **changes}


def table(found: dict[str, Any]) -> Table:
    return next(b for b in moa_scores.blocks(found) if isinstance(b, Table))


def test_the_card_shows_every_floor_and_the_rule() -> None:
    shown = table(record())
    assert [row[0] for row in shown.rows][1 : 1 + len(FLOORS)] == list(FLOORS.values())
    assert "no batch in common (rule strict)" in shown.caption
    assert shown.rows[0][1].startswith("0.900 [0.800")
    assert shown.rows[-3][1].endswith("(PCA of pixels)")


def test_what_was_not_measured_is_said() -> None:
    shown = table(record(NSC=None, NSC_low=None, NSC_high=None, NSC_lead=None, NSC_pca=None))
    assert shown.rows[0][1] == "not measured"
    assert next(row for row in shown.rows if row[0] == "PCA of pixels")[1] == "not measured"
    assert next(row for row in shown.rows if row[0].startswith("lead"))[1] == "not measured"
    blocks = moa_scores.blocks(record(batch_from_controls=None, not_measured={"1 batch": ["batch_from_controls"]}))
    assert any(isinstance(b, Text) and "not measured: 1 batch" in b.text for b in blocks)
    assert [b.text for b in moa_scores.blocks(None) if isinstance(b, Text)] == ["Mechanisms of action: not measured."]


def test_the_batch_stands_beside_the_most_frequent_one() -> None:
    said = [b.text for b in moa_scores.blocks(record()) if isinstance(b, Text)][-1]
    assert "whole plates held out" in said
    assert "right in 0.250" in said


def test_long_lists_of_what_was_not_scored_are_cut_and_counted() -> None:
    items = [b for b in moa_scores.blocks(record(not_scored=[f"t{i}" for i in range(30)])) if isinstance(b, Items)]
    assert items[-1].items[-1] == "and 10 more, all in moa.csv"


def rows(value: float) -> dict[str, tuple[float, float, float]]:
    return dict.fromkeys(("embedding", *FLOORS), (value, value - 0.1, value + 0.1))


def test_the_figure_has_a_panel_a_score_and_a_row_a_floor() -> None:
    scores = {"NSC": rows(0.5), "NSCB": rows(0.4) | {"pca": (np.nan, np.nan, np.nan)}}
    found = mechanisms.draw(
        scores,
        {"NSC": 20, "NSCB": 18},
        {"NSC": (np.array([[1.5, 0.5], [0, 2]]), ("A", "B"), "NSC 0.875: better than the best floor")},
        {"embedding": "conv_vae"},
        75,
    )
    assert set(found) == {"floors", "confusion_NSC"}
    axes = found["floors"].axes
    assert [a.get_title() for a in axes] == ["NSC (n = 20)", "NSCB (n = 18)"]
    labels = [t.get_text() for t in axes[0].get_yticklabels()]
    assert labels[0] == "conv_vae"
    assert labels[-1] == "PCA of pixels, 75 numbers"
    assert "not measured" in [t.get_text() for t in axes[1].texts]
    points = [line for line in axes[0].lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in points] == pytest.approx([0.5] * 8)
    assert {t.get_text() for t in found["confusion_NSC"].axes[0].texts} == {"1.5", "0.5", "2"}
