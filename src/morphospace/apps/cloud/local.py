"""What on this machine decides whether a long push, pull or run succeeds: git, DVC's settings, the disk."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from morphospace import files
from morphospace.apps.cloud import remote as remotes
from morphospace.apps.cloud.bucket import Check
from morphospace.apps.cloud.remote import Remote
from morphospace.errors import InputError

# What a colleague needs to find the data again; DVC's experiments start from their last commit.
OF_RECORD = ("dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config")


class Size(NamedTuple):
    """Bytes."""

    outputs: int  # of dvc.lock
    absent: int  # of those, not in the cache
    cache: int  # all that DVC keeps


def git(root: Path = Path()) -> Check:
    """Look whether there is a commit, and whether it holds what is to be pushed."""
    if shutil.which("git") is None:
        return Check("git", "fail", "git is not installed; `apt-get install -y git`")
    if _git(root, "rev-parse", "--git-dir").returncode:
        return Check("git", "fail", "this is no git repository; `git init`, `git add -A`, `git commit -m start`")
    if _git(root, "rev-parse", "--verify", "HEAD").returncode:
        return Check(
            "git", "fail", "git has no commit, which experiments start from; `git add -A`, `git commit -m start`"
        )
    changed = [line[3:] for line in _git(root, "status", "--porcelain", "--", *OF_RECORD).stdout.splitlines()]
    if changed:
        says = (
            f"not committed: {', '.join(changed)}; a colleague pulls what git says, so `git commit` them after the run"
        )
        return Check("git", "warn", says)
    return Check("git", "ok", f"commit {_git(root, 'rev-parse', '--short', 'HEAD').stdout.strip()}")


def settings(remote: Remote, root: Path = Path()) -> Check:
    """Look at what DVC is told of the remote."""
    secrets = remotes.committed_secrets(root)
    if secrets:
        says = f"secrets in .dvc/config, which git publishes: {', '.join(secrets)}; `dvc remote modify --unset` them, "
        return Check("remote", "fail", says + "make new keys, and keep those in the environment or in ~/.aws")
    if not remote.settings.get("verify"):
        says = f"{remote.name} does not verify, so a truncated object would be pulled unseen; "
        return Check("remote", "warn", says + remote.modify("verify true"))
    return Check("remote", "ok", f"{remote.name} is {remote.url}, what is pulled is verified")


def disk(root: Path = Path()) -> Check:
    """Compare free space with the outputs of ``dvc.lock``: those to pull, and one more version of all."""
    cache = remotes.cache(root)
    there = next(p for p in (cache.absolute(), *cache.absolute().parents) if p.exists())
    free, size = shutil.disk_usage(there).free, measure(root, cache)
    says = f"{_gb(free)} free, DVC's cache {_gb(size.cache)}, the outputs of dvc.lock {_gb(size.outputs)}"
    if free < size.absent:
        return Check(
            "disk", "fail", f"{says}: {_gb(size.absent)} of them are to be pulled; free space, or {_ELSEWHERE}"
        )
    if free < size.outputs:
        return Check("disk", "warn", f"{says}: no room for another version of them; `dvc gc -w`, or {_ELSEWHERE}")
    return Check("disk", "ok", says)


def strangers(root: Path = Path()) -> Check:
    """Look for files in folders that stages write, which the stages did not write: DVC deletes them with the folder."""
    found = [f"{folder}/{name}" for folder, names in _written(root) for name in _names(root / folder) - names]
    if not found:
        return Check("files", "ok", "every file in the folders of the pipeline was written by it")
    first, more = min(found), f" and {len(found) - 1} more" if len(found) > 1 else ""
    says = f"{first}{more}: not written by the pipeline, and DVC deletes the folder when its stage runs again; "
    return Check("files", "fail", says + "move what is yours elsewhere, and delete the rest")


def _written(root: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield each folder of dvc.lock with the files that its stage wrote: as DVC's cache lists them, or else git."""
    kept = remotes.cache(root) / "files" / "md5"
    for out in _outputs(root):
        if out.get("md5", "").endswith(".dir") and (root / out["path"]).is_dir():
            listing = kept / out["md5"][:2] / out["md5"][2:]
            if listing.is_file():
                yield out["path"], {str(entry["relpath"]) for entry in files.read_json(listing)}
            elif len(names := _names(root / out["path"])) > int(out.get("nfiles") or len(names)):
                known = _git(root, "ls-files", "-z", "--", out["path"]).stdout.split("\0")
                yield out["path"], {name.removeprefix(f"{out['path']}/") for name in known}


def _names(folder: Path) -> set[str]:
    return {
        file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file() and not files.is_junk(file)
    }


_ELSEWHERE = "`dvc cache dir --local FOLDER` on a larger disk"


def measure(root: Path, cache: Path) -> Size:
    """Return the size of what ``dvc.lock`` names, of what of it the cache lacks, and of the cache.

    Raises
    ------
    InputError
        When ``dvc.lock`` is not YAML, as after a merge with conflicts.
    """
    outputs = _outputs(root)
    kept = cache / "files" / "md5"
    absent = [o for o in outputs if not (kept / o["md5"][:2] / o["md5"][2:]).exists()]
    in_cache = sum(
        (Path(folder) / name).lstat().st_size for folder, _, names in os.walk(cache / "files") for name in names
    )
    return Size(sum(o.get("size", 0) for o in outputs), sum(o.get("size", 0) for o in absent), in_cache)


def _outputs(root: Path) -> list[dict[str, Any]]:
    """Return the entries of ``dvc.lock`` for what stages wrote."""
    lock = root / "dvc.lock"
    try:
        read = yaml.safe_load(lock.read_text(encoding="utf-8")) if lock.is_file() else {"stages": {}}
        return [o for stage in read["stages"].values() for o in stage.get("outs", [])]
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        raise InputError(
            f"{lock} cannot be read; after a merge, `git checkout --theirs dvc.lock` and `dvc repro`; after a kill, "
            "`morphospace doctor --lock`"
        ) from None


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
