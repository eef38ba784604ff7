"""``dvc.lock`` after a kill: DVC writes it in place, so that a kill at that moment leaves it empty or torn."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from morphospace import files
from morphospace.errors import StorageError
from morphospace.storage.bucket import Check

NAME = "dvc.lock"
_CONFLICT = "<<<<<<< "


def check(root: Path = Path(), mend: bool = True) -> Check:
    """Look whether DVC can read ``dvc.lock``; where it cannot, keep it aside and bring the last good one back.

    The last good one is the newest that git has: the staged one, which DVC writes after each run, or that of a commit.
    What was run since is in DVC's cache of runs: `dvc repro` finds it there and does not run it again.

    Raises
    ------
    StorageError
        When a DVC command is at work, which may be writing the file.
    """
    lock = root / NAME
    if not lock.exists() or not (fault := _fault(lock.read_bytes())):
        return Check("lock", "ok", f"{NAME} can be read" if lock.exists() else f"there is no {NAME} yet")
    if fault == _CONFLICT:
        says = f"{NAME} has the conflicts of a merge; `git checkout --theirs {NAME}`, then `dvc repro`"
        return Check("lock", "fail", says)
    said = f"{NAME} {fault}, as after a kill while DVC wrote it"
    if not mend:
        return Check("lock", "fail", f"{said}; `morphospace doctor --lock` brings the last good one back")
    with _alone(root):
        content = lock.read_bytes()
        if not _fault(content):  # written to its end meanwhile
            return Check("lock", "ok", f"{NAME} can be read")
        return _restore(lock, content, said)


def _restore(lock: Path, content: bytes, said: str) -> Check:
    aside = next(p for n in range(1, 10_000) if not (p := lock.with_name(f"{NAME}.torn-{n}")).exists())
    with files.replacing(aside) as beside:
        beside.write_bytes(content)
    for which, good in _versions(lock.parent):
        if not _fault(good):
            with files.replacing(lock) as beside:
                beside.write_bytes(good)
            return Check(
                "lock", "warn", f"{said}; it is kept as {aside.name}, and {which} is back: `dvc repro` goes on"
            )
    lock.unlink()
    says = (
        f"{said}; it is kept as {aside.name}. git has no good one, so `dvc repro` writes it anew from its cache of runs"
    )
    return Check("lock", "warn", says)


def _fault(content: bytes) -> str:
    """Return what makes DVC refuse a lock, or nothing."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA  # 0.3 s to import
    from voluptuous import Invalid

    if not content.strip():
        return "is empty"
    try:
        text = content.decode()
        if any(line.startswith(_CONFLICT) for line in text.splitlines()):
            return _CONFLICT
        COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(text))
    except (UnicodeDecodeError, yaml.YAMLError):
        return "is torn (not YAML)"
    except Invalid:
        return "is torn (not what DVC writes)"
    return ""


def _versions(root: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the locks that git has, the newest first."""
    yield "the staged one", _git(root, "show", f":./{NAME}")
    for commit in _git(root, "log", "--format=%h", "--", NAME).decode().split():
        yield f"the one of commit {commit}", _git(root, "show", f"{commit}:./{NAME}")


def _git(root: Path, *arguments: str) -> bytes:
    """Return what git says, or nothing where it fails or is not there."""
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the lock that every DVC command takes before it writes."""
    from dvc.lock import LockError, make_lock

    folder = root / ".dvc" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with make_lock(str(folder / "lock"), tmp_dir=str(folder)):
            yield
    except LockError:
        raise StorageError(
            f"{NAME} cannot be read, and a DVC command is at work; ask again when it has ended"
        ) from None
