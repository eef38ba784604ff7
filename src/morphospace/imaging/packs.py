"""Packs: one ZIP a plate of tiles (PNG) or label images (TIFF), in bytes that depend on the pictures alone.

A pack stores its members, it does not compress them again, so what a member declares is what lies in the file: there is
no bomb, and a member that is compressed, doubled, linked or named with a folder is refused.
"""

import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray

from morphospace import files, seals
from morphospace.errors import InputError
from morphospace.imaging.codec import decode_labels, decode_tile, encode_labels, encode_tile
from morphospace.schema import CROP_FILE, PLATE

__all__ = [
    "COMPARTMENTS",
    "decode_labels",
    "decode_tile",
    "encode_labels",
    "encode_tile",
    "members",
    "read",
    "read_labels",
    "tiles",
    "write",
]

COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that ZIP knows
_CHUNK = 512  # tiles a task


def write(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a pack of (name, content), in the order given, whole or not at all.

    Raises
    ------
    InputError
        When a name has a folder, starts with a dot, or comes twice.
    """
    seen: set[str] = set()
    with files.replacing(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            if reason := _refused(name, seen):
                raise InputError(f"{path}: cannot pack {name!r}: {reason}")
            seen.add(name)
            info = zipfile.ZipInfo(name, date_time=_EPOCH)
            info.create_system = 3  # Unix, on whatever system this runs
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of every member of a pack, in its order.

    Raises
    ------
    InputError
        When the pack is missing or no ZIP, or a member is refused or damaged: both are named.
    """
    with _opened(path) as (archive, directory):
        for name in directory:
            yield name, _content(path, archive, directory, name)


def read(path: Path, names: Sequence[str]) -> list[bytes]:
    """Return the contents of some members of a pack, in the order asked for.

    Raises
    ------
    InputError
        When the pack or a member is missing, refused or damaged: both are named.
    """
    with _opened(path) as (archive, directory):
        return [_content(path, archive, directory, name) for name in names]


def read_labels(pack: Path, well: str, site: str) -> dict[str, NDArray[np.integer[Any]]]:
    """Return the label images (H, W) of an image set by compartment: Nuclei, Cells, Cytoplasm.

    Raises
    ------
    InputError
        When a label image is missing or damaged, or the three differ in size: pack and member are named.
    """
    images = {}
    with _opened(pack) as (archive, directory):
        for compartment in COMPARTMENTS:
            name = f"{well}_{site}_{compartment}.tiff"
            content = _content(pack, archive, directory, name)
            try:
                images[compartment] = decode_labels(content)
            except InputError as error:
                raise InputError(f"{pack}: {name} {error}") from None
    shapes = {c: i.shape for c, i in images.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"{pack}: the label images of well {well}, site {site} differ in size: {shapes}")
    return images


def tiles(crops: Path, table: pd.DataFrame, channels: int, size: int, cache: Path) -> "np.memmap[Any, Any]":
    """Return the tiles of the kept crops as a read-only memory map (N, C, H, W) of uint8, in the order of `table`.

    The tiles are decoded once, in parallel, into a file of `cache` named after what goes in: the names and the
    checksums of the members, their order, and the shape. Later calls open it when its seal holds, and decode anew else.

    Parameters
    ----------
    crops
        Folder with one pack a plate.
    table
        The kept rows of ``crops.parquet``: ``Metadata_Plate`` and ``Crop_File`` are read.
    channels
        Number of channels of a tile.
    size
        Side of a tile, px.
    cache
        Folder for the decoded tiles; it may be deleted at any time.

    Raises
    ------
    InputError
        When there is no row, a pack or a member is missing or damaged, a tile has another shape, or the disk of
        `cache` is too full.
    """
    if not len(table):
        raise InputError(f"{crops}: there is no kept crop to read; see reports/records/synthesize.json")
    shape = (len(table), channels, size, size)
    plates = table[PLATE].astype(str).to_numpy()
    names = table[CROP_FILE].astype(str).to_numpy()
    rows = {str(plate): np.flatnonzero(plates == plate) for plate in pd.unique(plates)}
    sums = np.zeros(len(table), dtype=np.int64)
    for plate, of_plate in rows.items():
        with _opened(crops / f"{plate}.zip") as (_, directory):
            sums[of_plate] = [_info(crops / f"{plate}.zip", directory, names[i]).CRC for i in of_plate]
    path = cache / f"tiles-{files.fingerprint(shape, names.tolist(), sums.tolist())}.npy"
    seals.kept(path, lambda aside: _decode_all(crops, rows, names, shape, aside))
    found: np.memmap[Any, Any] = np.load(path, mmap_mode="r")
    return found


def _decode_all(crops: Path, rows: Mapping[str, Any], names: Any, shape: tuple[int, ...], path: Path) -> None:
    """Decode every tile into a new file."""
    needed, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"{path.parent} has {free:,} bytes free, the decoded tiles need {needed:,}; "
            "make room, or set MORPHOSPACE_SCRATCH to a folder on another disk"
        )
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    with path.open("rb+") as file:  # a page that finds no room on the disk would kill the process
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    # Threads: zlib and Pillow let go of the interpreter while they decode.
    Parallel(n_jobs=files.jobs(), prefer="threads")(
        delayed(_decode_chunk)(crops / f"{plate}.zip", of_plate[i : i + _CHUNK], names, out)
        for plate, of_plate in rows.items()
        for i in range(0, len(of_plate), _CHUNK)
    )
    out.flush()


def _decode_chunk(pack: Path, rows: NDArray[np.intp], names: Any, out: NDArray[np.uint8]) -> None:
    with _opened(pack) as (archive, directory):
        for row in rows:
            content = _content(pack, archive, directory, names[row])
            try:
                tile = decode_tile(content, out.shape[1])
            except InputError as error:
                raise InputError(f"{pack}: {names[row]} {error}") from None
            if tile.shape != out.shape[1:]:
                raise InputError(f"{pack}: {names[row]} is a tile of {tile.shape}, the others are {out.shape[1:]}")
            out[row] = tile


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]]:
    """Open a pack and check its directory before a byte of content is read."""
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run `dvc repro`") from None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path} is not a readable ZIP ({error}); delete it and run `dvc repro`") from None
    with archive:
        directory: dict[str, zipfile.ZipInfo] = {}
        room = path.stat().st_size
        for info in archive.infolist():
            room -= info.file_size
            if reason := _refused(info.orig_filename, directory) or _odd(info, room):
                raise InputError(f"{path}: member {info.orig_filename!r} is refused: {reason}")
            directory[info.filename] = info
        yield archive, directory


def _refused(name: str, seen: Iterable[str]) -> str:
    """Say why a name cannot be a member, or nothing."""
    if _NAME.fullmatch(name) is None or ".." in name:
        return "a name is letters, digits, '.', '_', '-', without a folder"
    return "the name comes twice" if name in seen else ""


def _odd(info: zipfile.ZipInfo, room: int) -> str:
    """Say why a member is not one that `write` made, or nothing; `room` is what its pack could still hold."""
    if stat.S_ISLNK(info.external_attr >> 16):
        return "it is a symbolic link"
    if info.compress_type != zipfile.ZIP_STORED:
        return "it is compressed, and a pack stores its members as they are"
    if info.file_size != info.compress_size or room < 0:
        return f"it declares {info.file_size:,} bytes, more than the pack holds"
    return "it is encrypted" if info.flag_bits & 1 else ""


def _info(path: Path, directory: Mapping[str, zipfile.ZipInfo], name: str) -> zipfile.ZipInfo:
    if name not in directory:
        raise InputError(f"{path} has no member {name!r}; its table and its pictures are of different runs")
    return directory[name]


def _content(path: Path, archive: zipfile.ZipFile, directory: Mapping[str, zipfile.ZipInfo], name: str) -> bytes:
    info = _info(path, directory, name)
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError) as error:
        raise InputError(f"{path}: member {name!r} is damaged ({error}); delete it and run `dvc repro`") from None
