"""Compares the bucket with DVC's cache, object by object: DVC itself believes that a pushed folder stays whole."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from morphospace.apps.cloud.bucket import Check, connect
from morphospace.apps.cloud.remote import Remote, cache

FILES = "files/md5/"  # where DVC keeps objects, in the cache and in the bucket


class Found(NamedTuple):
    """What of the outputs of ``dvc.lock`` the bucket holds; objects by their hash."""

    whole: set[str]
    unsent: set[str]  # outputs that `dvc push` will send
    spoilt: set[str]  # objects lost from a folder, or of another size than in the cache
    lists: set[str]  # of the folders that spoilt objects belong to, while the bucket has them
    absent: set[str]  # spoilt objects that this cache cannot replace


def check(remote: Remote, root: Path = Path(), mend: bool = False) -> Check:
    """Compare presence and size of all objects; if `mend`, delete what is spoilt, so that `dvc push` sends it again.

    Nothing is deleted unless the cache has every object that is to replace another.

    Raises
    ------
    botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError
        When the bucket does not answer; ask it first.
    """
    client = connect(remote).client
    found = compare(list(_outputs(root)), cache(root) / FILES, _sizes(client, remote))
    if not found.spoilt:
        says = f"{len(found.whole)} of dvc.lock are in the bucket, of the right size"
        more = f"; {len(found.unsent)} outputs are not, `dvc push` sends them" if found.unsent else ""
        return Check("objects", "warn" if found.unsent else "ok", says + more)
    says = f"{len(found.spoilt)} lost or torn, which `dvc push` does not see: {', '.join(sorted(found.spoilt)[:3])}"
    if found.absent:
        return Check(
            "objects", "fail", f"{says}; `morphospace doctor --objects --mend` where the cache has them, not here"
        )
    if not mend:
        return Check("objects", "fail", f"{says}; `morphospace doctor --objects --mend`, then `dvc push`")
    for name in sorted(found.lists) + sorted(found.spoilt):  # lists first: without them nobody pulls half a folder
        client.delete_object(Bucket=remote.bucket, Key=f"{remote.prefix}{FILES}{_path(name)}")
    return Check("objects", "warn", f"{says}; deleted, now `dvc push`")


def compare(outputs: list[str], kept: Path, sizes: dict[str, int]) -> Found:
    """Return what the bucket holds of the outputs.

    Parameters
    ----------
    outputs
        Hashes of files, and of the lists of folders, which end in ``.dir``.
    kept
        Folder of the cache's objects.
    sizes
        Bytes of each object in the bucket.
    """
    found = Found(set(), set(), set(), set(), set())
    for output in outputs:
        if output not in sizes:
            found.unsent.add(output)
            continue
        names = [output, *_members(kept / _path(output))]
        bad = {name for name in names if not _matches(kept / _path(name), sizes.get(name))}
        found.whole.update(set(names) - bad)
        found.spoilt.update(bad)
        if bad and output.endswith(".dir"):
            found.lists.add(output)
    needed = found.spoilt | found.lists
    found.absent.update(name for name in needed if not (kept / _path(name)).is_file())
    return found


def _matches(path: Path, size: int | None) -> bool:
    """Whether an object is in the bucket, and of the cache's size when the cache has it."""
    return size is not None and (not path.is_file() or path.stat().st_size == size)


def _members(path: Path) -> list[str]:
    """Return the objects that a folder's list names; none when it is a file, or the cache has no list."""
    if path.suffix != ".dir" or not path.is_file():
        return []
    return [entry["md5"] for entry in json.loads(path.read_text(encoding="utf-8"))]


def _path(name: str) -> str:
    return f"{name[:2]}/{name[2:]}"


def _outputs(root: Path) -> Iterator[str]:
    """Yield the hashes of what DVC pushes; metrics and figures are in git."""
    from dvc.repo import Repo

    with Repo(str(root.absolute())) as repository:
        for out in repository.index.outs:
            if out.use_cache and out.hash_info:
                yield out.hash_info.value


def _sizes(client: Any, remote: Remote) -> dict[str, int]:
    """Return the size of every object that DVC keeps in the bucket, by its hash."""
    prefix = f"{remote.prefix}{FILES}"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=remote.bucket, Prefix=prefix)
    listed = (entry for page in pages for entry in page.get("Contents", []))
    return {entry["Key"].removeprefix(prefix).replace("/", ""): entry["Size"] for entry in listed}
