"""The cards of profiles, dose-response and latent meaning."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from morphospace import reasons
from morphospace.reporting import profile_cards as cards
from morphospace.reporting.page import Block, Items, Table, Text

RECORDS = Path(__file__).resolve().parents[2] / "reports/records"
DOSE: dict[str, Any] = {
    "verdict": "the distance from the negative controls rises with dose in 1 of 2 compounds",
    "positive_controls": 8,
    "negative_controls": 1600,
    "controls": "two of each kind or more",
    **{f"{name}{end}": v for name in ("z_prime", "ssmd") for end, v in (("", 0.5), ("_low", -0.001), ("_high", 0.75))},
    **dict.fromkeys(["z_prime_robust", "z_prime_robust_low", "z_prime_robust_high"]),
}
NAMES = ["compound", "wells", "doses", "rho", "low", "high", "p", "q", "reason", "cell_count_rho", "cell_count_low"]


def _compounds(*rows: list[Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=NAMES).assign(cell_count_high=0.5)


def _texts(blocks: list[Block]) -> str:
    return "\n".join(b.text for b in blocks if isinstance(b, Text))


def _tables(blocks: list[Block]) -> list[Table]:
    return [b for b in blocks if isinstance(b, Table)]


def test_what_was_not_measured_is_said() -> None:
    for blocks in (cards.profiles(None), cards.dose(None, None), cards.meaning({})):
        assert "not measured" in _texts(blocks)


@pytest.mark.parametrize("name", ["profile", "dose", "interpret"])
def test_what_the_stages_wrote_is_shown(name: str) -> None:
    found = json.loads((RECORDS / f"{name}.json").read_text())
    shown = {"profile": cards.profiles, "dose": lambda f: cards.dose(f, None), "interpret": cards.meaning}[name](found)
    assert _texts(shown)
    if name == "interpret":
        assert [r[0] for r in _tables(shown)[0].rows] == [
            k.replace("_", " ") for k, v in found.items() if isinstance(v, dict) and k != reasons.KEY
        ]


def test_controls_and_compounds_stand_with_their_intervals() -> None:
    table = _compounds(
        ["taxol", 8, 4, 0.9, 0.8, 0.95, 0.001, 0.002, None, 0.1, -0.3],
        ["<b>", 3, 1, None, None, None, None, None, "one dose", None, None],
    )
    controls, compounds = _tables(blocks := cards.dose(DOSE, table))
    assert [list(r) for r in controls.rows] == [
        ["Z'", "0.50 [0.00,\N{NO-BREAK SPACE}0.75]"],
        ["SSMD", "0.50 [0.00,\N{NO-BREAK SPACE}0.75]"],
    ]
    assert "8 wells of positive against 1,600" in controls.caption
    rho, count = "0.90 [0.80,\N{NO-BREAK SPACE}0.95]", "0.10 [-0.30,\N{NO-BREAK SPACE}0.50]"
    assert list(compounds.rows[0]) == ["taxol", "8, 4", rho, "0.002", count]
    assert isinstance(blocks[-1], Items)
    assert blocks[-1].items == ["1 compound without: one dose"]
    assert _texts(blocks) == "The distance from the negative controls rises with dose in 1 of 2 compounds."


def test_many_compounds_are_cut_and_the_caption_says_so() -> None:
    table = _compounds(*([f"c{i}", 8, 4, 0.9, 0.8, 0.95, 0.001, 0.002, None, 0.1, -0.3] for i in range(30)))
    shown = _tables(cards.dose(DOSE, table))[-1]
    assert len(shown.rows) == cards.SHOWN_COMPOUNDS
    assert f"The first {cards.SHOWN_COMPOUNDS} of 30 compounds" in shown.caption


def test_without_positive_controls_the_reason_stands_there() -> None:
    found = {**DOSE, "z_prime": None, "ssmd": None, "controls": "0 positive and 6 negative controls"}
    blocks = cards.dose(found, pd.DataFrame())
    assert not _tables(blocks)
    assert "not measured: 0 positive and 6 negative controls." in _texts(blocks)


def test_profiles_without_controls_or_replicates_say_so_and_plates_with_few_controls_come_first() -> None:
    found: dict[str, Any] = {"cells": 9, "sites": 0, "wells": 3, "treatments": 2, "features": 4, "normalize": "none"}
    none = cards.profiles(
        found
        | {"control_wells": {}, "replicates": {"share_above_random": None}}
        | {reasons.KEY: {"no two": ["replicates.share_above_random"]}}
    )
    assert "neither normalised, nor sphered, nor aligned" in _texts(none)
    some = cards.profiles(found | {"normalize": "pooled", "sphere": "zca", "align": "coral"})
    assert "(pooled), sphered on the negative controls (zca), aligned between batches (coral)" in _texts(some)
    assert "not measured: no two." in _texts(none)
    assert "No well is a negative control" in _texts(none)
    plates = {f"P{i:02d}": i for i in range(40, 0, -1)}
    table = _tables(cards.profiles(found | {"normalize": "pooled", "control_wells": plates}))[0]
    assert [list(r) for r in table.rows[:2]] == [["P01", "1"], ["P02", "2"]]
    assert "20 of 40 plates with the fewest" in table.caption


def test_a_property_without_a_test_has_its_reason_and_a_model_that_does_not_draw_is_named() -> None:
    base = {"verdict": "x", "active": 2, "z_dim": 2, "tests": 4, "cells": 9, "cells_of": "all splits", "fdr": 0.05}
    of = {"latents": 1, "wells": 3, "top": "Cells_Latent_012", "top_effect": -0.5, "measure": "rho", "chance": 0.0}
    no = {"latents": 0, "wells": 0, "top": "none", "top_effect": None, "measure": "epsilon2", "chance": None}
    found = {
        **base,
        "dose": of,
        "plate": no,
        reasons.KEY: {"one plate": ["plate.latents"]},
        "strips": "none: no picture",
    }
    blocks = cards.meaning(found)
    assert [list(r) for r in _tables(blocks)[0].rows] == [
        ["dose", "1", "3", "z 12", "rho -0.50", "0.00", ""],
        ["plate", "not measured", "0", "none", "–", "–", "one plate"],
    ]
    assert "Strips: none: no picture." in _texts(blocks)
