"""Every TIFF is read whole or refused by name, with the cure; what is read is what was written."""

import contextlib
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hand_tiff
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from morphospace import tiffs

RAMP = np.arange(256)


def _image(dtype: str = "uint16", shape: tuple[int, ...] = (9, 13)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


STACK = np.stack([_image() // 40, _image(), _image() // 3])


def _read(path: Path) -> np.ndarray:
    return tiffs.grey(path, tiffs.load(path)).pixels


def _refused(path: Path) -> tuple[str, str]:
    """Return reason and detail of a refusal, which names the file in one line."""
    with pytest.raises(tiffs.UnreadableError, match=path.name.replace(".", r"\.")) as caught:
        _read(path)
    assert "\n" not in str(caught.value)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"tile": (16, 16)},
        {"rowsperstrip": 2},
        {"bigtiff": True, "byteorder": ">"},
        {"imagej": True},
        {"ome": True, "metadata": {}},
        {"metadata": {}},
        {"subfiletype": 1},
        *({"compression": c} for c in ("zlib", "lzw", "packbits", "zstd", "lzma", "jpegxl", "jpeg2000", "png")),
        *({"compression": c, "predictor": 2, "byteorder": ">"} for c in ("zlib", "lzw", "zstd")),
    ],
    ids=str,
)
def test_pixels_come_back_as_written(tmp_path: Path, dtype: str, options: dict[str, Any]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image(dtype), **{"photometric": "minisblack", **options})
    found = tiffs.grey(path, tiffs.load(path))
    assert found.pixels.dtype == np.dtype(dtype)
    assert found.pixels.dtype.isnative
    np.testing.assert_array_equal(found.pixels, _image(dtype))
    assert not found.palette
    assert found.white == np.iinfo(dtype).max
    assert found.compression.lower().replace("adobe_deflate", "zlib") == (options.get("compression") or "none")


@pytest.mark.parametrize("where", ["pages", "subifds"])
def test_smaller_copies_of_an_image_are_no_planes(tmp_path: Path, where: str) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        kind: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
        file.write(_image(), subifds=1 if where == "subifds" else None, **kind)
        file.write(_image()[::2, ::2], subfiletype=1, **kind)
    np.testing.assert_array_equal(_read(path), _image())


def _pages(*images: tuple[np.ndarray, int], subifds: int = 0) -> Callable[[Path], None]:
    """Return what writes a file of several pages, each with its kind (1: a smaller copy of another)."""

    def write(path: Path) -> None:
        with tifffile.TiffWriter(path) as file:
            for number, (image, kind) in enumerate(images):
                inside = {"subifds": subifds} if subifds and not number else {}
                file.write(image, photometric="minisblack", subfiletype=kind, metadata=None, **inside)

    return write


def _stack(**options: Any) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, STACK, **{"photometric": "minisblack", **options})


def _described(text: str) -> Callable[[Path], None]:
    """Return what writes three planes one after another, of which the only page names the first."""
    return lambda path: hand_tiff.write(
        path, STACK[0], {270: (2, text.encode() + b"\0"), 279: (4, [STACK[0].nbytes])}, STACK.tobytes()
    )


HALF = _image()[::2, ::2]
STACKS = {
    "pages": _stack(),
    "ImageJ": _stack(imagej=True, metadata={"axes": "ZYX"}),
    "ImageJ in one page": _stack(imagej=True, metadata={"axes": "ZYX"}, truncate=True),
    "ImageJ, channels": _stack(imagej=True, metadata={"axes": "CYX"}, truncate=True),
    "ImageJ, without its count": _described("ImageJ=1.53\nframes=3\n"),
    "ImageJ, cut": lambda path: tifffile.imwrite(
        path, _image(), photometric="minisblack", description="ImageJ=1.53\nimages=3\nslices=3\n", metadata=None
    ),
    "shaped in one page": _stack(metadata={"axes": "ZYX"}, truncate=True),
    "OME": _stack(ome=True, metadata={"axes": "ZYX"}),
    "MetaMorph": lambda path: hand_tiff.write(
        path,
        STACK[0],
        {33628: (4, [0, 0]), 33629: (5, [1, 1, 2450000, 0, 2450000, 0] * 3), 279: (4, [STACK[0].nbytes])},
        STACK.tobytes(),
    ),
    "volume": _stack(volumetric=True, tile=(16, 16, 16), metadata=None),
    "another size": _pages((_image(), 0), (HALF, 0)),
    "a copy that is no smaller": _pages((_image(), 0), (_image(), 1)),
    "a thumbnail first": _pages((HALF, 1), (_image(), 0)),
    "planes below the first": _pages((_image(), 0), (_image(), 0), subifds=1),
    "a raw image below its thumbnail": _pages((HALF, 1), (_image(), 0), subifds=1),
    "a page of a document": _pages((_image(), 2), (_image(), 2)),
}


@pytest.mark.parametrize("name", STACKS)
def test_a_file_of_several_planes_is_refused_however_it_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.tif"
    STACKS[name](path)
    reason, detail = _refused(path)
    assert reason == "multi_page"
    assert "write one file a plane" in detail


@pytest.mark.parametrize("after", [8, 1, 10**6, "itself"])
def test_a_page_that_is_named_and_not_there_is_a_cut_file(tmp_path: Path, after: int | str) -> None:
    path = tmp_path / "a.tif"
    hand_tiff.write(path, _image(), after=8 + _image().nbytes if after == "itself" else int(after))
    assert _refused(path)[0] in ("truncated", "damaged")


def _map(red: np.ndarray, green: np.ndarray | None = None) -> dict[int, Any]:
    planes = [red, red if green is None else green, red]
    return {262: (3, [3]), 320: (3, [int(v) for p in planes for v in p])}


@pytest.mark.parametrize("line", [RAMP, 256 * RAMP, 257 * RAMP], ids=["i", "256 i", "257 i"])
def test_a_grey_colour_map_that_changes_nothing_is_no_colour(tmp_path: Path, line: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    hand_tiff.write(path, _image("uint8"), _map(line))
    assert tiffs.grey(path, tiffs.load(path)).palette
    np.testing.assert_array_equal(_read(path), _image("uint8"))
    hand_tiff.write(path, _image(), _map(np.arange(65536)))
    np.testing.assert_array_equal(_read(path), _image())


@pytest.mark.parametrize(
    ("tags", "reason", "said"),
    [
        (_map(257 * RAMP[::-1]), "inverted", "white as 0 by its colour map"),
        (_map(0 * RAMP, 257 * RAMP), "palette", "pseudocolours"),
        (_map((65535 * (RAMP / 255) ** 0.5).astype(int)), "palette", "a grey colour map that is not even"),
        (_map(257 * RAMP[:16]), "palette", "lacks the colour map"),
        ({262: (3, [3])}, "palette", "lacks the colour map"),
        ({262: None}, "photometric", "whether 0 is black or white"),
        ({262: (3, [0])}, "inverted", "invert it"),
        ({262: (3, [4])}, "photometric", "of the kind MASK"),
        ({262: (3, [999])}, "photometric", "of the kind 999"),
        ({262: (3, [6])}, "colour", "YCbCr"),
        ({258: None}, "wrong_type", "BitsPerSample is missing"),
        ({339: (3, [2])}, "wrong_type", "int8"),
        ({259: (3, [999])}, "compression", "compressed with 999"),
        ({279: (4, [50])}, "damaged", "take 50 bytes"),
        ({279: (4, [9999])}, "truncated", "is truncated"),
        ({281: (3, [0])}, "max_sample_value", r"MaxSampleValue\) is 0, its pixels reach 2"),
        ({281: (3, [100])}, "max_sample_value", "is 100"),
        ({281: (4, [2**31])}, "max_sample_value", "is 2147483648"),
        ({281: (3, [255, 255])}, "max_sample_value", r"is \(255, 255\)"),
        ({281: (2, b"255\0")}, "max_sample_value", "is '255'"),
        ({281: (5, [255, 1])}, "max_sample_value", r"is \(255, 1\)"),
    ],
)
def test_what_a_tag_says_or_leaves_out_is_named(tmp_path: Path, tags: dict[int, Any], reason: str, said: str) -> None:
    path = tmp_path / "a.tif"
    hand_tiff.write(path, _image("uint8"), tags)
    found, detail = _refused(path)
    assert found == reason
    assert re.search(said, detail)


def test_a_largest_value_that_a_file_states_is_its_white(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    hand_tiff.write(path, _image(), {281: (3, [4095])})
    assert tiffs.grey(path, tiffs.load(path)).white == 4095


@pytest.mark.parametrize(
    ("image", "options", "reason"),
    [
        (_image("uint8", (9, 13, 3)), {"photometric": "rgb"}, "rgb"),
        (_image("uint8", (3, 9, 13)), {"photometric": "rgb", "planarconfig": "separate"}, "rgb"),
        (_image("uint8", (9, 13, 4)), {"photometric": "separated"}, "colour"),
        (_image("uint8", (9, 13, 3)), {"photometric": "cielab"}, "colour"),
        (_image("uint16", (9, 13, 3)), {"photometric": "minisblack", "planarconfig": "contig"}, "samples"),
        (_image("uint16", (3, 9, 13)), {"photometric": "minisblack", "planarconfig": "separate"}, "samples"),
        (_image("uint8", (9, 13, 2)), {"planarconfig": "contig", "extrasamples": ["unassalpha"]}, "samples"),
        (_image("float32"), {}, "wrong_type"),
        (_image("float16"), {}, "wrong_type"),
        (_image("uint32"), {}, "wrong_type"),
        (_image("int16"), {}, "wrong_type"),
        (_image("bool"), {}, "wrong_type"),
        (_image("uint16"), {"bitspersample": 12}, "wrong_type"),
        (_image("uint8") // 16, {"bitspersample": 4}, "wrong_type"),
    ],
)
def test_another_kind_of_tiff_is_refused(tmp_path: Path, image: np.ndarray, options: dict, reason: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, **{"photometric": "minisblack", "metadata": None, **options})
    assert _refused(path)[0] == reason


def test_packed_bits_are_counted(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _image(), photometric="minisblack", bitspersample=12)
    assert _refused(tmp_path / "a.tif")[1].startswith("packs a pixel in 12 bits; write 16 bits a pixel")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_tiff_cut_anywhere_is_refused(tmp_path: Path, compression: str | None) -> None:
    whole = tmp_path / "whole.tif"
    # The header comes first, so that a cut takes pixels: the case that CellProfiler reads as zeros.
    tifffile.imwrite(whole, _image(shape=(40, 30)), photometric="minisblack", compression=compression, rowsperstrip=8)
    data, path = whole.read_bytes(), tmp_path / "cut.tif"
    for length in [*range(0, 400, 13), *range(400, len(data) - 1, 97), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(tiffs.UnreadableError, match=r"cut\.tif"):
            _read(path)


def test_a_strip_that_was_never_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image(shape=(40, 30)), photometric="minisblack", rowsperstrip=8)
    with tifffile.TiffFile(path, mode="r+b") as file:
        counts = file.pages.first.tags["StripByteCounts"]
        counts.overwrite([*counts.value[:-1], 0])
    with pytest.raises(tiffs.UnreadableError, match="lacks some of its strips"):
        _read(path)


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
    with contextlib.suppress(tiffs.UnreadableError):
        assert _read(path).dtype in (np.uint8, np.uint16)


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "zero_bytes"), (b"not an image", "damaged"), (b"II*\0", "damaged")]
)
def test_what_is_no_tiff_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    assert _refused(path)[0] == reason


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image(), photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages.first.tags[name].overwrite(60_000)
    with pytest.raises(tiffs.UnreadableError, match="claims 60000 x 60000"):
        _read(path)


@pytest.mark.parametrize("kind", ["nothing", "a folder", "pipe", "socket", "lost link", "circle of links"])
def test_what_is_no_ordinary_file_is_refused_and_never_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.tif"
    if kind == "a folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(str(path))
    elif kind == "lost link":
        path.symlink_to(tmp_path / "gone.tif")
    elif kind == "circle of links":
        path.symlink_to(tmp_path / "b.tif")
        (tmp_path / "b.tif").symlink_to(path)
    reason, detail = _refused(path)
    assert reason == "unreadable"
    assert detail.startswith("cannot be read: ")


def test_planes_of_one_size_are_read_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    planes = STACK.astype(np.uint8)
    for pixels, options in ((planes, {}), (planes, {"truncate": True, "metadata": {"axes": "CYX"}}), (planes[0], {})):
        tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **options})
        np.testing.assert_array_equal(tiffs.planes(path, tiffs.load(path), 1000), pixels)
    tifffile.imwrite(path, planes, photometric="minisblack")
    with pytest.raises(tiffs.UnreadableError, match="has 351 values"):
        tiffs.planes(path, tiffs.load(path), 350)
    with pytest.raises(tiffs.UnreadableError, match="truncated"):
        tiffs.planes(path, tiffs.load(path)[:-60], 1000)
    _pages((_image(), 0), (HALF, 0))(path)
    with pytest.raises(tiffs.UnreadableError, match="several sizes"):
        tiffs.planes(path, tiffs.load(path), 1000)


def test_a_label_image_may_have_32_bits_but_one_plane_only(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image("uint32"), photometric="minisblack")
    np.testing.assert_array_equal(tiffs.integers(path, tiffs.load(path)), _image("uint32"))
    tifffile.imwrite(path, STACK, photometric="minisblack")
    with pytest.raises(tiffs.UnreadableError, match="has 3 pages"):
        tiffs.integers(path, tiffs.load(path))
