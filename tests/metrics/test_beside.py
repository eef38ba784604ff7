import math

import numpy as np
import pytest

from morphospace import reasons
from morphospace.metrics import bootstrap
from morphospace.metrics.beside import BLIND, FLOORS, Beside, FloorError

GROUPS = tuple("aabbccddee")
RIGHT = np.array([1.0, 1, 1, 1, 1, 1, 1, 1, 0, 1])
DRAWS = bootstrap.resample(GROUPS, 500, 0.95, np.random.default_rng(0))


def made(values: np.ndarray = RIGHT, shares: bool = True, **floors: np.ndarray | str) -> Beside:
    of = {name: np.full(len(values), 0.1) for name in FLOORS} | floors
    return Beside("NSC", values, of, GROUPS[: len(values)], 2, shares, DRAWS)


@pytest.mark.parametrize("floor", FLOORS)
def test_no_score_can_be_built_without_a_floor(floor: str) -> None:
    floors = {name: RIGHT for name in FLOORS if name != floor}
    with pytest.raises(FloorError, match=f"NSC has no floor {floor}"):
        Beside("NSC", RIGHT, floors, GROUPS, 0, True, DRAWS)


@pytest.mark.parametrize("floor", BLIND)
def test_what_needs_metadata_alone_is_always_measured(floor: str) -> None:
    with pytest.raises(FloorError, match=f"the floor {floor} needs nothing but metadata"):
        made(**{floor: "no pixels"})


def test_a_floor_that_was_not_measured_says_why() -> None:
    with pytest.raises(FloorError, match="why was the floor pca not measured"):
        made(pca="")
    score = made(pca="no pixels", mean_intensity="no pixels")
    assert score.record()["NSC_pca"] != score.record()["NSC_pca"]
    assert score.estimate("pca").reason == score.lead("pca").reason == "no pixels"
    assert score.verdict().endswith("Not measured: mean intensity, pca (no pixels).")


def test_a_floor_of_other_rows_is_refused() -> None:
    with pytest.raises(FloorError, match="the floor pca has 3 rows, not 10"):
        made(pca=np.zeros(3))


def test_the_record_is_flat_and_has_every_floor() -> None:
    record = made().record()
    assert record["NSC"] == 0.9
    assert (record["NSC_n"], record["NSC_left"]) == (10, 2)
    assert {f"NSC_{name}" for name in FLOORS} <= set(record)
    assert record["NSC_low"] <= 0.9 <= record["NSC_high"]
    assert record["NSC_wilson_low"] < 0.9 < record["NSC_wilson_high"]
    assert all(isinstance(v, int | float | str) for v in record.values())
    assert "NSC_wilson_low" not in made(shares=False).record()


def test_the_lead_over_the_best_floor_is_paired() -> None:
    score = made(pca=RIGHT - 0.05)
    assert score.best == "pca"
    lead = score.lead("pca")
    assert (lead.value, lead.low, lead.high) == tuple(pytest.approx(0.05) for _ in range(3))


@pytest.mark.parametrize(
    ("pca", "said"),
    [
        (np.full(10, 0.2), "better than the best floor, pca 0.200"),
        (np.ones(10), "not to be told apart from the best floor, pca 1.000"),
        (RIGHT + 0.01, "worse than the best floor, pca 0.910"),
    ],
)
def test_the_verdict_is_decided_by_the_interval_of_the_lead(pca: np.ndarray, said: str) -> None:
    assert said in made(pca=pca).verdict()


def test_one_compound_has_no_interval() -> None:
    draws = bootstrap.resample(list("aa"), 100, 0.95, np.random.default_rng(0))
    floors = {name: np.zeros(2) for name in FLOORS}
    score = Beside("NSC", np.ones(2), floors, "aa", 0, True, draws)
    assert math.isnan(score.estimate().low)
    assert "for want of an interval not compared with" in score.verdict()


def test_nothing_scored_is_said_to_be_so() -> None:
    draws = bootstrap.resample([], 100, 0.95, np.random.default_rng(0))
    score = Beside("NSC", np.zeros(0), {name: np.zeros(0) for name in FLOORS}, (), 7, True, draws)
    assert score.verdict() == "NSC was not measured: 7 rows, none with a neighbour who could be right."
    assert math.isnan(score.record()["NSC"])
    assert score.record()["NSC_n"] == 0
    assert score.record()["NSC_best_floor"] == "none"
    assert reasons.missing(score.record()) == []
