"""S, the S of the thesis, SSIM and PSNR."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from morphospace.errors import InputError, TrainingError
from morphospace.metrics import similarity


def _tiles(n: int = 3, channels: int = 3, side: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, channels, side, side), dtype=np.uint8)


def _as_float(tiles: np.ndarray) -> np.ndarray:
    return tiles.astype(np.float32) / np.float32(255)


def test_the_error_of_half_grey_for_black_and_white_is_a_half() -> None:
    tiles = np.zeros((1, 1, 16, 16), np.uint8)
    tiles[..., :8] = 255
    found = similarity.errors(tiles, np.full(tiles.shape, 0.5, np.float32))
    assert found.mae[0, 0, 0] == pytest.approx(0.5)
    assert found.mse[0, 0, 0] == pytest.approx(0.25)


def test_a_perfect_reconstruction_has_s_of_one() -> None:
    found = similarity.errors(_tiles(), _as_float(_tiles()), with_ssim=True)
    assert (found.mae == 0).all()
    assert found.ssim == pytest.approx(1)


def test_what_leaves_the_range_is_clipped() -> None:
    tiles = np.full((1, 1, 16, 16), 255, np.uint8)
    assert similarity.errors(tiles, np.full(tiles.shape, 7, np.float32)).mae[0, 0, 0] == 0
    assert similarity.errors(tiles, np.full(tiles.shape, -7, np.float32)).mae[0, 0, 0] == 1


def test_inside_counts_only_pixels_where_a_channel_is_lit() -> None:
    tiles = np.zeros((2, 2, 16, 16), np.uint8)
    tiles[0, 0, :2, :2] = 255  # 4 pixels; the second channel is dark there but inside
    found = similarity.errors(tiles, np.full(tiles.shape, 0.25, np.float32))
    assert found.mae[0, 1] == pytest.approx([0.75, 0.25])
    assert np.isnan(found.mae[1, 1]).all()
    assert found.mae[1, 0] == pytest.approx([0.25, 0.25])


def test_the_legacy_distance_is_that_of_the_pictures_keras_wrote() -> None:
    tiles, drawn = _tiles(), np.random.default_rng(1).normal(size=(3, 3, 24, 24)).astype(np.float32)
    for cell, found in enumerate(similarity.errors(tiles, drawn).legacy[:, 0]):
        x = drawn[cell].transpose(1, 2, 0) - drawn[cell].min()
        picture = (x / x.max() * 255).astype("uint8").transpose(2, 0, 1)
        expected = np.abs(picture.astype(int) - tiles[cell].astype(int)) / 256
        assert found == pytest.approx(expected.mean(axis=(1, 2)), abs=1e-9)


def test_a_cell_that_cannot_be_drawn_has_no_legacy_distance() -> None:
    def broken(tiles: np.ndarray) -> np.ndarray:
        drawn = _as_float(tiles)
        drawn[1, 0, 3, 3] = np.inf
        return drawn

    found = similarity.legacy(_tiles(), np.array([0, 1, 2]), broken)
    assert np.isnan(found[1]).all()
    whole = similarity.errors(_tiles()[[0, 2]], _as_float(_tiles()[[0, 2]])).legacy
    assert found[[0, 2]] == pytest.approx(whole)


def test_the_legacy_stretch_forgives_offset_and_contrast_and_spoils_what_is_right() -> None:
    dim = np.array([50, 100], np.uint8).repeat(128).reshape(1, 1, 16, 16)
    full = np.array([0, 255], np.uint8).repeat(128).reshape(1, 1, 16, 16)
    right, wrong = similarity.errors(dim, _as_float(dim)), similarity.errors(full, _as_float(full) * 0.1 + 0.4)
    assert right.mae.max() == 0
    assert right.legacy[0, 0, 0] == pytest.approx((50 + 155) / 2 / 256)
    assert wrong.mae[0, 0, 0] > 0.4
    assert wrong.legacy.max() < 0.01


def test_the_legacy_stretch_of_a_constant_is_black() -> None:
    assert (similarity.legacy_stretch(np.full((1, 3, 16, 16), 0.7, np.float32)) == 0).all()


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("kind", ["noise", "smooth", "dark"])
def test_ssim_is_that_of_scikit_image(channels: int, kind: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.random((2, channels, 20, 33)).astype(np.float32)
    if kind == "smooth":
        x = np.linspace(0, 1, x.size, dtype=np.float32).reshape(x.shape)
    x *= np.float32(0.01) if kind == "dark" else np.float32(1)
    y = np.clip(x + rng.normal(0, 0.05, x.shape), 0, 1).astype(np.float32)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    for a, b, found in zip(x, y, similarity.ssim(x, y), strict=True):
        a, b = a.astype(float), b.astype(float)
        assert found.mean() == pytest.approx(structural_similarity(a, b, channel_axis=0, **settings), abs=1e-9)
        assert found == pytest.approx([structural_similarity(p, q, **settings) for p, q in zip(a, b, strict=True)])


def test_ssim_refuses_tiles_smaller_than_its_window() -> None:
    with pytest.raises(InputError, match="more than 10 px, not 16 x 10"):
        similarity.ssim(np.zeros((1, 1, 10, 16), np.float32), np.zeros((1, 1, 10, 16), np.float32))


def test_psnr_is_that_of_scikit_image() -> None:
    x, y = np.random.default_rng(0).random((2, 8, 8))
    assert similarity.psnr(((x - y) ** 2).mean()) == pytest.approx(peak_signal_noise_ratio(x, y, data_range=1))
    assert similarity.psnr(np.float64(0)) == np.inf


def test_evaluating_in_blocks_is_evaluating_at_once() -> None:
    tiles = _tiles(150, 2, 12)
    rows = np.random.default_rng(0).permutation(150)[:131]
    found = similarity.evaluate(tiles, rows, lambda t: 1 - _as_float(t), "negative", with_ssim=True)
    whole = similarity.errors(tiles[rows], 1 - _as_float(tiles[rows]), with_ssim=True)
    for a, b in zip(found, whole, strict=True):
        assert a == pytest.approx(b, abs=1e-12)


def test_evaluating_no_cell_gives_empty_errors() -> None:
    found = similarity.evaluate(_tiles(), np.array([], dtype=np.intp), _as_float, "itself", with_ssim=True)
    assert found.mae.shape == (0, 2, 3)
    assert found.ssim.shape == (0, 3)


def test_a_reconstruction_with_nan_is_refused_with_the_model_named() -> None:
    def broken(tiles: np.ndarray) -> np.ndarray:
        drawn = _as_float(tiles)
        drawn[1, 0, 3, 3] = np.nan
        return drawn

    with pytest.raises(TrainingError, match="conv_vae reconstructs 1 of 3 cells as NaN"):
        similarity.evaluate(_tiles(), np.arange(3), broken, "conv_vae")


def test_a_reconstruction_of_another_shape_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"conv_vae makes tiles of \(3, 12, 12\) from \(3, 24, 24\)"):
        similarity.evaluate(_tiles(), np.arange(3), lambda t: _as_float(t)[..., ::2, ::2], "conv_vae")
