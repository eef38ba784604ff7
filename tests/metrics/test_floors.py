"""Predictors that know nothing, or only a linear summary."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from morphospace.errors import InputError
from morphospace.metrics import floors, similarity


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Many tests at once on few cores: threads of linear algebra would wait for one another."""
    with threadpool_limits(1):
        yield


def _tiles(n: int = 60, channels: int = 2, side: int = 12) -> np.ndarray:
    """Blobs of random place and size over noise: a spectrum that decays, like that of cells."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    centre, width = rng.uniform(3, 8, (n, channels, 2)), rng.uniform(1.5, 3, (n, channels))
    distance = (y - centre[..., :1, None]) ** 2 + (x - centre[..., 1:, None]) ** 2
    blobs = 200 * np.exp(-distance / width[..., None, None] ** 2)
    return (blobs + rng.integers(0, 20, blobs.shape)).astype(np.uint8)


@pytest.mark.parametrize("n", [1, 7, 40])
def test_the_trivial_floors_are_those_of_numpy(n: int) -> None:
    tiles, rows = _tiles(), np.arange(5, 5 + n)
    found = floors.trivial(tiles, rows)
    train = tiles[rows]
    assert list(found) == list(floors.TRIVIAL)
    assert (found["black"] == 0).all()
    assert found["mean"] * 255 == pytest.approx(train.mean(axis=0), abs=1e-3)
    assert found["median"] * 255 == pytest.approx(np.median(train, axis=0), abs=1e-3)
    for channel in range(2):
        assert found["constant"][channel] * 255 == pytest.approx(np.median(train[:, channel]), abs=1e-3)


def test_no_constant_has_a_smaller_absolute_error_than_the_constant() -> None:
    tiles = _tiles(20, 1)
    best = floors.trivial(tiles, np.arange(20))["constant"][0, 0, 0] * 255
    costs = [np.abs(tiles - float(grey)).mean() for grey in range(256)]
    assert np.abs(tiles - best).mean() == pytest.approx(min(costs), rel=1e-5)


def test_more_pixels_than_are_counted_at_once_make_no_difference() -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (300, 3, 23, 29), dtype=np.uint8)
    found = floors.trivial(tiles, np.arange(300))["median"] * 255
    assert found == pytest.approx(np.median(tiles, axis=0), abs=1e-3)


@pytest.mark.parametrize("k", [1, 5, 20])
def test_pca_is_that_of_scikit_learn(k: int) -> None:
    tiles = _tiles(400)
    train, test = np.arange(300), np.arange(300, 400)
    found = floors.pca(tiles, train, k, np.random.default_rng(0))
    flat = tiles.reshape(400, -1) / 255
    reference = PCA(k, svd_solver="full").fit(flat[train])
    theirs = reference.inverse_transform(reference.transform(flat[test])).clip(0, 1)
    mine = found.reconstruct(tiles[test]).reshape(100, -1)
    error = ((mine - flat[test]) ** 2).mean()
    assert error == pytest.approx(((theirs - flat[test]) ** 2).mean(), rel=1e-3)
    assert found.components.T @ found.components == pytest.approx(np.eye(k), abs=1e-5)
    captured = ((flat[train] - flat[train].mean(axis=0)) @ found.components).var(axis=0).sum()
    assert captured == pytest.approx(reference.explained_variance_.sum() * 299 / 300, rel=1e-4)


def test_pca_with_as_many_components_as_cells_allow_draws_its_training_cells_exactly() -> None:
    tiles, rows = _tiles(), np.arange(0, 60, 7)
    found = floors.pca(tiles, rows, 75, np.random.default_rng(0))
    assert found.k == len(rows) - 1
    assert found.reconstruct(tiles[rows]) == pytest.approx(tiles[rows] / 255, abs=1e-5)


def test_pca_of_a_single_cell_is_that_cell() -> None:
    tiles = _tiles()
    found = floors.pca(tiles, np.array([4]), 10, np.random.default_rng(0))
    assert found.k == 0
    assert found.reconstruct(tiles[:3]) == pytest.approx(np.repeat(tiles[4:5], 3, axis=0) / 255, abs=1e-6)


def test_constant_tiles_have_a_pca_that_is_finite() -> None:
    tiles = np.full((20, 1, 12, 12), 51, np.uint8)
    found = floors.pca(tiles, np.arange(20), 5, np.random.default_rng(0))
    assert found.reconstruct(tiles) == pytest.approx(0.2, abs=1e-6)


def test_pca_stays_within_the_range_of_an_image() -> None:
    tiles = _tiles()
    found = floors.pca(tiles, np.arange(60), 3, np.random.default_rng(0))
    drawn = found.reconstruct(255 - tiles)
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_pca_is_the_same_for_the_same_seed() -> None:
    one, two = (floors.pca(_tiles(), np.arange(60), 4, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(one.components, two.components)


def test_floors_without_training_cells_are_refused() -> None:
    none = np.array([], dtype=np.intp)
    with pytest.raises(InputError, match="the training split has no cell"):
        floors.trivial(_tiles(), none)
    with pytest.raises(InputError, match="no PCA floor"):
        floors.pca(_tiles(), none, 3, np.random.default_rng(0))


def test_real_cells_give_the_known_anchors(real_data: Path) -> None:
    """Real crops of BBBC021, 8 bits of 16, brightened 4 times, a fifth of the plates held out.

    Which plates were held out for the published figures is not known; other plates move them by up to 0.02.
    """
    raw = np.load(real_data / "bbbc021_cells" / "allmoa_1996.npz")["images"]
    plates = pd.read_csv(real_data / "bbbc021_cells" / "allmoa_1996.csv")["plate"].to_numpy()
    tiles = np.minimum(np.round(raw / 65535 * 255 * 4), 255).astype(np.uint8)
    names = np.unique(plates)
    rng = np.random.default_rng(0)
    held = np.isin(plates, rng.choice(names, len(names) // 5, replace=False))
    train, test = np.flatnonzero(~held), np.flatnonzero(held)

    def s(name: str, reconstruct: similarity.Reconstruct) -> tuple[float, float]:
        found = similarity.evaluate(tiles, test, reconstruct, name)
        return 1 - found.mae[:, 0].mean(), 1 - found.legacy[:, 0].mean()

    pictures = floors.trivial(tiles, train)
    expected = {"black": 0.751, "constant": 0.858, "median": 0.869}
    for name, anchor in expected.items():
        picture = pictures[name]
        assert s(name, lambda t, p=picture: np.broadcast_to(p, t.shape))[0] == pytest.approx(anchor, abs=0.02)
    pca = floors.pca(tiles, train, 75, rng)
    for k, anchor in {10: 0.932, 75: 0.963}.items():
        first = pca._replace(components=pca.components[:, :k])
        assert s("pca", first.reconstruct)[0] == pytest.approx(anchor, abs=0.005)
    corrected, legacy = s("perfect", lambda t: t.astype(np.float32) / np.float32(255))
    assert corrected == 1
    assert legacy == pytest.approx(0.941, abs=0.01)
