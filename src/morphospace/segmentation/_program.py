"""Starts the real CellProfiler without its window, watches over its processes, and reads why one failed."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from morphospace.errors import EngineError

_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception|Exit)\b: ?(?P<text>.*)")
_MODULE = re.compile(r"^Error detected during run of module (?P<module>\w+)")
TICK = 0.2  # seconds between two looks at the processes
# Java only decodes images: a fast start matters more than fast code, and saves a fifth of a short run.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


class Program(NamedTuple):
    """Where CellProfiler and its Java are."""

    executable: Path
    java_home: Path


@dataclass
class Run:
    """One process: a pipeline over the rows of a table, in a folder of its own."""

    folder: Path
    pipeline: str  # text
    rows: Sequence[Mapping[str, str]]
    keep_going: bool  # after an image set that fails
    code: int | None = field(default=None)  # exit status, None while it runs

    @property
    def outputs(self) -> Path:
        """Folder that the pipeline writes to."""
        return self.folder / "out"

    @property
    def complete(self) -> bool:
        """Whether CellProfiler says that it got to the end; it says so of empty work, too: count the outputs."""
        done = self.folder / "done"
        return self.code == 0 and done.is_file() and done.read_text(encoding="utf-8").strip() == "Complete"

    def complaint(self) -> str:
        """Return one line that says why the run failed, from what CellProfiler printed."""
        text = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
        modules = [m["module"] for line in text.splitlines() if (m := _MODULE.match(line))]
        reasons = [m["text"] for line in text.splitlines() if (m := _EXCEPTION.match(line))]
        if reasons:
            return f"{modules[-1]}: {reasons[-1]}" if modules else reasons[-1]
        if self.complete:
            return "CellProfiler ended well but wrote no result; does the pipeline name a module that it lacks?"
        return f"CellProfiler ended with status {self.code} and said nothing"


def find() -> Program:
    """Return where CellProfiler and Java are.

    CellProfiler: ``MORPHOSPACE_CELLPROFILER``, or ``.venv-cellprofiler`` beside this environment, or the search path.
    Java: ``JAVA_HOME``, or the `java` of the search path, or ``/usr/lib/jvm``.

    Raises
    ------
    EngineError
        When one of them is missing, with what to do.
    """
    wanted = os.environ.get("MORPHOSPACE_CELLPROFILER")
    beside = Path(sys.prefix).parent / ".venv-cellprofiler" / "bin" / "cellprofiler"
    found = Path(wanted) if wanted else beside if beside.is_file() else Path(shutil.which("cellprofiler") or "")
    if not (found.is_file() and os.access(found, os.X_OK)):
        where = f"MORPHOSPACE_CELLPROFILER={wanted}" if wanted else f"{beside} or on the search path"
        raise EngineError(f"no CellProfiler at {where}; run environments/setup.sh, or set segment.engine to native")
    return Program(found.absolute(), _java_home())


def _java_home() -> Path:
    """Return the folder of a Java that CellProfiler can load."""
    wanted, java = os.environ.get("JAVA_HOME"), shutil.which("java")
    if wanted:
        homes = [Path(wanted)]
    else:
        homes = [Path(java).resolve().parent.parent] if java else []
        homes += sorted(Path("/usr/lib/jvm").glob("*"))
    for home in homes:
        if home.is_dir() and next(home.rglob("libjvm.so"), None):
            return home
    where = f"JAVA_HOME={wanted}" if wanted else "JAVA_HOME, on the search path or in /usr/lib/jvm"
    raise EngineError(
        f"no Java at {where}, which CellProfiler needs; run apt-get install -y openjdk-17-jre-headless, "
        "or set segment.engine to native"
    )


def supervise(runs: Iterator[Run], program: Program, jobs: int) -> Iterator[Run]:
    """Keep `jobs` processes busy; yield each run over and over while it works, and once more when it has ended.

    All processes are ended when the caller stops, is interrupted, or is told to terminate.
    """
    active: list[tuple[Run, subprocess.Popen[bytes]]] = []
    with _ended(active):
        while True:
            while len(active) < jobs and (run := next(runs, None)):
                active.append((run, _start(run, program)))
            if not active:
                return
            time.sleep(TICK)
            for run, process in list(active):
                run.code = process.poll()
                if run.code is not None:
                    active.remove((run, process))
                yield run


def _start(run: Run, program: Program) -> "subprocess.Popen[bytes]":
    """Write a run's pipeline and table into an empty folder and start CellProfiler on them."""
    shutil.rmtree(run.folder, ignore_errors=True)
    folder = run.folder.absolute()
    (folder / "tmp").mkdir(parents=True)
    (folder / "pipeline.cppipe").write_text(run.pipeline, encoding="utf-8")
    with (folder / "images.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(run.rows[0]))
        table.writeheader()
        table.writerows(run.rows)
    command = [str(program.executable), "-L", "40", "-c", "-r", "-p", "pipeline.cppipe", "--data-file", "images.csv"]
    command += ["-o", str(folder / "out"), "-t", str(folder / "tmp"), "-d", str(folder / "done")]
    command += ["--always-continue"] if run.keep_going else []
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS")}
    settings = {"JAVA_HOME": str(program.java_home), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    settings["JAVA_TOOL_OPTIONS"] = f"{JAVA_OPTIONS} {inherited.get('JAVA_TOOL_OPTIONS', '')}".strip()
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=inherited | settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@contextmanager
def _ended(active: "list[tuple[Run, subprocess.Popen[bytes]]]") -> Iterator[None]:
    """End every process group still at work when the block ends, also when this process is told to terminate."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, leave) if main else None
    try:
        yield
    finally:
        for _, process in active:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if main:
            signal.signal(signal.SIGTERM, before)
