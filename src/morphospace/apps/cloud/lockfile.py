"""``dvc.lock``, and DVC's lists of who uses which file and of what is to be transferred, after a kill.

DVC writes the first two in place, so that a kill at that moment leaves them empty or torn. The third it fills output by
output and then believes: a push or a pull after one that was killed early transfers a part, and says that it was all.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from morphospace import files
from morphospace.apps.cloud.bucket import Check
from morphospace.errors import StorageError

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
    with _alone(root, "lock", f"{NAME} cannot be read"):
        content = lock.read_bytes()
        if not _fault(content):  # written to its end meanwhile
            return Check("lock", "ok", f"{NAME} can be read")
        return _restore(lock, content, said)


def claims(root: Path = Path(), mend: bool = True) -> Check:
    """Look whether DVC can read its list of who uses which file; one that cannot be read names nobody, and is removed.

    DVC makes it anew. Whoever was in it was killed, or fails by it as any command does.
    """
    listed = root / ".dvc" / "tmp" / "rwlock"
    if not _torn(listed):
        return Check("claims", "ok", "DVC can read who uses which file")
    said = f"{listed.relative_to(root)} is torn, as after a kill while DVC wrote it"
    if not mend:
        return Check("claims", "fail", f"{said}; `morphospace doctor --lock` removes it, and DVC makes it anew")
    with _alone(root, "rwlock.lock", said):
        if _torn(listed):  # and not merely being written when it was looked at
            listed.unlink()
    return Check("claims", "warn", f"{said}; it is removed, and DVC makes it anew")


def transfers(root: Path = Path(), mend: bool = True) -> Check:
    """Forget what DVC noted of pushes and pulls that did not end, so that the next one lists all there is.

    One that ended having transferred something leaves no note; a whole note costs only the time to make it again. While
    a DVC command is at work the note is its own.

    Raises
    ------
    StorageError
        When DVC cannot open the repository, with what it says.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        repo = Repo(str(root))
    except NotDvcRepoError:
        return Check("transfers", "ok", "there is no DVC here, and no transfer")
    except DvcException as error:
        raise StorageError(f"DVC cannot open this repository: {error}") from None
    with repo:
        if not any(key[0] in ("push", "fetch") for key in repo.data_index.ls((), detail=False)):
            return Check("transfers", "ok", "no push or pull was cut short")
        said = "a push or a pull may have been cut short, and DVC would believe its list"
        if not mend:
            return Check("transfers", "warn", f"{said}; `morphospace doctor --lock` makes DVC list all there is")
        try:
            with _alone(root, "lock", said):
                repo.drop_data_index()
        except StorageError:
            return Check("transfers", "ok", "a DVC command is at work, and may be transferring")
    return Check("transfers", "ok", "what DVC noted of earlier pushes and pulls is forgotten: it lists all there is")


def _torn(listed: Path) -> bool:
    from dvc.rwlock import SCHEMA
    from voluptuous import Invalid

    try:
        SCHEMA(json.loads(listed.read_bytes()))
    except FileNotFoundError:
        return False
    except (ValueError, Invalid):
        return True
    return False


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
def _alone(root: Path, lock: str, said: str) -> Iterator[None]:
    """Hold a lock that DVC takes before it writes."""
    from dvc.lock import LockError, make_lock

    folder = root / ".dvc" / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with make_lock(str(folder / lock), tmp_dir=str(folder)):
            yield
    except LockError:
        raise StorageError(f"{said}, and a DVC command is at work; ask again when it has ended") from None
