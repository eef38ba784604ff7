"""Experiments of DVC's queue whose worker was killed: DVC shows them as running for ever."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml

from morphospace.apps.cloud.bucket import Check

_RUNNING = 2  # dvc.repo.experiments.executor.base.TaskStatus
_OF_QUEUE = "dvc-task"


def stuck(root: Path = Path()) -> Check:
    """Look for experiments that DVC takes for running and no process works on; say what to type for the first."""
    dead = {path.stem: info for path, info in _dead(root / ".dvc" / "tmp" / "exps" / "run")}
    found = [dead[revision] for revision in _active(root) if revision in dead] if dead else []
    if not found:
        return Check("queue", "ok", "every experiment that `dvc queue status` calls Running is at work")
    names = ", ".join(str(info["name"]) for info in found)
    first = found[0]
    lines = [f"dvc queue kill {first['name']}", f"dvc exp run --queue {_changes(root, first)}", "dvc queue start"]
    said = "`, `".join(lines)
    return Check("queue", "warn", f"{names}: called Running, but its worker was killed; type `{said}` to run it again")


def _active(root: Path) -> list[str]:
    """Return the commits of the experiments that DVC's queue calls running."""
    from dvc.repo import Repo  # takes seconds to import

    with Repo(str(root)) as repo:
        return [str(entry.stash_rev) for entry in repo.experiments.celery_queue.iter_active()]


def _dead(runs: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield DVC's record of each experiment that was last seen at work in the queue, and is not."""
    for path in sorted(runs.glob("*/*.run")):
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # being written, or of another version of DVC
        if info.get("status") == _RUNNING and info.get("location") == _OF_QUEUE and not _alive(path):
            yield path, {**info, "name": info.get("name") or path.stem[:7]}


def _alive(path: Path) -> bool:
    """Whether the process that DVC started for a record lives; its number may have gone to another process since."""
    try:
        command = psutil.Process(int(path.with_suffix(".pid").read_text(encoding="utf-8"))).cmdline()
    except (OSError, ValueError, psutil.Error):
        return False
    return any(path.stem in word for word in command)


def _changes(root: Path, info: Mapping[str, Any]) -> str:
    """Return the values that the experiment changes, as options of `dvc exp run`, so far as its clone tells them."""
    shown = ["git", "show", f"{info.get('baseline_rev')}:params.yaml"]
    before = subprocess.run(shown, cwd=root, capture_output=True, text=True, check=False)
    try:
        there = (Path(str(info.get("root_dir"))) / "params.yaml").read_text(encoding="utf-8")
        old, new = (_flat(yaml.safe_load(text)) for text in (before.stdout, there))
    except (OSError, yaml.YAMLError):
        old, new = {}, {}
    changed = [f"-S '{key}={json.dumps(value)}'" for key, value in new.items() if key in old and old[key] != value]
    return " ".join([f"-n {info['name']}", *(changed or ["-S 'the same values'"])])


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix.rstrip("."): values}
    return {k: v for key, value in values.items() for k, v in _flat(value, f"{prefix}{key}.").items()}
