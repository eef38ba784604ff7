"""Where a person may point: never where the pipeline, `make clean` or git would remove or replace what lies there.

A parameter of `params.yaml` that names a file or a folder is an `options.UserPath`. An argument of a command that is
written to carries one of the marks `FOLDER`, `FILE` and `STORE` in its annotation; the command line checks them all,
in `guarded`, before the command begins.
"""

import functools
import inspect
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from morphospace import files
from morphospace.errors import InputError

CLEANED = (".venv", ".venv-cellprofiler", ".venv-sky", ".pytest_cache", ".mypy_cache", ".ruff_cache")  # by `make clean`
_OWN = (".git", ".dvc", "src")  # of the repository itself
_ENDLESS = "is not a file but a named pipe, a socket or a device, which may never end; name a file"
_ANY = "*"  # one step of a path that depends on a parameter
R = TypeVar("R")


class Target(Enum):
    """What a command does with a place that it writes to."""

    FOLDER = "a folder, replaced whole: new, or written by morphospace alone"
    FILE = "a file, which is new"
    STORE = "a file or a folder that is added to; the command knows what of it is its own"


FOLDER, FILE, STORE = Target.FOLDER, Target.FILE, Target.STORE


def of_user(text: str) -> Path:
    """Return the path that a parameter names: absolute, from ``~``, or from the root of the user's repository.

    DVC runs an experiment of ``--temp`` or ``--queue`` in a clone; there, too, the path counts from the repository that
    the clone was made of.
    """
    path = Path(text)
    with suppress(RuntimeError):  # a ~name of nobody here is the name of a folder
        path = path.expanduser()
    return path if path.is_absolute() else files.repository() / path


def checked(text: str) -> str:
    """Return a path that a parameter names, or refuse it: what pydantic calls for an ``options.UserPath``.

    Raises
    ------
    ValueError
        When it is inside or above what the pipeline or `make clean` removes, or is no file or folder.
    """
    if text and (why := _removed(of_user(text))):
        raise ValueError(f"{text} {why}; move your files elsewhere, and name that place")
    if text and _may_never_end(of_user(text)):
        raise ValueError(f"{text} {_ENDLESS}")
    return text


def guarded(run: Callable[..., R]) -> Callable[..., R]:
    """Return a command that first looks at every place that it is told to read, or to write to."""
    hints = get_type_hints(run, include_extras=True)
    marks = {name: mark for name, hint in hints.items() if (mark := mark_of(hint))}
    signature = inspect.signature(run)

    @functools.wraps(run)
    def first_checked(*arguments: Any, **options: Any) -> R:
        given = signature.bind(*arguments, **options)
        given.apply_defaults()
        inputs = [path for name, value in given.arguments.items() if name not in marks for path in _paths(value)]
        for path in filter(_may_never_end, inputs):
            raise InputError(f"{path} {_ENDLESS}")
        for name, mark in marks.items():
            for path in _paths(given.arguments[name]):
                require_target(path, mark, inputs)
        return run(*arguments, **options)

    return first_checked


def mark_of(hint: Any) -> Target | None:
    """Return the mark in a parameter's annotation, or None."""
    return next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Target)), None)


def require_target(path: Path, mark: Target, inputs: Sequence[Path] = ()) -> None:
    """Refuse a place to write to where something else lies, or would be removed.

    Parameters
    ----------
    path
        The place.
    mark
        What is done with it.
    inputs
        What the command reads.

    Raises
    ------
    InputError
        When the place is an input or above one, inside or above what the pipeline or `make clean` removes, or holds
        files that morphospace did not write.
    """
    place = path.resolve()
    for given in inputs:
        if _exists(given) and given.resolve().is_relative_to(place):
            raise InputError(f"{path} would be written over {given}, which is read; name another place to write to")
    if why := _removed(path):
        raise InputError(f"{path} {why}; name another place to write to")
    if mark is FOLDER:
        files.require_own(path)
    elif mark is FILE and path.exists():
        raise InputError(f"{path} is there already; name a new file, or remove it")
    elif place == files.repository().resolve() or place == Path.home().resolve():
        raise InputError(f"{path} holds other things; name a place of its own")


def _paths(value: Any) -> Iterator[Path]:
    """Yield what may be a path in an argument's value; an address (``s3://…``) is none."""
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, Path) or (isinstance(item, str) and item and "://" not in item):
            yield Path(item)


def _removed(path: Path) -> str:
    """Say what would remove a place, or nothing when it is safe."""
    place = path.resolve()
    for parts, shown, what in _dangers():
        inside, above = _fits(place.parts, parts), _fits(parts, place.parts)
        if inside or above:
            return f"{'is' if inside and above else 'lies in' if inside else 'holds'} {shown}, {what}"
    return ""


def _fits(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path begins as a pattern does."""
    steps = zip(path, pattern, strict=False)
    return len(path) >= len(pattern) and all(_ANY in (a, b) or a == b for a, b in steps)


def _dangers() -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield the steps of each place that is no place for a person's files, its name, and what is done there."""
    root = files.repository()
    for output in outputs(root):
        steps = output.split("/")
        known = next((n for n, step in enumerate(steps) if "${" in step), len(steps))
        rest = [_ANY if "${" in step else step for step in steps[known:]]
        what = "an output of the pipeline, which DVC deletes and writes anew"
        yield (*root.joinpath(*steps[:known]).resolve().parts, *rest), output, what
    if (root / ".dvc").is_dir():
        for name in _OWN:
            yield (root / name).resolve().parts, name, "which the repository keeps for itself"
        for name in CLEANED:
            yield (root.resolve() / name).parts, name, "which `make clean` deletes"
    yield files.scratch_root().resolve().parts, "the scratch folder", "where morphospace deletes work in progress"


def _may_never_end(path: Path) -> bool:
    """Whether a place is a named pipe, a socket or a device, on which a reader waits for ever."""
    try:
        mode = path.stat().st_mode
    except (OSError, RuntimeError, ValueError):  # not there, a circle of links, or a text that is no path
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a text that is no path: too long, or in a folder closed to this user
        return False


def outputs(root: Path) -> Sequence[str]:
    """Return the outputs that ``dvc.yaml`` declares, with ``${…}`` where a parameter stands; none without the file."""
    try:
        return _declared((root / "dvc.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return []


@functools.cache
def _declared(text: str) -> Sequence[str]:
    stages = yaml.safe_load(text)["stages"].values()
    entries = [e for stage in stages for key in ("outs", "metrics", "plots") for e in stage.get(key, [])]
    return [next(iter(e)) if isinstance(e, dict) else e for e in entries]
