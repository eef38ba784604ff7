from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rows import drawn
from sklearn.metrics import average_precision_score

from morphospace.metrics import nearest, retrieval


def ordered(similarity: list[float], right: list[bool]) -> float:
    """Average precision by its definition, for one order of the rows."""
    hits = np.array(right)[np.argsort(-np.array(similarity), kind="stable")]
    return float(np.mean([hits[: i + 1].mean() for i in np.flatnonzero(hits)]))


def test_without_ties_it_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for size in (2, 5, 40):
        for _ in range(20):
            near = rng.normal(size=size)
            right = rng.random(size) < 0.4
            right[rng.integers(size)] = True
            assert retrieval.average_precision(near, right) == pytest.approx(average_precision_score(right, near))


@pytest.mark.parametrize("near", [[1, 1, 1, 1, 1], [2, 1, 1, 1, 0], [3, 3, 1, 1, 1], [2, 2, 2, 1, 1]])
@pytest.mark.parametrize("right", [[1, 0, 0, 1, 0], [0, 1, 1, 0, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1]])
def test_with_ties_it_is_the_mean_over_all_orders(near: list[float], right: list[bool]) -> None:
    every = [ordered([near[i] for i in p], [right[i] for i in p]) for p in permutations(range(5))]
    assert retrieval.average_precision(np.array(near, float), np.array(right, bool)) == pytest.approx(np.mean(every))


def test_a_random_order_is_what_copairs_expects_of_one() -> None:
    from copairs.map.normalization import expected_ap

    for positives, total in ((1, 3), (4, 50), (7, 8)):
        right = np.arange(total) < positives
        found = retrieval.average_precision(np.zeros(total), right)
        assert found == pytest.approx(expected_ap(positives, total - positives))


def test_it_agrees_with_copairs() -> None:
    from copairs.map import average_precision

    known, features = drawn()
    meta = pd.DataFrame({"c": known.compounds, "m": known.mechanisms})
    theirs = average_precision(meta, features, ["m"], ["c"], [], ["m", "c"], distance="cosine", progress_bar=False)
    codes, may = known.codes, nearest.allowed(known, nearest.NSC, "strict")
    found = retrieval.rank(
        nearest.by_features(features, "cosine"),
        lambda rows: may(rows) & (codes[rows][:, None] == codes),
        lambda rows: may(rows) & (codes[rows][:, None] != codes),
        np.arange(len(known)),
    )
    assert np.allclose(found.precision, theirs["average_precision"].to_numpy()[found.rows], atol=1e-6)  # float32
    assert found.positives.tolist() == theirs["n_pos_pairs"].to_numpy()[found.rows].tolist()
    assert found.total.tolist() == theirs["n_total_pairs"].to_numpy()[found.rows].tolist()


def ranked(precision: list[float]) -> retrieval.Ranked:
    n = len(precision)
    return retrieval.Ranked(np.arange(n), np.array(precision), np.full(n, 3), np.full(n, 40))


def test_a_perfect_group_is_significant_and_a_random_one_is_not() -> None:
    by_luck = retrieval.average_precision(np.zeros(40), np.arange(40) < 3)
    found = retrieval.significance(ranked([1.0, 1.0, by_luck, by_luck]), ["good", "good", "luck", "luck"], 999, 1)
    assert found["group"].tolist() == ["good", "luck"]
    assert found["p"][0] == pytest.approx(0.001)
    assert found["p"][1] > 0.2
    assert (found["corrected_p"] >= found["p"]).all()
    assert found["mAP"].tolist() == pytest.approx([1.0, by_luck])


def test_p_values_are_the_same_each_time_and_leave_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    many = [retrieval.significance(ranked([0.2, 0.4]), ["a", "b"], 500, seed) for seed in (3, 3, 4)]
    pd.testing.assert_frame_equal(many[0], many[1])
    assert not many[0].equals(many[2])
    assert list(tmp_path.iterdir()) == []


def test_rows_without_right_or_wrong_ones_are_left_out() -> None:
    right = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    wrong = np.array([[0, 0, 1], [0, 0, 0], [1, 1, 0]], bool)
    found = retrieval.rank(nearest.alike(3), lambda r: right[r], lambda r: wrong[r], np.arange(3))
    assert found.rows.tolist() == [0]
    nobody = retrieval.rank(nearest.alike(3), lambda r: right[r] & False, lambda r: wrong[r], np.arange(3))
    assert retrieval.significance(nobody, [], 100, 0).empty
