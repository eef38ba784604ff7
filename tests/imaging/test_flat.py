"""Flat fields and log ratios, against a slow obvious version and numbers that can be read."""

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from morphospace.errors import InputError
from morphospace.imaging import composite, flat


def level(values: np.ndarray, share: float) -> float:
    """The rule of bioimage-search, bin by bin: the middle of the bin that comes once enough pixels were passed."""
    low, width = values.min(), (values.max() - values.min()) / 100
    place = np.minimum(((values - low) / width).astype(int), 99) if width else np.full(values.shape, 50)
    passed = 0
    for k in range(100):
        if passed >= share * values.size:
            return float(low + (k + 0.5) * width)
        passed += int((place == k).sum())
    return float(low + 99.5 * width)


def smoothed(values: np.ndarray) -> np.ndarray:
    """A Gaussian of 50 px to 4 deviations as two sums over all offsets, the outermost pixel repeated."""
    offsets = np.arange(-200, 201)
    weights = np.exp(-0.5 * (offsets / 50.0) ** 2)
    weights /= weights.sum()
    for axis, side in enumerate(values.shape):
        index = np.clip(np.arange(side)[:, None] + offsets, 0, side - 1)
        values = np.moveaxis(np.moveaxis(values, axis, -1)[..., index] @ weights, -1, axis)
    return values


def test_the_cut_is_the_middle_of_the_bin_after_the_one_that_reaches_30_percent() -> None:
    """Values 0 to 99, ten each: 100 bins of 0.99; 30 % are reached with bin 29, and the middle of bin 30 is 30.195."""
    values = np.repeat(np.arange(100.0), 10).reshape(25, 40)
    assert flat.cutoff(values, 0.3) == pytest.approx(30.195)
    np.testing.assert_allclose(flat.cut_and_smooth(values), smoothed(np.minimum(values, 30.195)), rtol=1e-5)


def test_the_edge_repeats_and_does_not_mirror() -> None:
    """A ramp of 60 px, far below its cut at one end: what a mirror would bring in from inside is not there."""
    ramp = np.tile(np.linspace(0.01, 1.0, 60), (8, 1))
    ramp[:, 40:] = 1.0
    found = flat.cut_and_smooth(ramp)
    np.testing.assert_allclose(found, smoothed(np.minimum(ramp, level(ramp, 0.3))), rtol=1e-5)
    mirrored = ndimage.gaussian_filter(np.minimum(ramp, level(ramp, 0.3)), 50.0, mode="reflect")
    assert np.abs(found / mirrored - 1).max() > 0.1


@settings(deadline=None, max_examples=50)
@given(
    arrays(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 60_000)),
    st.sampled_from([0.3, 0.99]),
)
def test_the_cut_is_that_of_the_original_s_rule(image: np.ndarray, share: float) -> None:
    values = image.astype(float)
    found, expected = flat.cutoff(values, share), level(values, share)
    if np.ptp(values):
        width = np.ptp(values) / 100
        on_an_edge = np.abs((values - values.min()) / width % 1 - 0.5).max() > 0.5 - 1e-9
        assert found == pytest.approx(expected, abs=width * 1.01 if on_an_edge else 1e-9)
    else:
        assert found >= values.max()  # nothing is cut off an even image


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


def test_the_brightest_hundredth_is_cut_off_in_the_second_bin() -> None:
    """99.5 % of the pixels are in the first of 100 bins of 590 levels, so the rest becomes 1000 + 1.5 x 590."""
    image = np.full((10, 100), 1000, np.uint16)
    image[0, :5] = 60_000
    values = flat.log_ratio(image, np.full((10, 100), 100 / 65_535, np.float32))
    np.testing.assert_allclose(values[1:], math.log(10), atol=1e-4)
    np.testing.assert_allclose(values[0, :5], math.log(18.85), atol=1e-4)


def test_each_image_is_stretched_to_its_range() -> None:
    values = np.array([[0.5, 1.0], [2.0, 4.5]])
    tile = composite.scaled(values, flat.by_range(values, 1.0))
    assert tile.tolist() == [[1, 1 + round(254 * 0.125)], [1 + round(254 * 0.375), 255]]
