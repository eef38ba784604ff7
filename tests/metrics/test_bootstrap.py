"""Intervals over groups."""

import numpy as np
import pytest

from morphospace.metrics import bootstrap


def _wells(rng: np.random.Generator, wells: int, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells of wells with a common shift each: true mean 0, variance 1 between wells and 1 within."""
    groups = np.repeat(np.arange(wells), cells)
    return rng.normal(size=wells)[groups] + rng.normal(size=wells * cells), groups


def test_an_interval_equals_the_obvious_loop() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 7, size=200)
    values = rng.normal(size=(200, 2)) + 5 + groups[:, None]
    found = bootstrap.resample(groups, 300, 0.9, np.random.default_rng(1))
    ratios = []
    for counts in found.counts:
        rows = np.concatenate([np.flatnonzero(groups == g) for g, n in enumerate(counts) for _ in range(n)])
        ratios.append(values[rows, 0].mean() / values[rows, 1].mean())
    estimate = found.estimate(values, lambda m: m[..., 0] / m[..., 1])
    assert estimate.value == pytest.approx(values[:, 0].mean() / values[:, 1].mean(), rel=1e-12)
    assert estimate.low == pytest.approx(np.quantile(ratios, 0.05, method="lower"), rel=1e-12)
    assert estimate.high == pytest.approx(np.quantile(ratios, 0.95, method="higher"), rel=1e-12)
    assert (estimate.cells, estimate.groups, estimate.reason) == (200, 7, "")


def test_each_resample_has_as_many_groups_as_there_are() -> None:
    found = bootstrap.resample(["a", "b", "b", "c"], 50, 0.95, np.random.default_rng(0))
    assert (found.counts.sum(axis=1) == 3).all()
    assert found.counts.shape == (50, 3)


@pytest.mark.parametrize("wells", [10, 30])
def test_intervals_over_wells_cover_the_truth_and_those_over_cells_do_not(wells: int) -> None:
    rng = np.random.default_rng(3)
    over_wells, over_cells = 0, 0
    for _ in range(150):
        values, groups = _wells(rng, wells, 20)
        low, high, _ = bootstrap.interval(values, groups, bootstrap.first, 400, 0.95, rng)
        over_wells += low <= 0 <= high
        low, high, _ = bootstrap.interval(values, np.arange(len(values)), bootstrap.first, 400, 0.95, rng)
        over_cells += low <= 0 <= high
    assert over_wells / 150 > (0.88 if wells == 30 else 0.82)
    assert over_cells / 150 < 0.6


def test_one_group_has_a_value_but_no_interval() -> None:
    found = bootstrap.resample(["A01", "A01"], 100, 0.95, np.random.default_rng(0)).estimate([1.0, 3.0])
    assert found.value == 2
    assert np.isnan([found.low, found.high]).all()
    assert (found.cells, found.groups, found.reason) == (2, 1, "1 group")


def test_without_cells_everything_is_nan_with_a_reason() -> None:
    found = bootstrap.resample([], 100, 0.95, np.random.default_rng(0)).estimate([])
    assert np.isnan(found.value)
    assert found.reason == "no cells"


def test_a_cell_without_a_value_counts_in_no_mean() -> None:
    groups = ["a", "a", "b", "b", "c"]
    values = np.array([[1.0, 2.0], [np.nan, 100.0], [3.0, 4.0], [5.0, 6.0], [np.nan, np.nan]])
    found = bootstrap.resample(groups, 200, 0.95, np.random.default_rng(0))
    estimate = found.estimate(values, lambda m: m[..., 1] - m[..., 0])
    assert estimate.value == 1
    assert (estimate.cells, estimate.groups) == (3, 2)
    assert (estimate.low, estimate.high) == pytest.approx((1, 1))


def test_paired_resamples_of_equal_columns_have_a_ratio_of_exactly_one() -> None:
    rng = np.random.default_rng(0)
    values, groups = _wells(rng, 12, 5)
    both = np.stack([values, values], axis=1)
    found = bootstrap.resample(groups, 200, 0.95, rng).estimate(both, lambda m: m[..., 0] / m[..., 1])
    assert (found.low, found.value, found.high) == (1, 1, 1)


def test_an_infinite_statistic_does_not_become_nan() -> None:
    found = bootstrap.resample(["a", "b"], 200, 0.95, np.random.default_rng(0))
    estimate = found.estimate([0.0, 1.0], lambda m: -np.log10(m[..., 0]))
    assert estimate.high == np.inf
    assert estimate.low == 0


def test_the_same_seed_gives_the_same_interval() -> None:
    values, groups = _wells(np.random.default_rng(0), 6, 4)
    one, two = (
        bootstrap.interval(values, groups, bootstrap.first, 100, 0.95, np.random.default_rng(9)) for _ in range(2)
    )
    assert one == two
