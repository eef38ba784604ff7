"""The fitted prior has the shape and the tails of the points, and draws whatever it was fitted on."""

import numpy as np
import pytest

from morphospace.metrics import prior


def _heavy(n: int, d: int = 6) -> np.ndarray:
    """Points of one covariance whose sizes vary by a factor of ten, as bright and dim cells do."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((d, d))
    sizes = np.exp(rng.normal(0, 0.7, n))
    return (3 + sizes[:, None] * rng.standard_normal((n, d)) @ mixing).astype(np.float32)


def test_what_is_drawn_has_the_mean_the_covariance_and_the_tails_of_the_points() -> None:
    points = _heavy(20_000)
    drawn = prior.fit(points).sample(20_000, np.random.default_rng(1))
    scale = points.std(axis=0)
    np.testing.assert_allclose(drawn.mean(axis=0) / scale, points.mean(axis=0) / scale, atol=0.05)
    shape, wanted = (np.corrcoef(x.T) for x in (drawn, points))
    np.testing.assert_allclose(shape, wanted, atol=0.06)
    np.testing.assert_allclose(drawn.std(axis=0) / scale, 1, atol=0.15)  # of so heavy tails

    def kurtosis(x: np.ndarray) -> float:
        z = (x - x.mean(axis=0)) / x.std(axis=0)
        return float((z**4).mean())

    assert kurtosis(points) > 6  # 3 is a Gaussian's
    assert kurtosis(drawn) > 5


def test_of_gaussian_points_it_is_nearly_one_size() -> None:
    points = np.random.default_rng(0).standard_normal((5000, 40)).astype(np.float32)
    found = prior.fit(points)
    assert found.scales.max() / found.scales.min() < 1.7
    np.testing.assert_allclose(found.factor @ found.factor.T, np.eye(40), atol=0.1)


@pytest.mark.parametrize(
    "points",
    [np.ones((1, 3)), np.ones((9, 3)), np.arange(8.0).reshape(2, 4), np.column_stack([np.arange(9.0)] * 3)],
    ids=["one", "constant", "fewer than dimensions", "collinear"],
)
def test_few_constant_or_collinear_points_give_finite_draws(points: np.ndarray) -> None:
    drawn = prior.fit(points.astype(np.float32)).sample(5, np.random.default_rng(0))
    assert drawn.shape == (5, points.shape[1])
    assert np.isfinite(drawn).all()
