"""Files from a web server: resumed, retried, and refused when they are not what was asked for."""

import hashlib
import logging
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from morphospace import seals
from morphospace.errors import InputError

logger = logging.getLogger(__name__)

WAITS = (1.0, 4.0, 15.0, 60.0)  # seconds before each new try; progress starts the list again
_TRIES = 50  # in all, for a server that gives a little each time
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_TIMEOUT = (15, 60)  # seconds to connect, and between two chunks
_CHUNK = 1 << 17  # bytes; at most this much is lost when a connection is cut


class _CutError(Exception):
    """The connection failed in a way that a new try may mend."""


def download(url: str, path: Path, check: Callable[[Path], None], sha256: str = "") -> str:
    """Bring a file, unless it is there already and as it arrived, and return its SHA-256, hexadecimal.

    What arrived before a cut is kept beside `path` as ``.part`` and asked for no more.

    Parameters
    ----------
    url
        ``http://`` or ``https://``.
    path
        Appears when the file is whole and has passed `check`.
    check
        Raises `InputError` when the file is not of the right kind.
    sha256
        What the file must have; '' when it is not known yet.

    Raises
    ------
    InputError
        When the server refuses, answers with something else, or is out of reach after all tries.
    """
    if not _whole(path, check):
        part = path.with_name(path.name + ".part")
        _bring(url, part)
        try:
            check(part)
            _compare(part, url, sha256)
        except InputError:
            part.unlink()
            raise
        part.replace(path)
        seals.seal(path)
    return _compare(path, url, sha256)


def _whole(path: Path, check: Callable[[Path], None]) -> bool:
    """Whether a file lies there as it arrived; one without a seal is checked as a new one is, and sealed."""
    if not path.is_file() or seals.sealed(path):
        return seals.intact(path)
    try:
        check(path)
    except InputError:
        return False
    seals.seal(path)
    return True


def check_zip(path: Path) -> None:
    """Read a ZIP to its end.

    Raises
    ------
    InputError
        When it is not a ZIP, is truncated, or a member's checksum is wrong.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path.name.removesuffix('.part')} is not a whole ZIP ({error}); fetch again") from None
    if bad is not None:
        raise InputError(f"{path.name.removesuffix('.part')} is damaged at {bad!r}; fetch again")


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(path: Path, url: str, sha256: str) -> str:
    found = digest(path)
    if sha256 and found != sha256:
        raise InputError(
            f"{url} has SHA-256 {found}, and {sha256} is listed; delete {path}, or correct the list if it changed"
        )
    return found


def _bring(url: str, part: Path) -> None:
    """Fill `part`, with as many tries as it takes while something arrives."""
    failures = 0
    for _ in range(_TRIES):
        before = part.stat().st_size if part.exists() else 0
        try:
            return _try(url, part)
        except (
            _CutError,
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            failures = 0 if part.exists() and part.stat().st_size > before else failures + 1
            if failures > len(WAITS):
                said = " ".join(str(error).split())[:160]
                raise InputError(f"{url} is out of reach ({said}); run again, what arrived is kept") from None
            wait = WAITS[max(0, failures - 1)]
            logger.warning("%s: connection failed, trying again in %g s", url, wait)
            time.sleep(wait)
        except requests.RequestException as error:
            raise InputError(f"{url} cannot be fetched: {error}; correct the address") from None
    raise InputError(f"{url} was cut {_TRIES} times; run again, what arrived is kept")


def _try(url: str, part: Path) -> None:
    """Ask once for what is missing of a file."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code == 416:  # nothing is missing, or the file has changed
            if answer.headers.get("Content-Range") == f"bytes */{have}":
                return
            part.unlink()
            raise _CutError("the server cannot resume")
        _refuse(url, answer)
        resumed = answer.status_code == 206
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise _CutError("the server resumes elsewhere")
        have = have if resumed else 0
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        _write(answer, part, have, total)
    if total is not None and part.stat().st_size < total:
        raise _CutError(f"{part.stat().st_size} of {total} bytes arrived")


def _refuse(url: str, answer: requests.Response) -> None:
    """Tell a failure that may pass from an answer that is nonsense."""
    if answer.status_code in _AGAIN:
        raise _CutError(f"HTTP {answer.status_code}")
    if answer.status_code not in (200, 206):
        raise InputError(f"{url} answers HTTP {answer.status_code} {answer.reason}; correct the address or the name")
    kind = answer.headers.get("Content-Type", "")
    if "html" in kind.lower():
        raise InputError(f"{url} answers with a web page ({kind}), not the file; correct the address, or log in there")


def _write(answer: requests.Response, part: Path, have: int, total: int | None) -> None:
    """Append what arrives to `part`, from byte `have` on."""
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise InputError(f"{part.name} needs {total - have:,} bytes more and {part.parent} has {free:,}; make room")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        part.open("r+b" if have else "wb") as file,
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
    ):
        file.seek(have)
        file.truncate()
        task = progress.add_task(part.name.removesuffix(".part"), total=total, completed=have)
        for chunk in answer.iter_content(_CHUNK):
            file.write(chunk)
            progress.advance(task, len(chunk))
