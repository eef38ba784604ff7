"""Crops that a person names: read as the pipeline reads its own, or refused with what is wrong and what to do."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from morphospace.errors import InputError
from morphospace.imaging import codec, inputs, packs

RGB, TWO, GREY = ["Actin", "Tubulin", "DNA"], ["Actin", "DNA"], ["DNA"]
SIZE = 16


def _tile(channels: int = 3, height: int = SIZE, width: int = SIZE, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (channels, height, width), dtype=np.uint8)


def _read(*paths: Path, channels: list[str] = RGB, count: int = 100) -> inputs.Batch:
    (batch,) = inputs.batches(inputs.sources(paths), channels, SIZE, count)
    return batch


def _png(path: Path, tile: NDArray[np.uint8]) -> Path:
    path.write_bytes(codec.encode_tile(tile))
    return path


def _deep_rgb(path: Path) -> Path:
    """Write a PNG of 16 bits and three colours by hand, for Pillow cannot."""
    rows = b"".join(b"\0" + np.full((4, 3), 300, ">u2").tobytes() for _ in range(4))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))
    return path


@pytest.mark.parametrize("channels", [GREY, TWO, RGB, [*RGB, "ER", "Mito"]])
def test_a_crop_of_the_pipeline_comes_back_as_it_was(tmp_path: Path, channels: list[str]) -> None:
    tile = _tile(len(channels))
    batch = _read(_png(tmp_path / "a.png", tile), channels=channels)
    np.testing.assert_array_equal(batch.tiles, tile[None])
    assert (batch.sources, batch.names) == ([str(tmp_path / "a.png")], ["a.png"])


def test_a_folder_is_read_by_name_and_its_packs_member_by_member(tmp_path: Path) -> None:
    tiles = [_tile(seed=n) for n in range(4)]
    _png(tmp_path / "b.PNG", tiles[1])
    _png(tmp_path / "a.png", tiles[0])
    packs.write(tmp_path / "c.zip", [("z.png", codec.encode_tile(tiles[2])), ("y.png", codec.encode_tile(tiles[3]))])
    (tmp_path / "notes.txt").write_text("not a crop")
    (tmp_path / "deeper.png").mkdir()
    given = inputs.sources([tmp_path])
    assert [p.name for p in given] == ["a.png", "b.PNG", "c.zip"]
    found = list(inputs.batches(given, RGB, SIZE, 3))
    assert [b.names for b in found] == [["a.png", "b.PNG", "z.png"], ["y.png"]]
    np.testing.assert_array_equal(np.concatenate([b.tiles for b in found]), np.stack(tiles))
    assert 0 < sum(b.weight for b in found) <= inputs.weight(given)


def test_a_smaller_crop_is_set_in_the_middle_as_the_pipeline_does(tmp_path: Path) -> None:
    cut = _tile(3, 5, 8)
    (tile,) = _read(_png(tmp_path / "a.png", cut)).tiles
    np.testing.assert_array_equal(tile[:, 5:10, 4:12], cut)
    assert tile.sum() == cut.sum()


@pytest.mark.parametrize(("height", "width"), [(17, 16), (16, 17), (40, 4)])
def test_a_larger_crop_is_refused_and_not_cut(tmp_path: Path, height: int, width: int) -> None:
    path = _png(tmp_path / "a.png", _tile(3, height, width))
    with pytest.raises(
        InputError, match=rf"a\.png is {width} x {height} px, larger .* 16 px; nothing is cut.*at least"
    ):
        _read(path)


@pytest.mark.parametrize(
    ("given", "channels", "match"),
    [
        (1, RGB, r"is a L picture of height 16, not 3 channel.*an RGB PNG of 8 bits \(Actin, Tubulin, DNA\)"),
        (3, GREY, r"is a RGB picture.*a grey PNG of 8 bits \(DNA\), at most 16 x 16"),
        (3, TWO, r"is a RGB picture.*2 planes \(Actin, DNA\) of exactly 16 x 16 px"),
        (1, TWO, r"is 2 planes of 16 x 8 px; the model wants .*2 planes"),
        (4, TWO, r"is 2 planes of 16 x 32 px; the model wants .*2 planes"),
    ],
)
def test_other_channels_are_refused_with_the_models(
    tmp_path: Path, given: int, channels: list[str], match: str
) -> None:
    path = _png(tmp_path / "a.png", _tile(given))
    with pytest.raises(InputError, match=rf"a\.png {match}"):
        _read(path, channels=channels)


def test_transparency_is_refused(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="is a RGBA picture"):
        _read(tmp_path / "a.png")


def test_sixteen_bits_are_refused_with_how_to_scale(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 300, np.uint16)).save(tmp_path / "grey.png")
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((1, 8, 8), np.uint16), photometric="minisblack")
    for path in (tmp_path / "grey.png", tmp_path / "a.tif"):
        with pytest.raises(InputError, match=rf"{path.name} has 16 bits a value, a tile has 8: 0 outside .*README\.md"):
            _read(path, channels=GREY)


def test_sixteen_bits_of_colour_are_not_halved_in_silence(tmp_path: Path) -> None:
    path = _deep_rgb(tmp_path / "a.png")
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.mode == "RGB", "Pillow no longer halves them: the check may go"
    with pytest.raises(InputError, match="has 16 bits"):
        _read(path)


def test_planes_of_a_tiff_are_channels(tmp_path: Path) -> None:
    tile = _tile(2, 6, 9)
    tifffile.imwrite(tmp_path / "a.tiff", tile, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", tile[0], photometric="minisblack")
    (found,) = _read(tmp_path / "a.tiff", channels=TWO).tiles
    np.testing.assert_array_equal(found[:, 5:11, 3:12], tile)
    (found,) = _read(tmp_path / "b.tif", channels=GREY).tiles
    np.testing.assert_array_equal(found[0, 5:11, 3:12], tile[0])
    with pytest.raises(InputError, match=r"a\.tiff is a TIFF of 2 x 6 x 9 values; the model wants 3 planes"):
        _read(tmp_path / "a.tiff")


def test_a_tiff_that_promises_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_TILE", 100)
    tifffile.imwrite(tmp_path / "a.tif", _tile(1), photometric="minisblack")
    with pytest.raises(InputError, match="has 256 values, more than a tile can have"):
        _read(tmp_path / "a.tif", channels=GREY)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.zip"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"PK\x03\x04"])
def test_what_is_no_image_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        InputError,
        match=rf"{name} (is (truncated or not a TIFF|not a readable (PNG|ZIP)|no PNG)|has zero bytes|holds no image)",
    ):
        _read(tmp_path / name)


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    path = _png(tmp_path / "a.png", _tile())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="is not a readable PNG"):
        _read(path)


def test_a_member_is_named_with_its_pack(tmp_path: Path) -> None:
    packs.write(tmp_path / "p.zip", [("a.png", codec.encode_tile(_tile(1)))])
    with pytest.raises(InputError, match=r"p\.zip: a\.png is a L picture"):
        _read(tmp_path / "p.zip")
    packs.write(tmp_path / "p.zip", [("a.txt", b"hello")])
    with pytest.raises(InputError, match=r"p\.zip: a\.txt is no image that is read here"):
        _read(tmp_path / "p.zip")
    packs.write(tmp_path / "p.zip", [])
    with pytest.raises(InputError, match=r"p\.zip is an empty pack"):
        _read(tmp_path / "p.zip")


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.jpg").write_bytes(b"")
    for name, match in (
        ("empty", r"empty has no crop in it: no file ends in \.png, \.tif, \.tiff, \.zip"),
        ("away.png", r"away\.png is missing; name images"),
        ("a.jpg", r"a\.jpg is no image that is read here: its name ends in none of \.png"),
    ):
        with pytest.raises(InputError, match=match):
            inputs.sources([tmp_path / name])


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _png(tmp_path / "a.png", _tile())

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root, who runs the tests in a container, may read everything
    with pytest.raises(InputError, match=r"a\.png cannot be read: Permission denied"):
        _read(path)


def test_a_picture_from_anyone_is_a_tile_or_is_refused_by_its_first_bytes() -> None:
    for channels in (1, 2, 3, 4):
        names = ["Actin", "Tubulin", "DNA", "ER"][:channels]
        tile = np.random.default_rng(3).integers(0, 255, (channels, 16, 16), dtype=np.uint8)
        content = codec.encode_tile(tile)
        np.testing.assert_array_equal(inputs.picture(content, names, 16), tile)
        with pytest.raises(InputError, match=r"is 16 x \d+ px; the model wants an? (RGB|grey) PNG of 8 bits"):
            inputs.picture(content, names, 15)
        with pytest.raises(InputError, match="is not a readable PNG"):
            inputs.picture(content[:40], names, 16)  # the size is there, the rest is not
    with pytest.raises(InputError, match="is no PNG"):
        inputs.picture(content[:20], names, 16)
