"""Flat fields and log ratios, against a slow obvious version and numbers that can be read."""

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from morphospace.errors import InputError
from morphospace.imaging import composite, flat


def test_the_cut_is_the_edge_of_the_bin_that_reaches_30_percent() -> None:
    """Values 0 to 99, ten each: 100 bins of 0.99, the 30th ends at 29.7, and the mean of what is left is smooth."""
    values = np.repeat(np.arange(100.0), 10).reshape(25, 40)
    cut = np.minimum(values, 29.7)
    assert flat.cut_and_smooth(values).max() <= 29.7
    wide = np.pad(cut, 400, mode="symmetric")
    offsets = np.arange(-200, 201)
    weights = np.exp(-0.5 * (offsets / 50.0) ** 2)
    weights /= weights.sum()
    rows = np.stack([weights @ wide[400 + y - 200 : 400 + y + 201, 200:840] for y in range(25)])
    expected = np.stack([rows[:, 200 + x - 200 : 200 + x + 201] @ weights for x in range(40)], axis=1)
    np.testing.assert_allclose(flat.cut_and_smooth(values), expected, rtol=1e-5)


def test_the_flat_field_is_that_of_the_mean_of_all_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 60_000, (30, 20)).astype(np.uint16) for _ in range(3)]
    paths = [tmp_path / f"{i}.tif" for i in range(3)]
    for path, image in zip(paths, images, strict=True):
        tifffile.imwrite(path, image)
    expected = flat.cut_and_smooth(np.mean(images, axis=0) / 65_535)
    np.testing.assert_allclose(flat.flat_field(paths), expected, rtol=1e-6)


def test_images_that_are_even_together_have_an_even_flat_field(tmp_path: Path) -> None:
    """Three grey values, in another order at each of two pixels: added as shares, they differ by a rounding."""
    for i, row in enumerate(((1, 31), (2, 2), (31, 1))):
        tifffile.imwrite(tmp_path / f"{i}.tif", np.array([row] * 2, np.uint16))
    field = flat.flat_field([tmp_path / f"{i}.tif" for i in range(3)])
    assert np.ptp(field) == 0
    np.testing.assert_allclose(field, 34 / 3 / 65_535, rtol=0.02)


def test_a_black_plate_divides_by_one_grey_level(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "black.tif", np.zeros((8, 8), np.uint16))
    field = flat.flat_field([tmp_path / "black.tif"])
    np.testing.assert_allclose(field, 1 / 65_535)
    assert (flat.log_ratio(np.zeros((8, 8), np.uint16), field) == 0).all()


def test_images_of_two_sizes_are_refused_by_name(tmp_path: Path) -> None:
    for side in (8, 9):
        tifffile.imwrite(tmp_path / f"{side}.tif", np.zeros((side, 8), np.uint16))
    with pytest.raises(InputError, match=r"9\.tif is \(9, 8\) px, .*8\.tif is \(8, 8\) px"):
        flat.flat_field([tmp_path / "8.tif", tmp_path / "9.tif"])
    with pytest.raises(InputError, match="needs an image"):
        flat.flat_field([])


def test_the_logarithm_counts_from_the_flat_field_to_5_and_no_further() -> None:
    """A flat field of 100 grey levels: below it 0, e times it 1, and 148 times it or more 5."""
    image = np.repeat(np.array([0, 50, 100, 272, 1000, 20_000, 60_000], np.uint16), 20).reshape(7, 20)
    values = flat.log_ratio(image, np.full((7, 20), 100 / 65_535, np.float32))
    expected = [0, 0, 0, math.log(2.72), math.log(10), 5, 5]
    np.testing.assert_allclose(values[:, 0], expected, atol=1e-6)


def test_the_brightest_hundredth_counts_as_the_rest_s_brightest() -> None:
    image = np.full((10, 100), 1000, np.uint16)
    image[0, :5] = 60_000
    values = flat.log_ratio(image, np.full((10, 100), 100 / 65_535, np.float32))
    np.testing.assert_allclose(values, math.log(10), atol=1e-4)


def test_each_image_is_stretched_to_its_range() -> None:
    values = np.array([[0.5, 1.0], [2.0, 4.5]])
    tile = composite.scaled(values, flat.by_range(values, 1.0))
    assert tile.tolist() == [[1, 1 + round(254 * 0.125)], [1 + round(254 * 0.375), 255]]
