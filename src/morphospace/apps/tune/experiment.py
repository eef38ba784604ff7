"""One trial as a DVC experiment: ``dvc exp run --temp`` in a process of its own, watched, stopped, read."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from morphospace.errors import InputError
from morphospace.supervision import VARIABLE, Watcher

_BUSY = "Unable to acquire lock"  # another DVC command, such as the start of another trial
_STARTS = 5
_DULL = re.compile(r"^ERROR: failed to reproduce|^\s*$|^Having any troubles|^\s*dvc exp|^To apply")


class Experiment:
    """A running ``dvc exp run --temp`` of one target, in its own session: it ends by its watcher's word alone.

    Parameters
    ----------
    name
        Of the DVC experiment.
    changes
        Values of ``params.yaml`` by dotted key.
    target
        The stage to run, with what it needs.
    folder
        For the rows and what DVC prints.
    jobs
        Processes or threads that it may use.
    """

    def __init__(self, name: str, changes: Mapping[str, Any], target: str, folder: Path, jobs: int) -> None:
        self.name = name
        self.watcher = Watcher(folder / f"{name}.jsonl")
        self.log = folder / f"{name}.log"
        self.began = time.monotonic()
        self.told_to_stop = False
        self._target, self._jobs, self._starts = target, jobs, 0
        self._changes = [f"--set-param={key}={_text(value)}" for key, value in changes.items()]
        self._start()

    def _start(self) -> None:
        here = Path(sys.executable).parent
        environment = os.environ | {
            VARIABLE: str(self.watcher.path),
            "MORPHOSPACE_JOBS": str(self._jobs),
            "PATH": f"{here}{os.pathsep}{os.environ.get('PATH', '')}",  # the stages call python by its name
        }
        command = ["exp", "run", "--temp", "--name", self.name, *self._changes, self._target]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dvc", *command],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C in the terminal does not reach it
            )
        self._starts += 1

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs; a start that met another DVC command is tried again."""
        code = self._process.poll()
        if code and _BUSY in self.said() and self._starts < _STARTS and not self.told_to_stop:
            self._start()
            return None
        return code

    def stop(self) -> None:
        """Let it go: the training stops at its next minibatch, and DVC clears up behind it."""
        self.told_to_stop = True
        self.watcher.let_go()

    def said(self) -> str:
        """Return what DVC and the stages have printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def reason(self) -> str:
        """Return the line that says why it failed."""
        lines = [" ".join(line.split()) for line in self.said().splitlines() if not _DULL.search(line)]
        errors = [line for line in lines if line.startswith("error:")] or [
            line for line in lines if line.startswith("ERROR:") or re.match(r"[A-Za-z.]+Error:", line)
        ]
        return (errors or lines or ["it said nothing"])[-1][:300]


def bring(target: str) -> None:
    """Run ``dvc repro`` of a target in the working folder, so that no trial has to.

    Raises
    ------
    InputError
        With DVC's last line when it fails.
    """
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", target], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if not _DULL.search(line)]
        raise InputError(f"`dvc repro {target}` failed: {' '.join((said or ['no message'])[-1].split())}")


def measured(name: str, path: str) -> dict[str, Any]:
    """Return a metrics file of an experiment, as DVC keeps it."""
    import dvc.api

    found: dict[str, Any] = dvc.api.metrics_show(path, rev=name)
    return found


def _text(value: Any) -> str:
    """Return a value as ``dvc exp run --set-param`` reads it: floats with all their digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else f"'{value}'"
