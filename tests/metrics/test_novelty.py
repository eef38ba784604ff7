"""P-values are not too small for what is known, and small for what is not; a well is never divided."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from morphospace.metrics import novelty
from morphospace.metrics.novelty import Novelty


def wells(rng: np.random.Generator, count: int, cells: int, between: float) -> tuple[NDArray[np.float64], list[str]]:
    """Return cells (n, 2) of wells that lie apart by `between`, and the well of each."""
    middle = np.repeat(rng.standard_normal((count, 2)) * between, cells, axis=0)
    return middle + rng.standard_normal((count * cells, 2)), [f"w{i}" for i in range(count) for _ in range(cells)]


@pytest.mark.parametrize("between", [0.0, 0.5, 3.0])
def test_p_values_of_new_wells_of_the_class_are_never_too_small(between: float) -> None:
    # Wells of their own, with any spread between them: P(p <= a) <= a must hold for every a.
    rng = np.random.default_rng([7, int(10 * between)])
    found = []
    for _ in range(250):
        vectors, names = wells(rng, 24, 6, between)
        new = vectors[-6:]
        answer = novelty.novelty("class", vectors[:-6], names[:-6], new[0], seed=int(rng.integers(1000)))
        assert answer is not None
        found.append(answer.p)
    for level in (0.1, 0.2, 0.5, 0.8):
        share = np.mean(np.array(found) <= level)
        assert share <= level + 3 * np.sqrt(level * (1 - level) / len(found)), (between, level)
    assert np.mean(np.array(found) <= 0.5) > 0.2, "p-values that are always large say nothing"


def test_treating_cells_as_if_they_were_wells_would_be_wrong() -> None:
    # The p-value that counts cells is too small where wells lie apart: why wells are counted.
    rng = np.random.default_rng(3)
    naive = []
    for _ in range(300):
        vectors, _ = wells(rng, 5, 40, 3.0)
        score = np.linalg.norm(vectors - vectors[:40].mean(axis=0), axis=1)
        held = score[40:160]
        naive.append((1 + (held >= score[160]).sum()) / (1 + len(held)))
    assert np.mean(np.array(naive) <= 0.05) > 0.1


def test_what_is_far_has_the_least_p_value_there_is() -> None:
    vectors, names = wells(np.random.default_rng(0), 60, 5, 0.3)
    far = novelty.novelty("class", vectors, names, np.array([50.0, 50.0]))
    near = novelty.novelty("class", vectors, names, vectors.mean(axis=0))
    assert far is not None
    assert near is not None
    assert far.wells == 30
    assert far.p == pytest.approx(1 / 31)
    assert far.decides
    assert near.p > 0.5


def test_the_p_value_counts_each_well_alike() -> None:
    scores = [np.array([1.0, 2.0, 3.0, 4.0]), np.array([9.0])]
    assert novelty.p_value(scores, 3.0) == pytest.approx((1 + 0.5 + 1) / 3)
    assert novelty.p_value(scores, 10.0) == pytest.approx(1 / 3)
    assert novelty.p_value(scores, 0.0) == 1


@settings(max_examples=100, deadline=None)
@given(
    names=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=30),
    data=st.data(),
    seed=st.integers(0, 5),
)
def test_no_well_stands_on_both_sides(names: list[str], data: st.DataObject, seed: int) -> None:
    seen = data.draw(st.none() | st.lists(st.booleans(), min_size=len(names), max_size=len(names)))
    found = novelty.divide(names, seen, seed)
    if found is None:
        assert len(set(names)) < 2
        return
    fit, calibration, unseen = found
    assert not fit & calibration
    assert fit | calibration == set(names)
    assert fit
    assert calibration
    order = data.draw(st.permutations(range(len(names))))
    turned = None if seen is None else [seen[i] for i in order]
    assert novelty.divide([names[i] for i in order], turned, seed) == found, "the order of rows must not matter"
    if unseen:
        assert seen is not None
        assert {n for n, s in zip(names, seen, strict=True) if s} == fit
    elif seen is not None:
        old, new = ({n for n, s in zip(names, seen, strict=True) if s == side} for side in (True, False))
        assert not old or not new or old & new


def test_wells_that_the_model_did_not_train_on_calibrate() -> None:
    vectors, names = wells(np.random.default_rng(1), 6, 4, 0.3)
    seen = [n in {"w0", "w1", "w2", "w3"} for n in names]
    found = novelty.novelty("class", vectors, names, vectors[0], seen)
    assert found is not None
    assert (found.wells, found.unseen) == (2, True)


def test_a_class_of_one_well_has_no_p_value() -> None:
    assert novelty.novelty("class", np.zeros((5, 2)), ["w"] * 5, np.zeros(2)) is None


def test_many_cells_are_thinned_alike_in_each_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "MOST", 40)
    vectors, names = wells(np.random.default_rng(2), 20, 30, 0.0)
    found = novelty.novelty("class", vectors, names, np.array([99.0, 0.0]))
    assert found is not None
    assert found.p == pytest.approx(1 / 11)
    assert found == novelty.novelty("class", vectors, names, np.array([99.0, 0.0])), "the draw must not change"


def test_the_verdict_says_what_cannot_be_told() -> None:
    fits, far, few = Novelty("A", 0.4, 30, True), Novelty("B", 0.02, 60, True), Novelty("C", 0.25, 3, False)
    assert "like A (p above 5%)" in novelty.verdict([fits, far])
    assert "none of the above (p = 0.02 or less for every class)" in novelty.verdict([far])
    assert "like no class that has wells enough to tell; fewer than 19 wells calibrate: C" in novelty.verdict(
        [far, few]
    )
    assert "it cannot be told; fewer than 19 wells" in novelty.verdict([few])
    assert "no class here has two wells" in novelty.verdict([])
    assert not few.decides
    assert Novelty("D", 0.05, 19, True).decides
    assert not Novelty("D", 0.05, 18, True).decides
