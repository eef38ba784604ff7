"""What an image is, by its every pixel; how it is read, and refused, is tested with the reader."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from morphospace.errors import InputError
from morphospace.imaging import tiff


def _image(dtype: str = "uint16", shape: tuple[int, ...] = (9, 13)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


def test_a_refusal_is_reported_and_not_raised(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image("float32"), photometric="minisblack")
    assert tiff.inspect(path).reason == "wrong_type"
    assert tiff.inspect(tmp_path).reason == "unreadable"
    with pytest.raises(InputError, match=r"a\.tif holds float32 pixels"):
        tiff.read(path)


def test_a_picture_is_the_same_however_it_is_stored_and_another_with_one_other_pixel(tmp_path: Path) -> None:
    pictures, digests = set(), set()
    for number, options in enumerate(({}, {"compression": "zlib"}, {"byteorder": ">", "tile": (16, 16)})):
        tifffile.imwrite(tmp_path / f"{number}.tif", _image(), photometric="minisblack", **options)
        found = tiff.inspect(tmp_path / f"{number}.tif")
        pictures.add(found.picture)
        digests.add(found.digest)
    assert (len(pictures), len(digests)) == (1, 3)
    other = _image()
    other[3, 4] ^= 1
    for name, pixels in (("one", other), ("turned", _image().reshape(13, 9)), ("narrow", _image().astype(np.uint8))):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, photometric="minisblack")
        pictures.add(tiff.inspect(tmp_path / f"{name}.tif").picture)
    assert len(pictures) == 4


def test_the_step_of_shifted_12_bit_data_is_16(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = np.array([[0, 16, 48], [65520, 65520, 160]], np.uint16)
    tifffile.imwrite(path, values, photometric="minisblack")
    found = tiff.inspect(path)
    assert (found.height, found.width, found.bits, found.step, found.maximum) == (2, 3, 16, 16, 65520)
    assert found.saturated == pytest.approx(2 / 6)  # 65520 is the highest multiple of 16
    assert not found.constant
    assert found.digest == __import__("hashlib").md5(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("value", [0, 7])
def test_an_image_of_one_value_is_flagged(tmp_path: Path, value: int) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((4, 5), value, np.uint8), photometric="minisblack")
    found = tiff.inspect(path)
    assert found.constant
    assert (found.step, found.saturated) == (value, 0.0)


def test_full_scale_is_that_of_the_type() -> None:
    assert tiff.full_scale(np.dtype("uint8")) == 255
    assert tiff.full_scale(np.dtype("uint16")) == 65535
    with pytest.raises(InputError, match="not float32"):
        tiff.full_scale(np.dtype("float32"))


def test_a_real_field_is_12_bit_data_shifted_by_4(real_data: Path) -> None:
    for path in sorted((real_data / "bbbc021_fields").glob("*.tif")):
        found = tiff.inspect(path)
        assert (found.reason, found.height, found.width, found.bits, found.step) == ("", 1024, 1280, 16, 16)
