"""What differs between two revisions: parameters, metrics, stages of ``dvc.lock``, pictures."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml

from morphospace.apps.pull_request.revisions import Revision

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "absent"})()
_PICTURES = {".png", ".svg", ".jpg", ".jpeg", ".gif"}
# What a reader looks at first; the rest follows by name.
_FIRST = ("similarity/random", "similarity/bars", "similarity/", "training/", "latent/")
_KINDS = {"cmd": "command", "params": "parameters", "outs": "outputs"}


@dataclass(frozen=True)
class Change:
    """A key and its value at both revisions; `ABSENT` where there is none."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Changes:
    """Everything that differs. `before` and `after` hold all metrics by file and key, changed or not."""

    base: Revision
    head: Revision
    params: list[Change] = field(default_factory=list)
    metrics: list[Change] = field(default_factory=list)
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    stages: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def between(base: Revision, head: Revision, params: str, lock: str, metrics: str) -> Changes:
    """Return what changed from `base` to `head`.

    Files that cannot be parsed are named in `unreadable` and count as empty: a pull request that mends one must be
    shown too.

    Parameters
    ----------
    base, head
        Revisions, with the blobs of all files of interest.
    params, lock, metrics
        Where the parameters, DVC's lock file and the folder of JSON metrics stand in the repository.
    """
    unreadable: list[str] = []

    def flat(revision: Revision, path: str) -> dict[str, Any]:
        return dict(_flat(_contents(revision, path, unreadable)))

    numbers = {p for p in {**base.blobs, **head.blobs} if p.startswith(f"{metrics}/") and p.endswith(".json")}
    before, after = (
        {f"{PurePosixPath(p).stem}: {k}": v for p in sorted(numbers) for k, v in flat(revision, p).items()}
        for revision in (base, head)
    )
    differing = sorted(p for p in {**base.blobs, **head.blobs} if base.blobs.get(p) != head.blobs.get(p))
    drawn = [p for p in differing if PurePosixPath(p).suffix.lower() in _PICTURES]
    return Changes(
        base=base,
        head=head,
        params=_differences(flat(base, params), flat(head, params)),
        metrics=_differences(before, after),
        before=before,
        after=after,
        stages=_stages(_contents(base, lock, unreadable), _contents(head, lock, unreadable)),
        pictures=sorted(drawn, key=_rank),
        others=[p for p in differing if p not in numbers | {params, lock} | set(drawn)],
        unreadable=unreadable,
    )


def _contents(revision: Revision, path: str, unreadable: list[str]) -> dict[str, Any]:
    if path not in revision.blobs:
        return {}
    text = revision.read(path)
    try:
        loaded = json.loads(text) if path.endswith(".json") else yaml.safe_load(text)
        # YAML knows dates, keys that are no text and aliases in a circle: all become what JSON can say, or are refused.
        found = json.loads(json.dumps(loaded, default=str, skipkeys=True))
    except (ValueError, RecursionError, yaml.YAMLError):
        found = None
    if not isinstance(found, dict):
        unreadable.append(f"{path} at {revision.commit[:7]}")
        return {}
    return found


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and plain values; lists stay whole."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    found = [Change(k, before.get(k, ABSENT), after.get(k, ABSENT)) for k in {**before, **after}]
    return [c for c in found if _canonical(c.before) != _canonical(c.after)]


def _canonical(value: Any) -> str:
    """As text: True is not 1, NaN is itself, and the order of keys is no difference."""
    return repr(value) if value is ABSENT else json.dumps(value, sort_keys=True)


def _stages(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return stages whose entry in the lock differs, and in what."""
    old, new = (_mapping(lock.get("stages")) for lock in (before, after))
    found = []
    for name in {**old, **new}:
        if name not in old or name not in new:
            found.append((str(name), "new stage" if name in new else "removed"))
        elif parts := _parts(_mapping(old[name]), _mapping(new[name])):
            found.append((str(name), ", ".join(parts)))
    return found


def _parts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say which parts of a stage's entry differ: command, code, data, parameters, outputs."""
    found = [word for key, word in _KINDS.items() if _canonical(old.get(key)) != _canonical(new.get(key))]
    first, second = _hashes(old.get("deps")), _hashes(new.get("deps"))
    paths = [p for p in {**first, **second} if first.get(p) != second.get(p)]
    code = [p for p in paths if p.startswith("src/")]
    if code:
        found.insert(0, f"code ({len(code)} file{'s'[: len(code) != 1]})")
    if len(paths) > len(code):
        found.insert(bool(code), "data")
    return found


def _hashes(entries: Any) -> dict[str, str]:
    if not isinstance(entries, list):
        return {}
    return {str(e.get("path")): _canonical(e.get("md5")) for e in entries if isinstance(e, dict)}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _rank(path: str) -> tuple[int, str]:
    return next((i for i, name in enumerate(_FIRST) if name in path), len(_FIRST)), path
