"""Packs: bytes that depend on the pictures alone, and hostile archives refused by name."""

import shutil
import stat
import struct
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from morphospace.errors import InputError
from morphospace.imaging import packs


def noise(channels: int, size: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, channels]).integers(0, 256, (channels, size, size), dtype=np.uint8)


def test_a_pack_keeps_order_and_content_and_its_bytes_depend_on_nothing_else(tmp_path: Path) -> None:
    given_members = [("b.png", b"two"), ("a.png", b"one"), ("c.png", b"")]
    for folder in ("x", "y"):
        packs.write(tmp_path / folder / "p.zip", iter(given_members))
    assert list(packs.members(tmp_path / "x" / "p.zip")) == given_members
    assert (tmp_path / "x" / "p.zip").read_bytes() == (tmp_path / "y" / "p.zip").read_bytes()


@pytest.mark.parametrize("name", ["", "/a", "a/b", "..", "a..b", ".hidden", "a\\b", "a b", "a\0b", "é", "x" * 256])
def test_a_name_that_is_no_plain_file_name_is_not_packed(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot pack"):
        packs.write(tmp_path / "p.zip", [("fine.png", b""), (name, b"")])
    assert not (tmp_path / "p.zip").exists()


def test_a_name_is_packed_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p\.zip: cannot pack 'a': the name comes twice"):
        packs.write(tmp_path / "p.zip", [("a", b"1"), ("a", b"2")])


def hostile(path: Path, name: str, content: bytes = b"x", attr: int = 0, how: int = zipfile.ZIP_STORED) -> None:
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name
    info.external_attr = attr
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, content, how)


@pytest.mark.parametrize("name", ["/etc/passwd", "../../up.png", "a/b.png", "C:\\x.png", "a\0b.png", "folder/"])
def test_a_member_with_a_hostile_name_is_refused_by_pack_and_name(tmp_path: Path, name: str) -> None:
    hostile(tmp_path / "p.zip", name)
    with pytest.raises(InputError, match=r"p\.zip: member .* is refused: a name is letters"):
        list(packs.members(tmp_path / "p.zip"))


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    hostile(tmp_path / "p.zip", "link.png", b"/etc/passwd", (stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(InputError, match=r"'link\.png' is refused: it is a symbolic link"):
        list(packs.members(tmp_path / "p.zip"))


def test_a_bomb_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    hostile(tmp_path / "p.zip", "bomb.png", b"\0" * 10_000_000, how=zipfile.ZIP_DEFLATED)
    assert (tmp_path / "p.zip").stat().st_size < 20_000
    with pytest.raises(InputError, match=r"'bomb\.png' is refused: it is compressed"):
        list(packs.members(tmp_path / "p.zip"))


@pytest.mark.parametrize("both", [False, True])
def test_a_member_that_declares_more_than_the_pack_holds_is_refused(tmp_path: Path, both: bool) -> None:
    path = tmp_path / "p.zip"
    packs.write(path, [("a.png", b"x")])
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 2**31)
    if both:
        content[at + 20 : at + 24] = struct.pack("<I", 2**31)
    path.write_bytes(content)
    with pytest.raises(InputError, match="declares 2,147,483,648 bytes, more than the pack holds"):
        list(packs.members(path))


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.zip"
    packs.write(path, [("a.png", b"x")])
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="it is encrypted"):
        list(packs.members(path))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a.png", b"1")
        archive.writestr("a.png", b"2")
    with pytest.raises(InputError, match="the name comes twice"):
        list(packs.members(tmp_path / "p.zip"))


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    packs.write(tmp_path / "p.zip", [("a.png", b"content")])
    content = (tmp_path / "p.zip").read_bytes()
    (tmp_path / "p.zip").write_bytes(content.replace(b"content", b"CONTENT"))
    with pytest.raises(InputError, match=r"member 'a\.png' is damaged"):
        list(packs.members(tmp_path / "p.zip"))


def test_a_missing_and_a_truncated_pack_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p\.zip is missing"):
        list(packs.members(tmp_path / "p.zip"))
    packs.write(tmp_path / "p.zip", [("a.png", b"x" * 500)])
    (tmp_path / "p.zip").write_bytes((tmp_path / "p.zip").read_bytes()[:300])
    with pytest.raises(InputError, match=r"p\.zip is not a readable ZIP"):
        list(packs.members(tmp_path / "p.zip"))


def test_some_members_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    packs.write(tmp_path / "p.zip", [("a", b"1"), ("b", b"2"), ("c", b"3")])
    assert packs.read(tmp_path / "p.zip", ["c", "a"]) == [b"3", b"1"]
    with pytest.raises(InputError, match=r"p\.zip has no member 'd'"):
        packs.read(tmp_path / "p.zip", ["d"])


def label_pack(path: Path, shapes: dict[str, tuple[int, int]]) -> None:
    packs.write(path, ((f"B02_1_{c}.tiff", packs.encode_labels(np.ones(s, int))) for c, s in shapes.items()))


def test_the_labels_of_an_image_set_are_read_by_compartment(tmp_path: Path) -> None:
    label_pack(tmp_path / "p.zip", {"Nuclei": (3, 4), "Cells": (3, 4), "Cytoplasm": (3, 4)})
    images = packs.read_labels(tmp_path / "p.zip", "B02", "1")
    assert {c: i.shape for c, i in images.items()} == dict.fromkeys(packs.COMPARTMENTS, (3, 4))


def test_labels_that_are_missing_of_other_sizes_or_damaged_are_named(tmp_path: Path) -> None:
    label_pack(tmp_path / "p.zip", {"Nuclei": (3, 4), "Cells": (3, 4)})
    with pytest.raises(InputError, match=r"p\.zip has no member 'B02_1_Cytoplasm\.tiff'"):
        packs.read_labels(tmp_path / "p.zip", "B02", "1")
    label_pack(tmp_path / "p.zip", {"Nuclei": (3, 4), "Cells": (3, 5), "Cytoplasm": (3, 4)})
    with pytest.raises(InputError, match="well B02, site 1 differ in size"):
        packs.read_labels(tmp_path / "p.zip", "B02", "1")
    packs.write(tmp_path / "p.zip", [("B02_1_Nuclei.tiff", b"II*\0")])
    with pytest.raises(InputError, match=r"p\.zip: B02_1_Nuclei\.tiff is truncated"):
        packs.read_labels(tmp_path / "p.zip", "B02", "1")


def make(folder: Path, counts: dict[str, int], channels: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    """Packs of a few plates; the table is shuffled, the tiles are in its order."""
    rows = [(plate, f"{plate}_A01_1_{i}.png") for plate, n in counts.items() for i in range(n)]
    stack = np.stack([noise(channels, 16, i) for i in range(len(rows))])
    for plate in counts:
        chosen = [i for i, row in enumerate(rows) if row[0] == plate]
        packs.write(folder / f"{plate}.zip", ((rows[i][1], packs.encode_tile(stack[i])) for i in chosen))
    order = np.random.default_rng(1).permutation(len(rows))
    return pd.DataFrame([rows[i] for i in order], columns=["Metadata_Plate", "Crop_File"]), stack[order]


@pytest.mark.parametrize(("channels", "jobs"), [(3, "1"), (3, "2"), (2, "2")])
def test_tiles_come_in_the_order_of_the_table_and_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, jobs: str
) -> None:
    monkeypatch.setenv("MORPHOSPACE_JOBS", jobs)
    monkeypatch.setattr(packs, "_CHUNK", 4)
    table, stack = make(tmp_path / "crops", {"P1": 9, "P2": 6}, channels)
    first = packs.tiles(tmp_path / "crops", table, channels, 16, tmp_path / "cache")
    assert isinstance(first, np.memmap)
    assert not first.flags.writeable
    assert np.array_equal(first, stack)
    monkeypatch.setattr(packs, "_decode_all", None)
    assert np.array_equal(packs.tiles(tmp_path / "crops", table, channels, 16, tmp_path / "cache"), stack)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1


@pytest.mark.parametrize("damage", ["cut", "empty", "aborted", "altered", "of another shape", "unsealed"])
def test_decoded_tiles_that_were_damaged_are_decoded_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    table, stack = make(tmp_path / "crops", {"P1": 3})
    packs.tiles(tmp_path / "crops", table, 3, 16, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.npy")
    content = path.read_bytes()
    if damage == "of another shape":
        np.save(path, stack[:1])
    elif damage == "unsealed":
        path.with_name(f"{path.name}.seal").unlink()
    else:
        altered = content[:-1] + bytes([content[-1] ^ 1])
        path.write_bytes({"cut": content[:-9], "empty": b"", "aborted": b"Aborted.", "altered": altered}[damage])
    assert np.array_equal(packs.tiles(tmp_path / "crops", table, 3, 16, tmp_path / "cache"), stack)
    assert path.read_bytes() == content
    assert f"{path} is not as it was written" in caplog.text


def test_a_cache_of_other_tiles_or_another_order_is_not_used(tmp_path: Path) -> None:
    table, stack = make(tmp_path / "crops", {"P1": 3})
    packs.tiles(tmp_path / "crops", table, 3, 16, tmp_path / "cache")
    turned = packs.tiles(tmp_path / "crops", table.iloc[::-1], 3, 16, tmp_path / "cache")
    assert np.array_equal(turned, stack[::-1])
    name = table["Crop_File"].iloc[0]
    changed = [
        (n, packs.encode_tile(noise(3, 16, 99)) if n == name else c)
        for n, c in packs.members(tmp_path / "crops" / "P1.zip")
    ]
    packs.write(tmp_path / "crops" / "P1.zip", changed)
    again = packs.tiles(tmp_path / "crops", table, 3, 16, tmp_path / "cache")
    assert np.array_equal(again[0], noise(3, 16, 99))
    assert np.array_equal(again[1:], stack[1:])


def test_tiles_that_cannot_be_are_named_and_leave_no_half_cache(tmp_path: Path) -> None:
    table, _ = make(tmp_path / "crops", {"P1": 3})
    read = lambda t=table, c=3, s=16: packs.tiles(tmp_path / "crops", t, c, s, tmp_path / "cache")  # noqa: E731
    with pytest.raises(InputError, match="no kept crop to read"):
        read(table.iloc[:0])
    with pytest.raises(InputError, match=r"P1\.zip has no member 'other\.png'"):
        read(table.assign(Crop_File="other.png"))
    with pytest.raises(InputError, match=r"P9\.zip is missing"):
        read(table.assign(Metadata_Plate="P9"))
    with pytest.raises(InputError, match=r"P1\.zip: P1_A01_1_\d\.png is a RGB picture"):
        read(c=2)
    with pytest.raises(InputError, match=r"is a tile of \(3, 16, 16\), the others are \(3, 32, 32\)"):
        read(s=32)
    assert not [f for f in (tmp_path / "cache").iterdir() if f.suffix != ".lock"]


def test_a_full_disk_is_told_with_the_bytes_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = make(tmp_path / "crops", {"P1": 2})
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000, 1000, 10))
    with pytest.raises(InputError, match=r"10 bytes free, the decoded tiles need 1,536; make room"):
        packs.tiles(tmp_path / "crops", table, 3, 16, tmp_path / "cache")
