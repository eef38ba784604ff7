"""What a classifier may look at."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from morphospace.errors import InputError
from morphospace.metrics import representations


def _tiles(n: int = 80) -> np.ndarray:
    rng = np.random.default_rng(0)
    shapes = rng.normal(size=(6, 2 * 9 * 9)) * np.array([60, 40, 25, 15, 10, 6])[:, None]
    flat = 128 + rng.normal(size=(n, 6)) @ shapes / 9 + rng.normal(size=(n, 2 * 9 * 9))
    return flat.clip(0, 255).astype(np.uint8).reshape(n, 2, 9, 9)


def test_intensities_are_means_over_the_tile() -> None:
    tiles = _tiles(300)
    assert representations.intensities(tiles) == pytest.approx(tiles.reshape(300, 2, 81).mean(axis=2))


def test_pca_is_that_of_the_training_rows_alone() -> None:
    """The coordinates of held-out cells are scikit-learn's, up to sign; held-out pixels change no component."""
    tiles = _tiles()
    train, test = np.arange(0, 60), np.arange(60, 80)
    x, held = representations.pca(tiles, 4, 1000, 0)(train, test)
    flat = tiles.reshape(80, -1) / 255
    reference = PCA(4, svd_solver="full").fit(flat[train])
    assert np.abs(x) == pytest.approx(np.abs(reference.transform(flat[train])), abs=0.02)
    assert np.abs(held) == pytest.approx(np.abs(reference.transform(flat[test])), abs=0.02)
    other = tiles.copy()
    other[test] = 255 - other[test]
    assert np.array_equal(representations.pca(other, 4, 1000, 0)(train, test)[0], x)


def test_pca_is_fitted_on_as_many_cells_as_allowed_and_no_wider_than_they_allow() -> None:
    tiles = _tiles()
    x, held = representations.pca(tiles, 30, 10, 0)(np.arange(60), np.arange(60, 80))
    assert (x.shape, held.shape) == ((60, 9), (20, 9))
    again, _ = representations.pca(tiles, 30, 10, 0)(np.arange(60), np.arange(60, 80))
    assert np.array_equal(x, again)


def test_a_random_projection_keeps_distances_and_knows_its_seed() -> None:
    tiles = _tiles()
    flat = tiles.reshape(80, -1) / 255
    wide = representations.projection(tiles, 4000, 1)
    d = flat.shape[1]
    between = ((wide[0] - wide[1:]) ** 2).mean(axis=1)
    assert between == pytest.approx(((flat[0] - flat[1:]) ** 2).sum(axis=1) / d, rel=0.2)
    assert np.array_equal(representations.projection(tiles, 3, 1), representations.projection(tiles, 3, 1))
    assert not np.array_equal(representations.projection(tiles, 3, 1), representations.projection(tiles, 3, 2))


def test_features_that_are_not_finite_or_not_a_table_are_refused() -> None:
    features = np.ones((5, 2))
    features[3, 1] = np.nan
    with pytest.raises(InputError, match=r"1 of 5 rows .* \(row 3 is the first\)"):
        representations.fixed(features)
    with pytest.raises(InputError, match=r"not \(5, 0\)"):
        representations.fixed(np.ones((5, 0)))


def test_the_mean_inside_is_that_of_the_pixels_that_are_shown() -> None:
    rng = np.random.default_rng(0)
    tiles = (rng.integers(1, 256, (300, 2, 8, 8)) * (rng.random((300, 1, 8, 8)) < 0.4)).astype(np.uint8)
    tiles[7] = 0
    wanted = [[c[(t > 0).any(axis=0)].mean() if t.any() else 0 for c in t] for t in tiles]
    np.testing.assert_allclose(representations.inside(tiles), wanted)
