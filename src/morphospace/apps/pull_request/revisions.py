"""What git holds at a revision: names and contents of files, read from the object store, never from the disk."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from morphospace.errors import InputError


@dataclass(frozen=True)
class Revision:
    """A commit under the name it was asked for, and the blob of every file below the paths of interest."""

    name: str
    commit: str
    blobs: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: str) -> str:
        """Return the text of a file that is in `blobs`; bytes that are not UTF-8 are replaced."""
        return _git("cat-file", "blob", self.blobs[path])


def pair(base: str, head: str, paths: Sequence[str]) -> tuple[Revision, Revision]:
    """Return where `head` parted from `base`, and `head`.

    What others put on `base` since then is no change of `head`, so the common ancestor stands for `base`, as on a
    pull request.

    Parameters
    ----------
    base, head
        Branches, tags, commits, or names of DVC's experiments.
    paths
        Files and folders from the root of the repository; others are not listed.

    Raises
    ------
    InputError
        When git is not here, this is no repository, a name is unknown, or the histories do not meet.
    """
    first, last = _commit(base), _commit(head)
    try:
        fork = _git("merge-base", first, last).strip()
    except InputError:
        raise InputError(
            f"{base!r} and {head!r} have no commit in common here; a shallow clone lacks it: `git fetch --unshallow`"
        ) from None
    return Revision(base, fork, _blobs(fork, paths)), Revision(head, last, _blobs(last, paths))


def _commit(name: str) -> str:
    # A name that starts with a hyphen would be an option of git.
    if not name.startswith("-") and name:
        _git("rev-parse", "--git-dir")
        for ref in (name, *_experiments(name)):
            try:
                return _git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").strip()
            except InputError:
                continue
    raise InputError(f"git knows no revision {name!r} here; bring it with `git fetch origin`, or mend the name")


def _experiments(name: str) -> list[str]:
    """Return where DVC keeps the experiments of that name, ``refs/exps/XX/YYYY/NAME``, the newest first."""
    refs = _git("for-each-ref", "--sort=-committerdate", "--format=%(refname)", "refs/exps").splitlines()
    return [ref for ref in refs if ref.split("/", 4)[4:] == [name]]


def _blobs(commit: str, paths: Sequence[str]) -> dict[str, str]:
    """Return path and blob of the files; with ``-z`` git quotes no name."""
    listed = _git("ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
    entries = (line.split("\t", 1) for line in listed.split("\0") if line)
    return {path: head.split()[2] for head, path in entries if head.split()[1] == "blob"}


def _git(*arguments: str) -> str:
    """Return what git says.

    Raises
    ------
    InputError
        With git's own first line when it fails.
    """
    try:
        out = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise InputError("git is not installed; it holds the revisions to compare") from None
    if out.returncode:
        said = out.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise InputError(f"`git {arguments[0]}` failed: {said[0]}")
    return out.stdout.decode("utf-8", "replace")
