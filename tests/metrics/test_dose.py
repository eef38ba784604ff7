"""Distance from the controls, dose and response, Z' and SSMD, against slow obvious versions."""

import itertools

import numpy as np
import pytest
from scipy import stats
from sklearn.covariance import LedoitWolf

from morphospace.errors import InputError
from morphospace.metrics import dose


def _wells(seed: int, wells: int, controls: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Return wells that all do nothing, in correlated features on scales of their own, and which are controls."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(wells, d)) @ rng.normal(size=(d, d))
    return 100 + mixed * 10.0 ** rng.integers(-3, 4, d), np.arange(wells) < controls


def test_distances_equal_the_obvious_loop() -> None:
    features, controls = _wells(0, 30, 12, 5)
    found = dose.distances(features, controls)
    for well in range(30):
        each = []
        for out in range(12) if well >= 12 else [well]:
            reference = np.array([features[i] for i in range(12) if i != out])
            centre, scale = reference.mean(axis=0), reference.std(axis=0)
            fitted = LedoitWolf(assume_centered=True).fit((reference - centre) / scale)
            each.append(np.sqrt(fitted.mahalanobis(((features[well] - centre) / scale)[None])[0] / 5))
        assert found[well] == pytest.approx(np.mean(each), rel=1e-9)


@pytest.mark.parametrize(("controls", "d"), [(6, 3), (8, 20), (20, 6)])
def test_a_well_that_does_nothing_is_as_far_as_a_control(controls: int, d: int) -> None:
    """Also with fewer controls than features, where a control inside its own reference would be far too near."""
    ratios = []
    for seed in range(15):
        features, which = _wells(seed, controls + 30, controls, d)
        found = dose.distances(features, which)
        ratios.append(np.log(np.median(found[which]) / np.median(found[~which])))
    assert abs(np.mean(ratios)) < 3.5 * np.std(ratios) / np.sqrt(15)
    assert abs(np.mean(ratios)) < 0.15


def test_distances_do_not_depend_on_the_units_of_a_feature() -> None:
    features, controls = _wells(1, 40, 25, 6)
    other = features * [1, -2, 1e-6, 1e6, 3, 4] + [0, 5, 0, -1e6, 0, 2]
    np.testing.assert_allclose(dose.distances(other, controls), dose.distances(features, controls), rtol=1e-6)


def test_a_feature_that_is_constant_over_the_controls_is_left_out() -> None:
    features, controls = _wells(2, 40, 25, 6)
    more = np.column_stack([features, np.where(controls, 7.0, 9.0)])
    np.testing.assert_allclose(dose.distances(more, controls), dose.distances(features, controls))
    with pytest.raises(InputError, match="no feature varies"):
        dose.distances(more[:, 6:], controls)


def test_what_has_no_distance_is_refused() -> None:
    for few, said in ((0, "0 wells"), (1, "1 well"), (3, "3 wells")):
        features, controls = _wells(3, 8, 2, 3)
        controls = np.arange(len(features)) < few
        with pytest.raises(InputError, match=rf"{said} of negative controls; 4 are needed"):
            dose.distances(features, controls)
    features[5, 1] = np.nan
    with pytest.raises(InputError, match=r"1 well with a feature that is not finite \(row 5 "):
        dose.distances(features, np.ones(8, bool))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("controls", [4, 5, 6])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_few_controls_have_a_distance(seed: int, controls: int, width: int) -> None:
    features = np.random.default_rng(seed).normal(size=(12, width))
    assert np.isfinite(dose.distances(features, np.arange(12) < controls)).all()


def test_controls_that_vary_along_one_line_have_no_distance_and_it_is_said() -> None:
    line = np.repeat([[0.0], [1.0], [0.0], [1.0], [0.0]], 3, axis=1)  # without a 0, all are a deviation from the mean
    with pytest.raises(InputError, match="vary in too few directions for a distance by 3 features"):
        dose.distances(line, np.ones(5, bool))


def test_what_only_rounds_among_the_controls_is_no_scale() -> None:
    features = np.random.default_rng(0).normal(size=(10, 3))
    features[:, 2] = [0.1 + 0.2, 0.3] * 5
    found = dose.distances(features, np.arange(10) < 6)
    np.testing.assert_allclose(found, dose.distances(features[:, :2], np.arange(10) < 6))


def _response(doses: object, values: object, resamples: int = 2000) -> dose.Response:
    return dose.response(doses, values, resamples, 0.95, np.random.default_rng(0))  # type: ignore[arg-type]


def test_the_correlation_is_that_of_scipy_with_ties() -> None:
    rng = np.random.default_rng(0)
    doses = np.repeat(np.arange(1, 11), 4)
    values = np.round(doses + rng.normal(scale=8, size=40))
    found, wanted = _response(doses, values), stats.spearmanr(doses, values, alternative="greater")
    assert found.rho == pytest.approx(wanted.statistic, abs=1e-12)
    assert (found.wells, found.doses, found.reason) == (40, 10, "")
    assert found.p == pytest.approx(wanted.pvalue, abs=0.01)
    assert found.low < found.rho < found.high


def test_the_interval_equals_the_obvious_loop() -> None:
    rng = np.random.default_rng(1)
    doses, values = np.repeat([1.0, 3.0, 10.0], 5), rng.normal(size=15)
    found = _response(doses, values, 200)
    again = np.random.default_rng(0)
    again.permuted(np.tile(doses, (200, 1)), axis=1)
    drawn = [stats.spearmanr(doses[rows], values[rows]).statistic for rows in again.integers(15, size=(200, 15))]
    assert found.low == pytest.approx(np.quantile(drawn, 0.025, method="lower"))
    assert found.high == pytest.approx(np.quantile(drawn, 0.975, method="higher"))


def test_the_p_value_is_the_share_of_all_orders() -> None:
    doses, values = np.array([1.0, 2, 3, 4, 5]), np.array([1.0, 3, 2, 4, 5])
    rho = stats.spearmanr(doses, values).statistic
    orders = [stats.spearmanr(order, values).statistic for order in itertools.permutations(doses)]
    exact = np.mean(np.array(orders) >= rho - 1e-12)
    assert _response(doses, values, 20_000).p == pytest.approx(exact, abs=0.005)


def test_a_fall_is_no_rise() -> None:
    found = _response(np.arange(20.0), -np.arange(20.0))
    assert found.rho == pytest.approx(-1)
    assert found.p == 1


def test_without_a_rise_few_intervals_lie_above_zero_and_few_p_values_are_small() -> None:
    rng = np.random.default_rng(4)
    doses = np.repeat(np.arange(8), 3)
    drawn = [dose.response(doses, rng.normal(size=24), 200, 0.95, rng) for _ in range(120)]
    assert np.mean([r.low > 0 for r in drawn]) < 0.06
    assert 0.02 < np.mean([r.p <= 0.05 for r in drawn]) < 0.09


@pytest.mark.parametrize(
    ("doses", "values", "reason"),
    [
        ([1, 1, 1, 1, 1], [1, 2, 3, 4, 5], "one dose; two are needed"),
        ([1, 2, 3], [1, 2, 3], "3 wells with a dose; 4 are needed"),
        ([1, 2, 3, np.nan, 4], [1, 2, 3, 4, np.nan], "3 wells with a dose; 4 are needed"),
        ([1], [1], "1 well with a dose; 4 are needed"),
        ([], [], "0 wells with a dose; 4 are needed"),
        ([1, 2, 3, 4], [5, 5, 5, 5], "all wells are as far"),
    ],
)
def test_what_has_no_response_says_why(doses: list[float], values: list[float], reason: str) -> None:
    found = _response(doses, values)
    assert found.reason == reason
    assert np.isnan([found.rho, found.low, found.high, found.p]).all()


def _separation(negative: object, positive: object) -> dose.Separation:
    return dose.separation(negative, positive, 500, 0.95, np.random.default_rng(0))  # type: ignore[arg-type]


def test_z_prime_and_ssmd_are_the_published_formulas() -> None:
    rng = np.random.default_rng(5)
    n, p = rng.normal(1, 0.3, 16), rng.normal(6, 0.5, 8)
    found = _separation(n, p)
    assert found.values["z_prime"] == pytest.approx(
        1 - 3 * (np.std(n, ddof=1) + np.std(p, ddof=1)) / (p.mean() - n.mean())
    )
    assert found.values["ssmd"] == pytest.approx((p.mean() - n.mean()) / np.hypot(np.std(n, ddof=1), np.std(p, ddof=1)))
    mads = [stats.median_abs_deviation(v, scale="normal") for v in (n, p)]
    apart = np.median(p) - np.median(n)
    assert found.values["z_prime_robust"] == pytest.approx(1 - 3 * sum(mads) / apart, rel=1e-4)
    assert found.values["ssmd_robust"] == pytest.approx(apart / np.hypot(*mads), rel=1e-4)
    assert (found.negative, found.positive, found.reason) == (16, 8, "")
    for name, (low, high, reason) in found.intervals.items():
        assert low < found.values[name] < high, name
        assert reason == ""


def test_nearer_positive_controls_have_a_negative_ssmd_and_the_same_z_prime() -> None:
    there, back = _separation([1, 2, 3.5], [7, 8, 8.5]), _separation([7, 8, 8.5], [1, 2, 3.5])
    assert back.values["ssmd"] == pytest.approx(-there.values["ssmd"])
    assert back.values["z_prime"] == pytest.approx(there.values["z_prime"])


@pytest.mark.parametrize(("negative", "positive"), [([1, 2, 3], []), ([1], [2, 3]), ([1, np.nan], [2, 3])])
def test_without_controls_there_is_a_reason(negative: list[float], positive: list[float]) -> None:
    found = _separation(negative, positive)
    assert "two of each are needed" in found.reason
    assert np.isnan(list(found.values.values())).all()


def test_two_controls_of_a_kind_have_values_without_intervals() -> None:
    found = _separation([1, 2, 3, 4], [8, 9])
    assert np.isfinite(list(found.values.values())).all()
    assert {i.reason for i in found.intervals.values()} == {"two wells of a kind: too few to resample"}


def test_controls_that_are_all_alike_leave_nothing_to_say() -> None:
    found = _separation([1, 1, 1], [1, 1, 1])
    assert np.isnan([found.values["ssmd"], found.intervals["ssmd"].low, found.intervals["z_prime"].high]).all()
    assert {i.reason for i in found.intervals.values()} == {"the controls do not vary, or the two kinds do not differ"}
