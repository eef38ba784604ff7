"""What may be said of a change of S."""

import math

import pytest

from morphospace.reporting import verdict
from morphospace.reporting.verdict import Score


def similarity(value: float, half: float = 0.002, **more: float) -> dict[str, float]:
    given = {"S": value, "S_low": value - half, "S_high": value + half, "S_black": 0.97, "n_cells_test": 234} | more
    return {f"similarity: {k}": v for k, v in given.items()}


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (0.986, "unchanged"),
        (0.988, "inside the interval"),  # the end itself is inside
        (0.984, "inside the interval"),
        (0.9890, "intervals overlap"),
        (0.9901, "better"),
        (0.98, "worse"),
    ],
)
def test_a_change_is_judged_by_both_intervals(after: float, said: str) -> None:
    assert verdict.judge(Score(0.986, 0.984, 0.988), Score(after, after - 0.002, after + 0.002)) == said


def test_judging_is_antisymmetric() -> None:
    turned = {"better": "worse", "worse": "better"}
    for one in (0.90, 0.95, 0.99):
        for other in (0.91, 0.94, 0.99):
            a, b = Score(one, one - 0.01, one + 0.02), Score(other, other - 0.03, other + 0.01)
            said = verdict.judge(a, b)
            assert verdict.judge(b, a) == turned.get(said, said)


def test_a_wide_old_interval_or_a_wide_new_one_both_hide_a_difference() -> None:
    narrow, wide = Score(0.990, 0.989, 0.991), Score(0.980, 0.960, 0.995)
    assert verdict.judge(narrow, wide) == verdict.judge(wide, narrow) == verdict.INSIDE


def test_lower_is_better_where_it_is() -> None:
    assert verdict.judge(Score(2, 1.9, 2.1), Score(1, 0.9, 1.1), "lower") == "better"


def test_without_an_interval_nothing_is_said() -> None:
    assert verdict.judge(Score(0.5, None, None), Score(0.9, 0.8, 1.0)) == ""


def test_a_change_inside_the_interval_is_called_no_improvement() -> None:
    line = verdict.headline(similarity(0.986), similarity(0.988))
    assert line == "S 0.9860 [0.9840, 0.9880] → 0.9880 [0.9860, 0.9900], inside the interval: no difference shown"
    assert "better" not in line


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (similarity(0.98), similarity(0.99), "outside the interval: better"),
        (similarity(0.99), similarity(0.98), "outside the interval: worse"),
        (similarity(0.986), similarity(0.986), "unchanged"),
        (similarity(0.986), similarity(0.9895), "overlap: no difference shown"),
        ({}, similarity(0.99), "the base holds no scores"),
        (similarity(0.99), {}, "this branch holds no scores, the base has 0.9900"),
        ({}, {}, "No S: this branch holds no scores"),
        ({"similarity: S": 0.5}, similarity(0.99), "no interval, so no verdict"),
        (similarity(0.98), similarity(0.99, S_black=0.96), "on other test cells: not comparable"),
        (similarity(0.98), similarity(0.99, n_cells_test=240), "on other test cells: not comparable"),
    ],
)
def test_the_headline_says_what_may_be_said(before: dict[str, float], after: dict[str, float], said: str) -> None:
    assert said in verdict.headline(before, after)


@pytest.mark.parametrize("value", ["0.9", None, True, math.nan, math.inf, 10**400, [1], {}])
def test_what_is_no_number_is_no_score(value: object) -> None:
    assert verdict.score({"similarity: S": value}, "similarity: S") is None


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(-1.5, -1.0, "PCA with as many components is better"), (0.1, 0.2, "better than PCA"), (-0.1, 0.2, "level with")],
)
def test_pca_stands_beside_the_model(low: float, high: float, said: str) -> None:
    skill = {"skill_pca": (low + high) / 2, "skill_pca_low": low, "skill_pca_high": high}
    assert said in verdict.beside_pca({f"similarity: {k}": v for k, v in skill.items()})


def test_pca_is_not_spoken_of_where_it_was_not_scored() -> None:
    assert verdict.beside_pca({}) == ""


def test_the_table_has_the_floors_without_a_merit_and_skips_what_nobody_measured() -> None:
    rows = {r.label: r for r in verdict.rows(similarity(0.98), similarity(0.99, mse=0.25))}
    assert rows["S"].verdict == "better"
    assert (rows["S"].change, rows["S"].better) == ("+0.01 (+1.0%)", "higher")
    assert (rows["S of an all-black image"].better, rows["S of an all-black image"].change) == ("", "=")
    assert (rows["mean squared error"].before, rows["mean squared error"].after) == ("–", "0.250000")
    assert "hours" not in rows


def test_scores_on_other_cells_are_judged_by_no_interval() -> None:
    rows = {r.label: r for r in verdict.rows(similarity(0.98), similarity(0.99, S_black=0.9))}
    assert rows["S"].verdict == verdict.OTHER_CELLS


def test_a_model_that_draws_nothing_has_no_s() -> None:
    after = {"similarity: reconstructs": False, "similarity: S_pca": 0.9}
    assert verdict.headline({"similarity: S": 0.9}, after).startswith("No S: the model of this branch draws nothing")


def test_another_data_set_is_not_compared() -> None:
    ours, theirs = ({"similarity: dataset": name} | similarity(0.98) for name in ("folder: may/images", "synthetic"))
    said = verdict.headline(theirs, ours)
    assert "on synthetic → 0.9800 [0.9780, 0.9820] on folder: may/images: another data set, not comparable" in said
    assert verdict.other_cells(theirs, ours)
    assert not verdict.other_cells(similarity(0.97), ours)  # a revision from before metrics named theirs
