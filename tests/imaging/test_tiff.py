"""Every damaged or foreign TIFF is refused by name; what is read is what was written."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from morphospace.errors import InputError
from morphospace.imaging import tiff


def _image(dtype: str = "uint16", shape: tuple[int, ...] = (9, 13)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"tile": (16, 16)}, {"rowsperstrip": 2}]
)
def test_pixels_come_back_as_written(tmp_path: Path, dtype: str, options: dict) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image(dtype), photometric="minisblack", **options)
    pixels = tiff.read(path)
    assert pixels.dtype == np.dtype(dtype)
    assert pixels.dtype.isnative
    np.testing.assert_array_equal(pixels, _image(dtype))


@pytest.mark.parametrize(
    ("image", "options", "reason"),
    [
        (_image("uint8", (9, 13, 3)), {"photometric": "rgb"}, "rgb"),
        (_image("uint8", (3, 9, 13)), {"photometric": "rgb", "planarconfig": "separate"}, "rgb"),
        (_image("float32"), {"photometric": "minisblack"}, "wrong_type"),
        (_image("uint32"), {"photometric": "minisblack"}, "wrong_type"),
        (_image("int16"), {"photometric": "minisblack"}, "wrong_type"),
        (_image("bool"), {"photometric": "minisblack"}, "wrong_type"),
        (_image("uint16", (4, 9, 13)), {"photometric": "minisblack"}, "multi_page"),
        (_image("uint8"), {"photometric": "miniswhite"}, "inverted"),
    ],
)
def test_another_kind_of_tiff_is_refused(tmp_path: Path, image: np.ndarray, options: dict, reason: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, **options)
    with pytest.raises(tiff.UnreadableError, match=r"a\.tif") as caught:
        tiff.read(path)
    assert caught.value.reason == reason
    assert tiff.inspect(path).reason == reason


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_cut_anywhere_is_refused(tmp_path: Path, compression: str | None) -> None:
    whole = tmp_path / "whole.tif"
    # The header comes first, so that a cut takes pixels: the case that CellProfiler reads as zeros.
    tifffile.imwrite(whole, _image(shape=(40, 30)), photometric="minisblack", compression=compression, rowsperstrip=8)
    data, path = whole.read_bytes(), tmp_path / "cut.tif"
    for length in [*range(0, 400, 13), *range(400, len(data) - 1, 97), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(tiff.UnreadableError, match=r"cut\.tif"):
            tiff.read(path)


def test_a_strip_that_was_never_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image(shape=(40, 30)), photometric="minisblack", rowsperstrip=8)
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = file.pages.first.tags["StripByteCounts"]
        counts.overwrite([*counts.value[:-1], 0])
    with pytest.raises(tiff.UnreadableError, match="lacks some of its strips"):
        tiff.read(path)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_tiff_with_broken_bytes_is_read_or_refused_never_a_crash(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image(), photometric="minisblack", compression="zlib")
    content = bytearray(path.read_bytes())
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=6)
    ):
        content[position] = value
    path.write_bytes(bytes(content))
    found = tiff.inspect(path)
    assert found.reason or (found.height > 0 and found.bits in (8, 16))


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "zero_bytes"), (b"not an image", "damaged"), (b"II*\0", "damaged")]
)
def test_what_is_no_tiff_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    assert tiff.inspect(path).reason == reason
    with pytest.raises(InputError, match=r"a\.tif"):
        tiff.read(path)


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image(), photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages.first.tags[name].overwrite(60_000)
    with pytest.raises(tiff.UnreadableError, match="claims 60000 x 60000"):
        tiff.read(path)


def test_a_file_that_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.tif", tmp_path):
        with pytest.raises(tiff.UnreadableError, match="cannot be read"):
            tiff.read(path)
        assert tiff.inspect(path).reason == "unreadable"


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
