"""Images out of a ZIP from outside: nothing leaves the folder, nothing swells without bound."""

import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from morphospace import files
from morphospace.errors import InputError

_SUFFIXES = {".tif", ".tiff"}
_MAX_MEMBER = 256 << 20  # bytes; a field of BBBC021 has 2.6 MB
_MAX_TOTAL = 64 << 30  # bytes of all members; a plate of BBBC021 has 1.9 GB
_MAX_RATIO = 100  # bytes out of one byte of a member, or of the whole archive, above _FREE
_FREE = 16 << 20
_ORDINARY = (0, stat.S_IFREG, stat.S_IFDIR)  # kinds of a member; 0: it does not say


def extract_images(archive: Path, folder: Path, wanted: Callable[[str], bool]) -> int:
    """Unpack the TIFFs of a ZIP into one flat folder, whole or not at all, and return their number.

    Parameters
    ----------
    archive
        A ZIP that `_download.check_zip` has read.
    folder
        Replaced.
    wanted
        Of a member's file name, without its folders: whether to unpack it.

    Raises
    ------
    InputError
        As `check`; when a name is there twice; when nothing is wanted; when the disk is too small. Nothing is written
        then.
    """
    check(archive)
    with zipfile.ZipFile(archive) as opened:
        members: dict[str, zipfile.ZipInfo] = {}
        for member in opened.infolist():
            name = PurePosixPath(member.filename).name
            if member.is_dir() or _is_junk(member.filename) or not wanted(name):
                continue
            if name in members:
                raise InputError(f"{archive.name} holds {name!r} twice; it is damaged or hostile")
            members[name] = member
        if not members:
            raise InputError(f"{archive.name} holds none of the images that are wanted; fetch another archive")
        _require_room(archive, folder, sum(m.file_size for m in members.values()))
        with files.replacing_folder(folder) as aside:
            for name, member in members.items():
                with opened.open(member) as source, (aside / name).open("wb") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    return len(members)


def check(archive: Path) -> None:
    """Look through the list of members, before a byte of them is unpacked.

    Parameters
    ----------
    archive
        A file that says it is a ZIP; one that is none passes, for `_download.check_zip` to name.

    Raises
    ------
    InputError
        When a member is absolute, climbs with ``..``, is no ordinary file, or is encrypted; when one member, or all of
        them together, swell far beyond what the archive holds, as members that share their bytes do.
    """
    if not zipfile.is_zipfile(archive):
        return
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return
    for member in members:
        _refuse(archive, member)
    total, size = sum(m.file_size for m in members), archive.stat().st_size
    if total > _MAX_TOTAL or total > max(_FREE, _MAX_RATIO * size):
        raise InputError(
            f"{archive.name} has {size:,} bytes that swell to {total:,} in {len(members):,} members; "
            "the archive is hostile, nothing is used"
        )


def _refuse(archive: Path, member: zipfile.ZipInfo) -> None:
    """Refuse an archive for one bad member: its other members are no better."""
    name = member.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in member.orig_filename:
        raise InputError(
            f"{archive.name} holds {name!r}, which leaves its folder; the archive is hostile, nothing is used"
        )
    if stat.S_IFMT(member.external_attr >> 16) not in _ORDINARY:
        raise InputError(f"{archive.name} holds {name!r}, a link or a device; the archive is hostile, nothing is used")
    if member.flag_bits & 1:
        raise InputError(f"{archive.name} holds {name!r}, encrypted; fetch an open archive")
    bomb = member.file_size > max(_FREE, _MAX_RATIO * member.compress_size)
    if member.file_size > _MAX_MEMBER or bomb:
        raise InputError(
            f"{archive.name} holds {name!r}, {member.compress_size:,} bytes that swell to {member.file_size:,}; "
            "the archive is hostile, nothing is used"
        )


def _is_junk(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() not in _SUFFIXES or path.name.startswith(".") or "__MACOSX" in path.parts


def _require_room(archive: Path, folder: Path, need: int) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if need > free:
        raise InputError(f"{archive.name} unpacks to {need:,} bytes and {folder.parent} has {free:,} free; make room")
