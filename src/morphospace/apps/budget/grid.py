"""The members of a grid, from what `dvc exp run -S` takes, each validated as a run would validate it."""

import difflib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from morphospace import params
from morphospace.errors import ParameterError


class Member(NamedTuple):
    """One member: its name, the values that differ from params.yaml as they were typed, and all of its parameters."""

    name: str
    changes: list[str]
    options: params.Params


def members(settings: Sequence[str], path: Path = Path("params.yaml")) -> list[Member]:
    """Return the Cartesian product of settings such as ``z_dim=75,150``, in the order in which DVC queues them.

    Without settings it is params.yaml as it stands. DVC's own parser reads them, so that what is planned here and
    what `dvc exp run --queue` is given mean the same.

    Raises
    ------
    ParameterError
        When a key is not in params.yaml (with the nearest one), a setting cannot be read, or a value is refused.
    """
    params.load(path)
    _check_keys(settings, path)
    return [_member(list(changes), path) for changes in _product(settings)]


def _check_keys(settings: Sequence[str], path: Path) -> None:
    known = _flat(yaml.safe_load(path.read_text(encoding="utf-8")))
    for setting in settings:
        key, equals, _ = setting.partition("=")
        key = key.removeprefix("params.yaml:")
        if not equals:
            raise ParameterError(f"-S {setting} has no value; type -S key=value, or key=value,value,…")
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ParameterError(f"-S {setting}: params.yaml has no key {key!r}{hint}")


def _flat(values: dict[str, Any], prefix: str = "") -> list[str]:
    """Return every key of nested sections, sections too, joined by dots."""
    found = []
    for name, value in values.items():
        found.append(f"{prefix}{name}")
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
    return found


def _product(settings: Sequence[str]) -> list[list[str]]:
    """Let DVC multiply the settings out."""
    if not settings:
        return [[]]
    # Both are what `dvc exp run -S` calls; hydra is slow to import.
    from dvc.exceptions import DvcException
    from dvc.utils.cli_parse import to_path_overrides
    from dvc.utils.hydra import get_hydra_sweeps
    from hydra.errors import HydraException

    try:
        sweeps = get_hydra_sweeps(to_path_overrides(settings))
    except (DvcException, HydraException) as error:
        raise ParameterError(f"-S {' -S '.join(settings)}: {' '.join(str(error).split())}") from None
    return [changes for sweep in sweeps for changes in sweep.values()]


def _member(changes: list[str], path: Path) -> Member:
    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    with tempfile.TemporaryDirectory(prefix="morphospace-") as folder:
        copy = Path(folder) / "params.yaml"
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        try:
            if changes:
                apply_overrides(copy, changes)
            options = params.load(copy)
        except (DvcException, ParameterError) as error:
            reason = error.__cause__ if isinstance(error, DvcException) and error.__cause__ else error
            raise ParameterError(f"-S {' -S '.join(changes)}: {' '.join(str(reason).split())}") from None
    return Member(" ".join(changes) or "params.yaml", changes, options)
