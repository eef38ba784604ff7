"""Files written whole or not at all, safe names, and the scratch folder for work in progress."""

import errno
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import platformdirs

from morphospace.errors import DiskError, InputError, MorphospaceError

LIST = ".morphospace"  # in a folder that is not DVC's alone: the files that we wrote there
_LISTED = "# morphospace wrote these files; the next run replaces them, and no others"
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# made by morphospace: `make clean` removes this folder\n"
_ASIDE = ".aside-"  # in the names of what is being written
_JUNK = {".ds_store", "thumbs.db", "desktop.ini"}  # what desktops leave behind
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSALS = {*_FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EIO, errno.ENOTDIR, errno.EISDIR}
_REFUSALS |= {errno.EEXIST, errno.ELOOP, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ETXTBSY, errno.EBUSY}
# As the system, SQLite, `tempfile` and NumPy say it; libraries quote them in errors of their own.
_WORDS = re.compile(
    r"No space left on device|Disk quota exceeded|File too large|Read-only file system|Permission denied|"
    r"File name too long|Input/output error|database or disk is full|attempt to write a readonly database|"
    r"unable to open database file|disk I/O error|No usable temporary directory found|\d+ requested and \d+ written",
    re.IGNORECASE,
)
_swept: set[str] = set()  # folders that this process has looked through
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_safe_name(name: str) -> bool:
    """Whether a plate, well or site can be part of a file name: letters, digits, ``.``, ``_``, ``-``; no ``..``."""
    return _SAFE.fullmatch(name) is not None and ".." not in name


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, and rename it over `path` when the block ends well.

    The file is flushed to the disk before it is renamed, so that a kill leaves the old file or the new one, never
    half of one. Missing parent folders are made.

    Raises
    ------
    DiskError
        When the disk is full, read-only, or closed to this user.
    """
    with _aside(path) as aside:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.chmod(0o666 & ~_umask())
        aside.replace(path)


@contextmanager
def replacing_folder(path: Path, listed: bool = False) -> Iterator[Path]:
    """Give an empty temporary folder beside `path`, and put it in the place of `path` when the block ends well.

    Parameters
    ----------
    path
        The folder.
    listed
        Keep a list of what was written in the folder itself, and replace only what the list of an earlier run names:
        for a folder in which a person may keep files, too. DVC clears the others before their stage starts.

    Raises
    ------
    InputError
        When `listed`, and the folder holds a file that this function did not write.
    DiskError
        When the disk is full, read-only, or closed to this user.
    """
    if listed:
        require_own(path)
    path = path.resolve() if path.is_symlink() else path  # a folder on another disk stays there
    with _aside(path, folder=True) as aside:
        yield aside
        if listed:
            names = sorted(file.relative_to(aside).as_posix() for file in _inside(aside))
            (aside / LIST).write_text("\n".join([_LISTED, *names]) + "\n", encoding="utf-8")
            require_own(path)  # again: the block may have taken hours
        aside.chmod(0o777 & ~_umask())
        if path.exists():
            with _aside(path, folder=True) as old:
                path.replace(old)
                aside.rename(path)
        else:
            aside.rename(path)


def require_own(folder: Path) -> None:
    """Refuse a folder that holds what `replacing_folder` did not write there.

    Raises
    ------
    InputError
        Naming the first such file.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is a file, where a folder is to be written; name a new folder")
    try:
        ours = set((folder / LIST).read_text(encoding="utf-8").splitlines()[1:])
    except (FileNotFoundError, UnicodeDecodeError):
        ours = set()
    names = sorted(file.relative_to(folder).as_posix() for file in _inside(folder) if not is_junk(file))
    if foreign := [name for name in names if name not in ours and name != LIST]:
        raise InputError(
            f"{folder} holds {len(foreign)} file{'s' * (len(foreign) > 1)} that morphospace did not write there "
            f"(first: {foreign[0]}), and nothing was touched; move them away, or name a new folder"
        )


def is_junk(file: Path) -> bool:
    """Whether a file is what a desktop leaves behind in folders that it shows."""
    return file.name.lower() in _JUNK


def _inside(folder: Path) -> Iterator[Path]:
    """Yield all that is below a folder and is no folder itself: links are not followed."""
    for at, folders, names in os.walk(folder):
        yield from (Path(at) / name for name in names)
        yield from (Path(at) / name for name in folders if (Path(at) / name).is_symlink())


@contextmanager
def _aside(path: Path, folder: bool = False) -> Iterator[Path]:
    """Give an empty file or folder beside `path`, locked while this process lives, and remove it afterwards.

    What killed processes left in that place is removed first: nobody holds its lock.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        prefix = f".{path.stem[:40]}{_ASIDE}"
        while True:
            if folder:
                aside = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
            else:  # the suffix stays last: image and table writers choose their format by it
                made, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
                os.close(made)
                aside = Path(name)
            handle = os.open(aside, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if aside.exists():  # otherwise another process has swept it, between its making and its lock
                break
            os.close(handle)
        try:
            yield aside
        except Exception as error:
            if said := disk_error(error, path, _size(aside)):
                raise DiskError(str(said).replace(str(aside), str(path))) from error  # of a file in a folder
            raise
        finally:
            _remove(aside)
            os.close(handle)


def _sweep(folder: Path) -> None:
    """Remove what killed processes were writing in a folder, once a process; what a living one writes is locked."""
    place = os.path.realpath(folder)
    if place in _swept:
        return
    _swept.add(place)
    for left in folder.glob(f".*{_ASIDE}*"):
        with suppress(OSError):  # it has just gone, or belongs to another user
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(left)
            finally:
                os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return 512 * sum(file.lstat().st_blocks for file in (_inside(path) if path.is_dir() else [path]))


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the disk refuses while `path` is written into one line.

    Raises
    ------
    DiskError
        Which path, why, what is free, and what to do.
    """
    try:
        yield
    except OSError as error:
        if said := disk_error(error, path):
            raise said from error
        raise


def disk_error(error: BaseException, path: Path | None = None, written: int = 0) -> DiskError | None:
    """Return what an error says of the disk, in one line, or None when it speaks of something else.

    Libraries hide what the system says in errors of their own, which keep its words or the chain: both are read.

    Parameters
    ----------
    error
        The error, with those that led to it.
    path
        What was being written, where the error does not name a file.
    written
        Bytes of it that were on the disk by then.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DiskError):
            return seen
        number = seen.errno if isinstance(seen, OSError) and seen.errno in _REFUSALS else None
        words = None if isinstance(seen, MorphospaceError) else _WORDS.search(str(seen))
        if number or words:
            said = os.strerror(number) if number else words[0] if words else ""
            name = getattr(seen, "filename", None)
            named = os.fsdecode(name) if isinstance(name, str | bytes) else ""
            where = Path(named) if named and not (path and _ASIDE in named) else path
            if where is None:  # the library's own words are all there is
                return DiskError(f"{' '.join(str(seen).split())[:300]}; make room there, or see who may write there")
            return DiskError(_said(said, where, written if where == path else 0))
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return None


def _said(said: str, where: Path, written: int) -> str:
    """Say what the disk refused: which path, what is free and what is needed, and what to do."""
    place = where.absolute()
    around = (p for p in (place, *place.parents) if _ASIDE not in str(p))
    there = next(p for p in around if os.path.isdir(p))  # noqa: PTH112 - to which a long name is no error
    what = f"{where}: {said[0].lower()}{said[1:]}"
    if re.search("space|quota|full|too large|requested", said.lower()):
        needed = f"it had {written:,} bytes and needs more" if written else "it needs more"
        return f"{what}; {shutil.disk_usage(there).free:,} bytes are free in {there}, {needed}: make room there"
    if re.search("exists|directory", said.lower()):
        return f"{what}; a file stands where a folder is needed, or a folder where a file is: name another place"
    return f"{what}; see who may write in {there}, and whether it is read-only, or name another place"


@contextmanager
def alone(path: Path, seconds: float = math.inf) -> Iterator[None]:
    """Hold the lock of `path` (a file beside it, ``.lock``), so that processes take turns; a kill lets go of it.

    Raises
    ------
    TimeoutError
        When another process holds it for longer than `seconds`.
    """
    ends = time.monotonic() + seconds
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f"{path.name}.lock").open("a")
    with lock as file:
        while not try_lock(file):
            if time.monotonic() > ends:
                raise TimeoutError(f"another process has held {file.name} for {seconds:g} s")
            time.sleep(0.05)
        yield


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file unless another process has; the lock goes when the file is closed or the process ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, keys in the given order; numbers that are not finite become null."""
    with replacing(path) as aside:
        aside.write_text(json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        When it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run `dvc repro`") from None
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from None


def fingerprint(*parts: Any) -> str:
    """Return 16 hexadecimal digits that depend on every part: JSON values, or paths, whose content counts."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file():
                    digest.update(file.relative_to(part).as_posix().encode())
                    with file.open("rb") as stream:
                        digest.update(hashlib.file_digest(stream, "sha256").digest())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def repository() -> Path:
    """Return the root of the user's repository, also from a temporary clone in which DVC runs an experiment.

    DVC tells a stage in ``DVC_ROOT``: for an experiment in a clone it is the repository that the clone was made of.
    Without it, it is the nearest folder above the working folder that DVC knows, or else the working folder.
    """
    if told := os.environ.get("DVC_ROOT"):
        return Path(told)
    here = Path.cwd().resolve()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def scratch_root() -> Path:
    """Return where the folders for work in progress lie: ``MORPHOSPACE_SCRATCH``, or the user's cache folder."""
    return Path(os.environ.get("MORPHOSPACE_SCRATCH") or platformdirs.user_cache_dir("morphospace"))


def scratch(stage: str, key: str) -> Path:
    """Return the folder for work in progress of a stage, made if need be.

    It lies outside the repository (``MORPHOSPACE_SCRATCH``, or the user's cache folder), so that DVC does not delete
    it before a stage and temporary clones share it; `key` depends on the content of all that goes in. The folder of a
    stage is tagged, so that `make clean` removes it and nothing else.
    """
    folder = scratch_root() / stage / key
    with explained(folder):
        folder.parent.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.parent.mkdir()
            (folder.parent / "CACHEDIR.TAG").write_text(_TAG, encoding="utf-8")
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def jobs() -> int:
    """Return how many processes to run: ``MORPHOSPACE_JOBS``, or the processors this process may use."""
    wanted = os.environ.get("MORPHOSPACE_JOBS", "")
    return max(1, int(wanted)) if wanted.isdigit() else len(os.sched_getaffinity(0))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
