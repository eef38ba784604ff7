"""The command ``doctor``: whether a long push, pull or run can succeed, asked before it starts."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from morphospace import params
from morphospace.apps.cloud import bucket, local, lockfile, objects, queue, remote
from morphospace.apps.cloud.bucket import Check
from morphospace.errors import InputError, MorphospaceError
from morphospace.segmentation import _program

COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def run(
    read_only: Annotated[bool, typer.Option("--read-only", help="Write nothing; for keys that may only pull.")] = False,
    every: Annotated[bool, typer.Option("--objects", help="Compare every object with the cache, too.")] = False,
    mend: Annotated[bool, typer.Option("--mend", help="Delete lost or torn objects, for `dvc push` to send.")] = False,
    lock: Annotated[bool, typer.Option("--lock", help="Look at dvc.lock alone; say nothing when it is well.")] = False,
    local_only: Annotated[
        bool, typer.Option("--files", help="Only look for files of yours where DVC deletes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
    name: Annotated[str, typer.Option("--remote", "-r", help="DVC's remote to ask; the default one by default.")] = "",
) -> None:
    """Ask the bucket once, with a time-out of 5 s, and look at git, disk and environments.

    A long push to a bucket that refuses fails late, or never: DVC tries each file anew. The bucket is asked as DVC
    would ask it (.dvc/config, .dvc/config.local, AWS_* and the AWS profile): for a listing, then to write, read and
    delete one small object. Each failure says what to do; the exit code is 1 when there is one.

    `morphospace doctor && dvc push --run-cache`

    A dvc.lock that a kill left empty or torn is kept aside, and the last good one that git has is brought back; `make
    repro` asks for that first (`--lock`). With `--read-only` it is only named.

    Files of yours in a folder that a stage writes would be deleted when the stage runs again: they are named
    (`--files` looks for them alone, as `make repro` does first). So is an experiment of the queue whose worker was
    killed, with the lines to type.

    DVC takes a folder that was pushed once for whole. `--objects` compares presence and size of each object that
    dvc.lock names with the cache; `--mend` removes those that are spoilt, and their folder's list, from the bucket.
    """
    logging.getLogger("botocore").setLevel(logging.CRITICAL)  # its tracebacks are said in a line below
    if mend and (read_only or not every):
        raise InputError("--mend deletes objects: give --objects with it, and not --read-only")
    if lock:  # in a script that goes on: silent when all is well
        checks = [check for check in _lock(not read_only) if check.verdict != "ok"]
    else:
        checks = [local.strangers()] if local_only else list(_checks(name, not read_only, every, mend))
    failed = sum(check.verdict == "fail" for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "checks": [check._asdict() for check in checks]}, indent=2))
    else:
        _show(checks)
    if failed:
        raise typer.Exit(1)


def _checks(name: str, write: bool, every: bool, mend: bool) -> Iterator[Check]:
    """Yield all checks, the quick ones first."""
    yield from _lock(write)
    yield from _tried("git", lambda: iter([local.git()]))
    yield from _tried("files", lambda: iter([local.strangers()]))
    yield from _tried("queue", lambda: iter([queue.stuck()]))
    yield from _tried("disk", lambda: iter([local.disk()]))
    yield from _tried("engine", lambda: iter([_engine()]))
    yield from _tried("torch", lambda: iter([_torch()]))
    yield from _tried("remote", lambda: _bucket(name, write, every, mend))


def _lock(write: bool) -> Iterator[Check]:
    """Look at what every command of DVC reads first."""
    yield from _tried("claims", lambda: iter([lockfile.claims(mend=write)]))
    yield from _tried("lock", lambda: iter([lockfile.check(mend=write)]))
    yield from _tried("transfers", lambda: iter([lockfile.transfers(mend=write)]))


def _tried(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """Yield the checks; a mistake of the user that stops them is a failure of its own."""
    try:
        yield from look()
    except MorphospaceError as error:
        yield Check(name, "fail", str(error))


def _bucket(name: str, write: bool, every: bool, mend: bool) -> Iterator[Check]:
    """Look at DVC's settings, then ask the bucket."""
    chosen = remote.read(Path(), name)
    yield local.settings(chosen)
    if not chosen.is_s3:
        yield Check("bucket", "warn", f"{chosen.url} is no S3 bucket, and was not asked")
        return
    answers = list(bucket.ask(chosen, write))
    yield from answers
    if every and answers[-1].verdict != "fail":
        yield objects.check(chosen, mend=mend)


def _engine() -> Check:
    """Look for the segmentation engine that params.yaml chooses."""
    engine = params.load().segment.engine
    if engine != "cellprofiler":
        return Check("engine", "ok", f"{engine}, which needs nothing more")
    return Check("engine", "ok", f"CellProfiler at {_program.find().executable}")


def _torch() -> Check:
    """Look for torch and for the GPU that it can use."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("torch", "fail", f"torch cannot be loaded ({error}); `make clean env`")
    if torch.cuda.is_available():
        return Check("torch", "ok", f"{torch.__version__} on {torch.cuda.get_device_name()}")
    if shutil.which("nvidia-smi"):
        says = (
            f"torch {torch.__version__} cannot use the NVIDIA GPU of this machine; install PyPI's CUDA build of torch "
        )
        return Check("torch", "warn", says + "(docs/dependencies.md), or look at `nvidia-smi`")
    return Check("torch", "ok", f"{torch.__version__} on {len(os.sched_getaffinity(0))} processors; there is no GPU")


def _show(checks: list[Check]) -> None:
    """Show the checks: a table on a terminal, else a line each."""
    console = Console()
    if not console.is_terminal:
        for check in checks:
            typer.echo(f"{check.verdict:5} {check.name:12} {check.says}")
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        table.add_row(Text(check.verdict, COLOURS[check.verdict]), check.name, Text(check.says, overflow="fold"))
    console.print(table)
