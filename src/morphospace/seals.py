"""What lies in the scratch folder is believed only while its seal holds: its size and a sum of every block of bytes.

All of it can be made anew. A file that was cut short, emptied or altered is therefore no error: it is named in a
warning and made again. The seal of a file lies beside it (``.seal``), that of a folder inside. Sums are CRC-32: they
find accidents, and cost far less than reading the bytes from a disk.
"""

import json
import logging
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from morphospace import files

SUFFIX = ".seal"
BLOCK = 1 << 24  # bytes a sum
_log = logging.getLogger(__name__)


def kept(path: Path, make: Callable[[Path], None], folder: bool = False) -> Path:
    """Return `path` as it was made: it is made now unless it lies there whole. Processes take turns.

    Parameters
    ----------
    path
        Where it is kept.
    make
        Writes it to another place, given: an empty file, or an empty folder.
    folder
        Whether it is one.
    """
    with files.alone(path):
        if not intact(path):
            with keeping(path, folder) as aside:
                make(aside)
    return path


@contextmanager
def keeping(path: Path, folder: bool = False) -> Iterator[Path]:
    """Give a temporary path as `files.replacing` does, and seal what was written when the block ends well."""
    with (files.replacing_folder if folder else files.replacing)(path) as aside:
        yield aside
        _seal(aside, _place(aside if folder else path, folder))


def seal(path: Path) -> None:
    """Seal a file or a folder as it is."""
    _seal(path, _place(path, path.is_dir()))


def intact(path: Path, unsealed: bool = False) -> bool:
    """Whether a file or a folder is what was sealed; one that is there and is not is named in a warning.

    Parameters
    ----------
    path
        Of a folder, files that came after the seal do not count.
    unsealed
        The answer for one that is there and has no seal.
    """
    if not path.exists():
        return False
    if unsealed and not sealed(path):
        return True
    if wrong := fault(path):
        _log.warning("%s is not as it was written (%s): it is made anew", path, wrong)
    return not wrong


def sealed(path: Path) -> bool:
    """Whether a file or a folder has a seal, be it broken."""
    return _place(path, path.is_dir()).exists()


def fault(path: Path) -> str:
    """Return in what a file or a folder differs from its seal, in words; nothing when it does not."""
    return _fault(path, _place(path, path.is_dir()))


def remove(path: Path) -> None:
    """Delete the seal of a file or a folder, if there is one, and a file with it."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
    _place(path, path.is_dir()).unlink(missing_ok=True)


def _place(path: Path, folder: bool) -> Path:
    return path / SUFFIX if folder else path.with_name(path.name + SUFFIX)


def _seal(path: Path, place: Path) -> None:
    sealed = {name: [file.stat().st_size, *_sums(file)] for name, file in _files(path).items() if file != place}
    with files.replacing(place) as aside:
        aside.write_text(json.dumps(sealed), encoding="utf-8")


def _files(path: Path) -> dict[str, Path]:
    """Return the files to be sealed by their names: one without a name, or those of a folder."""
    if path.is_dir():
        return {f.relative_to(path).as_posix(): f for f in sorted(path.rglob("*")) if f.is_file()}
    return {"": path}


def _fault(path: Path, place: Path) -> str:
    if not place.exists():
        return "it has no seal"
    try:
        sealed = {str(name): (int(size), sums) for name, (size, *sums) in json.loads(place.read_bytes()).items()}
    except (ValueError, TypeError, AttributeError, OSError):
        return "its seal cannot be read"
    there = {name: path / name if name else path for name in sealed}
    for name, (size, _) in sealed.items():  # cheap, and finds most accidents
        if not there[name].is_file():
            return f"{name or 'a file'} is missing"
        if (found := there[name].stat().st_size) != size:
            return f"{f'{name} has ' if name else ''}{found:,} bytes of {size:,}"
    for name, (_, sums) in sealed.items():
        for block, (found, wanted) in enumerate(zip(_sums(there[name]), sums, strict=False)):
            if found != wanted:
                return f"{f'{name}: ' if name else ''}other bytes in block {block + 1} of {len(sums)}"
    return ""


def _sums(path: Path) -> list[int]:
    """Return the sum of each block of a file; large files are read by several threads, for zlib lets others run."""
    starts = range(0, path.stat().st_size, BLOCK)
    if len(starts) < 2:
        return [zlib.crc32(path.read_bytes())] if starts else []
    with ThreadPoolExecutor(min(files.jobs(), len(starts))) as pool:
        return list(pool.map(lambda start: _sum(path, start), starts))


def _sum(path: Path, start: int) -> int:
    with path.open("rb") as file:
        file.seek(start)
        return zlib.crc32(file.read(BLOCK))
