"""Tiles and label images as files: they come back, open elsewhere, and damage is told."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from morphospace.errors import InputError
from morphospace.imaging import codec

RNG = np.random.default_rng(7)


def noise(channels: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 256, (channels, size, size), dtype=np.uint8)


@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9))
def test_a_tile_of_any_number_of_channels_comes_back_from_its_png(channels: int, height: int, width: int) -> None:
    tile = np.random.default_rng([channels, height, width]).integers(0, 256, (channels, height, width), dtype=np.uint8)
    assert np.array_equal(codec.decode_tile(codec.encode_tile(tile), channels), tile)


def test_three_channels_open_elsewhere_as_red_green_and_blue() -> None:
    tile = np.stack([np.full((4, 5), v, np.uint8) for v in (200, 100, 50)])
    picture = Image.open(io.BytesIO(codec.encode_tile(tile)))
    assert picture.mode == "RGB"
    assert picture.size == (5, 4)
    assert picture.getpixel((4, 3)) == (200, 100, 50)


@pytest.mark.parametrize(("channels", "height"), [(1, 4), (2, 8), (5, 20)])
def test_other_numbers_of_channels_are_one_grey_picture_planes_under_one_another(channels: int, height: int) -> None:
    tile = noise(channels, 4)
    picture = Image.open(io.BytesIO(codec.encode_tile(tile)))
    assert (picture.mode, picture.size) == ("L", (4, height))
    assert np.array_equal(np.asarray(picture)[-4:], tile[-1])


@pytest.mark.parametrize("tile", [np.zeros((3, 4, 4)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 4), np.uint8)])
def test_only_uint8_planes_are_a_tile(tile: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"a tile is uint8 \(C, H, W\)"):
        codec.encode_tile(tile)


@pytest.mark.parametrize(
    ("content", "channels", "match"),
    [
        (b"no picture", 3, "not a readable PNG"),
        (codec.encode_tile(noise(3, 64))[:-400], 3, "not a readable PNG"),
        (codec.encode_tile(noise(1)), 3, "is a L picture of height 16, not 3 channel"),
        (codec.encode_tile(noise(3)), 1, "is a RGB picture of height 16, not 1 channel"),
        (codec.encode_tile(noise(1)), 5, "is a L picture of height 16, not 5 channel"),
    ],
)
def test_what_is_no_tile_is_refused(content: bytes, channels: int, match: str) -> None:
    with pytest.raises(InputError, match=match):
        codec.decode_tile(content, channels)


@pytest.mark.parametrize("side", [10_000, 60_000, 200_000])
def test_a_png_that_declares_a_huge_picture_is_refused_before_it_is_decoded(side: int) -> None:
    png = bytearray(codec.encode_tile(noise(1)))
    png[16:24] = struct.pack(">II", side, side)
    png[29:33] = struct.pack(">I", zlib.crc32(bytes(png[12:29])))
    with pytest.raises(InputError, match="pixels"):
        codec.decode_tile(bytes(png), 1)


@pytest.mark.parametrize(("most", "depth"), [(3, np.uint16), (65_535, np.uint16), (65_536, np.uint32)])
def test_labels_come_back_in_the_smallest_depth_that_holds_them(most: int, depth: type) -> None:
    labels = RNG.integers(0, 3, (7, 9))
    labels[2, 3] = most
    content = codec.encode_labels(labels)
    back = codec.decode_labels(content)
    assert back.dtype == depth
    assert np.array_equal(back, labels)
    assert content == codec.encode_labels(labels)
    assert np.array_equal(tifffile.imread(io.BytesIO(content)), labels)


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 2)), np.full((2, 2), -1), np.zeros((2, 2, 2), int), np.zeros((0, 2), int)]
)
def test_only_planes_of_labels_from_zero_are_packed(labels: np.ndarray) -> None:
    with pytest.raises(InputError, match="a label image is one plane of integers from 0"):
        codec.encode_labels(labels)


def tiff(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"no picture", "not a TIFF"),
        (b"", "zero bytes"),
        (codec.encode_labels(RNG.integers(0, 9, (64, 64)))[:300], "is truncated"),
        (tiff(np.zeros((4, 4), np.float32)), r"float32 \(4, 4\), not one plane"),
        (tiff(np.zeros((4, 4, 3), np.uint8)), "not one plane of unsigned integers"),
    ],
)
def test_what_is_no_label_image_is_refused(content: bytes, match: str) -> None:
    with pytest.raises(InputError, match=match):
        codec.decode_labels(content)
