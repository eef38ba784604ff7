"""Colour images become planes without loss; what is none is named, and labels are no images."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pydantic import ValidationError

from morphospace import schema
from morphospace.datasets import _colour, folder
from morphospace.errors import InputError

RGB = {"pattern": r"^(?P<site>[a-z]+)\.(png|tif)", "channels": ["Red=R", "Green=G", "Blue=B"], "plate": "P1"}


def _pixels(seed: int, planes: int = 3, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (6, 9, planes)).astype(dtype)


def _tissue(root: Path, *names: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        Image.fromarray(_pixels(seed)).save(root / name)
        Image.fromarray(np.arange(54, dtype=np.uint16).reshape(6, 9)).save(root / name.replace(".", "_labels."))
    return root


def _fetched(root: Path, **options: object) -> tuple[Path, dict[str, object]]:
    chosen: dict[str, object] = {**RGB, "root": str(root), **options}
    raw = root.parent / "raw"
    raw.mkdir()
    folder.fetch(raw, 0, **chosen)
    return raw, chosen


def test_every_plane_is_a_channel_and_labels_are_not_taken(tmp_path: Path) -> None:
    raw, options = _fetched(_tissue(tmp_path / "in", "a.png", "b.png"))
    table, dropped = folder.index(raw, **options)
    assert schema.channels(table) == ["Red", "Green", "Blue"]
    assert table[schema.IMAGE_SET_KEY].to_numpy().tolist() == [["P1", "a", "a"], ["P1", "b", "b"]]
    assert dropped[["Source", "Reason"]].to_numpy().tolist() == [[f"{n}_labels.png", "no_match"] for n in "ab"]
    for seed, (_, row) in enumerate(table.iterrows()):
        for plane, channel in enumerate(("Red", "Green", "Blue")):
            path = raw / row[schema.PATH_PREFIX + channel] / row[schema.FILE_PREFIX + channel]
            assert np.array_equal(tifffile.imread(path), _pixels(seed)[:, :, plane])


def test_a_plane_may_be_left_out_and_fetched_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    root = _tissue(tmp_path / "in", "a.png")
    raw, options = _fetched(root, channels=["Stain=G"])
    table, _ = folder.index(raw, **options)
    assert schema.channels(table) == ["Stain"]
    assert [p.name for p in sorted((raw / "a.png").iterdir())] == ["G.tif"]
    (tmp_path / "again").mkdir()
    folder.fetch(tmp_path / "again", 0, **options)
    assert (tmp_path / "again/a.png/G.tif").read_bytes() == (raw / "a.png/G.tif").read_bytes()


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiffs_of_8_and_16_bits_and_opaque_fourth_planes_are_read(tmp_path: Path, planar: str, dtype: type) -> None:
    pixels = _pixels(3, 3, dtype)
    stored = pixels if planar == "contig" else pixels.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, byteorder=">")
    read = _colour.read(tmp_path / "a.tif")
    assert read.dtype == dtype
    assert np.array_equal(read, pixels.transpose(2, 0, 1))
    opaque = np.concatenate([pixels, np.full((6, 9, 1), np.iinfo(dtype).max, dtype)], axis=2)
    tifffile.imwrite(tmp_path / "b.tif", opaque, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(_colour.read(tmp_path / "b.tif"), read)


def _png_16(path: Path) -> None:
    """Write a colour PNG of 16 bits, which Pillow reads but never writes."""
    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 7)), (b"IEND", b"")]
    written = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(written))


def test_what_is_no_colour_image_is_refused_with_a_reason(tmp_path: Path) -> None:
    transparent = np.concatenate([_pixels(0), np.full((6, 9, 1), 128, np.uint8)], axis=2)
    Image.fromarray(transparent).save(tmp_path / "transparent.png")
    Image.fromarray(_pixels(0)[:, :, 0]).save(tmp_path / "grey.png")
    Image.fromarray(_pixels(0)).convert("P").save(tmp_path / "palette.png")
    _png_16(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "float.tif", _pixels(0).astype(np.float32), photometric="rgb")
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([_pixels(0), _pixels(1)]), photometric="rgb")
    said = {"transparent.png": "transparent", "grey.png": "mode is L", "palette.png": "mode is P"}
    said |= {"deep.png": "colour PNG of 16 bits", "float.tif": "8 or 16 bits", "pages.tif": "has 2 pages"}
    for name, match in said.items():
        with pytest.raises(_colour.NotColourError, match=match):
            _colour.read(tmp_path / name)
    tifffile.imwrite(tmp_path / "short.tif", _pixels(0), photometric="rgb")
    Image.fromarray(_pixels(0)).save(tmp_path / "short.png")
    for name, said in (("short.tif", "is truncated"), ("short.png", "is no whole PNG")):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) - 60])
        with pytest.raises(InputError, match=f"{name} {said}"):
            _colour.read(tmp_path / name)
    with pytest.raises(InputError, match=r"missing\.png cannot be read: No such file"):
        _colour.read(tmp_path / "missing.png")


def test_a_damaged_image_costs_its_image_set_and_a_grey_one_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = _tissue(tmp_path / "in", "a.png", "b.png")
    (root / "b.png").write_bytes((root / "b.png").read_bytes()[:100])
    (root / "a_labels.png").rename(root / "grey.png")
    raw, options = _fetched(root)
    assert "b.png is no whole PNG" in caplog.text
    table, dropped = folder.index(raw, **options)
    assert table[schema.SITE].tolist() == ["a", "b"]
    assert table.loc[1, schema.FILE_PREFIX + "Red"] == ""  # a missing channel, which `index` drops and counts
    found = dropped.set_index("Source")["Reason"].to_dict()
    assert found == {"b.png": "damaged", "grey.png": "not_colour", "b_labels.png": "no_match"}


@pytest.mark.parametrize(
    "pattern", [r"^(?P<site>[a-z]+)\.png$", r"^(?P<site>[a-z]+)\.png\Z", r"^(?P<site>[a-z]+)(?=\.png$)"]
)
def test_a_pattern_that_says_where_the_name_ends_fits_the_planes_too(
    tmp_path: Path, pattern: str, caplog: pytest.LogCaptureFixture
) -> None:
    raw, options = _fetched(_tissue(tmp_path / "in", "a.png", "b.png"), pattern=pattern)
    table, dropped = folder.index(raw, **options)
    assert table[schema.SITE].tolist() == ["a", "b"]
    assert sorted(dropped["Source"]) == ["a_labels.png", "b_labels.png"]
    assert "folder.pattern does not match 2 of 4 images (first: a_labels.png)" in caplog.messages


def test_a_folder_without_a_colour_image_is_refused(tmp_path: Path) -> None:
    root = _tissue(tmp_path / "in", "a.png")
    with pytest.raises(InputError, match="is a colour image; see the lines above"):
        _fetched(root, pattern=r"(?P<site>[a-z]+)_labels\.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"has no \.png or \.tif or \.tiff file"):
        folder.fetch(tmp_path / "raw", 0, **{**RGB, "root": str(tmp_path / "empty")})


def test_images_of_another_pattern_are_to_be_fetched_again(tmp_path: Path) -> None:
    raw, options = _fetched(_tissue(tmp_path / "in", "a.png", "b.png"), pattern=r"(?P<site>a)\.png")
    _, dropped = folder.index(raw, **{**options, "pattern": RGB["pattern"]})
    assert "run `dvc repro -f fetch`" in dropped.set_index("Source").loc["b.png", "Detail"]


def test_the_disk_is_asked_for_the_planes_and_not_for_the_packed_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(tmp_path / "in/a.png")
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 59_999}))
    with pytest.raises(InputError, match=r"60,000 bytes of images and .* 59,999 free"):
        _fetched(tmp_path / "in")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"channels": ["Actin=4", "DNA=1"]}, r"channels of R, G and B: channels=\[Red=R"),
        ({"pattern": r"\.png"}, r"needs \(\?P<well>…\) or \(\?P<site>…\)"),
        ({"pattern": r"(?P<row>a)\.png"}, r"needs \(\?P<well>…\) or \(\?P<site>…\)"),
    ],
)
def test_options_that_cannot_name_colour_images_are_refused(options: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        folder.Options(**{**RGB, **options})


def test_patches_of_slides_are_grouped_by_the_slide_and_joined_with_what_it_is(tmp_path: Path) -> None:
    """Names such as slide_row_column.png (001-04): the slide is the well."""
    (tmp_path / "in").mkdir()
    for name in ("TCGA-A_1_1", "TCGA-A_1_2", "TCGA-B_7_3"):
        Image.fromarray(_pixels(1)).save(tmp_path / f"in/{name}.png")
    (tmp_path / "slides.csv").write_text("Well|Compound|MoA\nTCGA-A|Primary Tumor|x\nTCGA-B|Normal|y\n")
    pattern = r"(?P<well>TCGA[^_]*)_(?P<site>\d+_\d+)\.png"
    raw, options = _fetched(tmp_path / "in", pattern=pattern, metadata=str(tmp_path / "slides.csv"))
    table, _ = folder.index(raw, **options)
    assert table[[schema.WELL, schema.SITE, schema.COMPOUND]].to_numpy().tolist() == [
        ["TCGA-A", "1_1", "Primary Tumor"],
        ["TCGA-A", "1_2", "Primary Tumor"],
        ["TCGA-B", "7_3", "Normal"],
    ]
