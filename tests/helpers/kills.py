"""Commands killed at random moments and run again, until all of it is done: every byte is as if nothing had happened.

A signal goes to the whole process group, or to one process of it. What a person types afterwards is the same command.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
import yaml
from checkout import Checkout, workers
from checkout import queue as states

from morphospace import schema
from morphospace.apps.cloud.server import Server

# A plate small enough that a run takes a minute, large enough that every stage has work for two processes.
SMALL = {
    "z_dim": 4,
    "synthetic": {"plates": 2, "wells": 6, "sites": 1, "height": 256, "width": 320, "cells": 8},
    "validate": {"fields": 1},
    "synthesize": {"size": 64},
    "train": {"epochs": 4, "pictures": 2},
    "canonical_vae": {"copies": 600, "components": 100, "mend_width": 16},
    "similarity": {"bootstrap": 100},
    "dose": {"bootstrap": 100},
    "moa": {"permutations": 100},
}
# What says how long it took, or shows that: no two runs are alike in it.
TIMED = (
    "data/timings",
    "data/budget.csv",
    "reports/metrics/budget",
    "reports/records/budget",
    "reports/records/train",  # images per second
    "reports/figures/budget",
    "reports/report",
)
REPRO = [sys.executable, "-m", "dvc", "repro"]
_TRANSFER = 4.0  # seconds that a push or a pull of a small run takes, about
_NOTICED = 5.0  # seconds after which a busy server has dropped what a killed client was sending
_ALONE = 20  # looks without a worker, after which none is coming up
_A_PASS = 13  # kills of one run of the pipeline, at most: the next has another engine
AFTER_KILL = 0.5  # seconds in which what was killed lets go of its files


@dataclass
class Tally:
    """What was done to whom."""

    kills: int = 0
    passes: int = 0
    by_signal: Counter[str] = field(default_factory=Counter)
    by_work: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)


class Killer:
    """Runs a command again and again, and kills it after a random time, as often as it is told to.

    Parameters
    ----------
    seed
        Of times, signals and victims. (What a victim is doing then depends on the machine.)
    longest
        Seconds that it is left to run at most before a kill, and 1 at least.
    say
        Is told of every kill.
    """

    def __init__(self, seed: int, longest: float, say: Callable[[str], None] = lambda said: None) -> None:
        self.chance, self.longest, self.tally, self.say = random.Random(seed), longest, Tally(), say

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        kills: int,
        work: Callable[[str], str] = str,
        mend: Callable[[], str] = str,
        longest: float | None = None,
    ) -> str:
        """Run a command until it ends by itself, killed `kills` times at most; return what it said last.

        Parameters
        ----------
        work
            Names what was being done, of all that the killed command said.
        mend
            Called before each run; says what it had to mend.
        longest
            Seconds that this command is left to run at most before a kill: of one that takes less than most.
        """
        left = kills
        while True:
            if mended := mend():
                self.tally.mended[mended] += 1
            log = folder.parent / "killed.log"
            with log.open("w") as out:
                process = subprocess.Popen(
                    command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
                )
                if not left:
                    code = process.wait()
                    said = log.read_text()
                    assert code == 0, f"{' '.join(command)}\n{said[-4000:]}"
                    return said
                try:
                    code = process.wait(self._patience(longest))
                except subprocess.TimeoutExpired:
                    self._kill(process, work(log.read_text()))
                    left -= 1
                    continue
            assert code == 0, f"{' '.join(command)}\n{log.read_text()[-4000:]}"
            return log.read_text()

    def _patience(self, longest: float | None) -> float:
        """Return seconds until a kill: as often between 1 and 2 as between 30 and 60, or evenly up to `longest`."""
        if longest:
            return self.chance.uniform(0, longest)
        return float(self.longest ** self.chance.random())

    def _kill(self, process: "subprocess.Popen[bytes]", work: str) -> None:
        sign = self.chance.choice([signal.SIGKILL, signal.SIGTERM])
        group = _group(process.pid)
        if self.chance.random() < 0.3 and len(group) > 1:  # one of them; the rest ends when it notices, or is ended
            self._signal(self.chance.choice(group), sign)
            time.sleep(self.chance.uniform(0, 2))
        for victim in _group(process.pid):
            self._signal(victim, sign)
        process.wait()
        for late in _group(process.pid):  # a worker whose parent is gone, or that is busy ending well
            psutil.wait_procs([late], timeout=20)
            self._signal(late, signal.SIGKILL)
        time.sleep(AFTER_KILL)
        self._count(sign, work)

    def everything(self, folder: Path) -> None:
        """Kill every process that works below a folder, and count it as one kill."""
        victims = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(folder) and process.pid != os.getpid():
                    victims.append(process)
        sign = self.chance.choice([signal.SIGKILL, signal.SIGTERM])
        for victim in victims:
            self._signal(victim, sign)
        _, late = psutil.wait_procs(victims, timeout=20)
        for victim in late:
            self._signal(victim, signal.SIGKILL)
        self._count(sign, "queue")

    def _count(self, sign: signal.Signals, work: str) -> None:
        self.tally.kills += 1
        self.tally.by_signal[sign.name] += 1
        self.tally.by_work[work] += 1
        self.say(f"kill {self.tally.kills}: {sign.name} in {work}")

    @staticmethod
    def _signal(victim: psutil.Process, sign: signal.Signals) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.send_signal(sign)


def _group(leader: int) -> list[psutil.Process]:
    """The living processes of a process group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return found


def small(folder: Path, engine: str) -> Checkout:
    """Return a checkout in which nothing has run yet."""
    given = yaml.safe_load((Path(__file__).resolve().parents[2] / "params.yaml").read_text())
    return Checkout(folder / "repo", {**SMALL, "segment": given["segment"] | {"engine": engine}})


def outputs(checkout: Checkout) -> dict[str, str]:
    """Return the sums of all outputs that ought to be the same in every run, by path, as dvc.lock has them."""
    lock = yaml.safe_load((checkout.folder / "dvc.lock").read_text())
    found = {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage.get("outs", [])}
    return {path: md5 for path, md5 in found.items() if not path.startswith(TIMED)}


def left_behind(checkout: Checkout) -> list[str]:
    """Return what a killed stage had begun to write and nobody removed."""
    below = [p for root in ("data", "reports") for p in (checkout.folder / root).rglob(".*.aside-*")]
    return sorted(str(p.relative_to(checkout.folder)) for p in below)


def stage_of(said: str) -> str:
    """Return the stage that DVC named last."""
    found = [line for line in said.splitlines() if line.startswith("Running stage")]
    return found[-1].split("'")[1] if found else "between stages"


def mend(checkout: Checkout, folder: Path | None = None) -> str:
    """Do what `make repro` does before it runs, in a checkout or a clone of it; return what there was to mend."""
    doctor = [sys.executable, "-m", "morphospace", "doctor", "--lock"]
    path = str((folder or checkout.folder) / "src")
    said = checkout.run("env", "-C", str(folder or checkout.folder), f"PYTHONPATH={path}", *doctor).stdout
    return "dvc.lock" if said.strip() else ""


def even(folder: Path, engine: str) -> Checkout:
    """Return a checkout in which the whole pipeline has run, undisturbed."""
    checkout = small(folder / f"even-{engine}", engine)
    checkout.dvc("repro")
    checkout.commit()
    assert len(outputs(checkout)) > 25
    return checkout


def pipeline(killer: Killer, references: dict[str, Checkout], kills: int) -> None:
    """Run the pipeline in fresh checkouts, killed `kills` times in all, and compare every output with an even run's.

    Raises
    ------
    AssertionError
        When a byte differs, a command does not go on by itself, or an unfinished file is left.
    """
    expected = {engine: outputs(checkout) for engine, checkout in references.items()}
    began = killer.tally.kills
    while (left := min(began + kills - killer.tally.kills, _A_PASS)) > 0:
        engine = list(references)[killer.tally.passes % len(references)]
        at = references[engine].folder.parents[1] / f"killed-{killer.tally.passes}"
        checkout = small(at, engine)
        environment = checkout.environment | {"MORPHOSPACE_JOBS": "2"}
        killer.run(REPRO, checkout.folder, environment, left, stage_of, lambda c=checkout: mend(c))
        found = outputs(checkout)
        differing = [path for path, md5 in expected[engine].items() if found.get(path) != md5]
        assert not differing, f"pass {killer.tally.passes}, {engine}: {differing}"
        assert not left_behind(checkout), left_behind(checkout)
        killer.tally.passes += 1
        shutil.rmtree(at)


def commands(killer: Killer, checkout: Checkout, kills: int) -> None:
    """Search with a new database and embed packs, both killed; what they say and write is what it is undisturbed."""
    crops = pd.read_parquet(checkout.folder / "data/crops.parquet")
    first = crops[crops[schema.CROP_STATUS] == schema.KEPT].iloc[0]
    name = "/".join(str(first[c]) for c in schema.OBJECT_KEY)
    ours = [sys.executable, "-m", "morphospace"]
    search = [*ours, "search", name, "--top", "5", "--format", "json"]
    table = checkout.folder.parent / "embedded.parquet"
    embed = [*ours, "embed", "data/package", "data/crops", "-o", str(table)]
    for command, part in ((search, kills - kills // 2), (embed, kills // 2)):
        results: list[bytes | str] = []

        def whole(found: list[bytes | str] = results) -> str:
            """Take away a table that was finished before the kill: it is refused, not written over."""
            if not table.exists():
                return ""
            assert table.read_bytes() == found[0]
            table.unlink()
            return "a table that was whole"

        took = None
        for times in (0, part):
            scratch = checkout.folder.parent / "scratch-commands"
            shutil.rmtree(scratch, ignore_errors=True)
            table.unlink(missing_ok=True)
            environment = checkout.environment | {"MORPHOSPACE_SCRATCH": str(scratch), "PYTHONPATH": "src"}
            began = time.monotonic()
            said = killer.run(command, checkout.folder, environment, times, lambda _, c=command: c[3], whole, took)
            took = time.monotonic() - began
            results.append(table.read_bytes() if table.exists() else said[said.index("{") :])
        assert results[0] == results[1], command[3]


def bucket(killer: Killer, checkout: Checkout, server: Server, kills: int) -> None:
    """Push and pull, both killed; a fresh clone then has every byte."""

    def settled(folder: Path) -> str:
        """Wait until the server has noticed who is gone: it lists what is being sent, which S3 does not."""
        time.sleep(_NOTICED)
        return mend(checkout, folder)

    environment = checkout.environment | server.environment
    dvc = [sys.executable, "-m", "dvc"]
    at = checkout.folder
    killer.run([*dvc, "push"], at, environment, kills - kills // 2, lambda _: "push", lambda: settled(at), _TRANSFER)
    clone = checkout.folder.parent / "clone"
    checkout.run("git", "clone", "-q", str(checkout.folder), str(clone))
    site = f"[core]\n    site_cache_dir = {clone.parent}/clone-site\n"
    (clone / ".dvc/config.local").write_text(site)
    killer.run([*dvc, "pull"], clone, environment, kills // 2, lambda _: "pull", lambda: settled(clone), _TRANSFER)
    for path in (p for p in (checkout.folder / "data").rglob("*") if p.is_file()):
        other = clone / path.relative_to(checkout.folder)
        assert other.read_bytes() == path.read_bytes(), other
    shutil.rmtree(clone)


def queue(killer: Killer, checkout: Checkout, kills: int) -> None:
    """Run two experiments by DVC's queue, its workers and trainings killed; both models are as in an even run."""
    changes = ["-S", "z_dim=2,3", "-S", "train.epochs=6"]
    expected = {}
    for z_dim in ("2", "3"):
        checkout.dvc("exp", "run", "--temp", "-n", f"even-{z_dim}", "-S", f"z_dim={z_dim}", *changes[2:], "train")
        expected[z_dim] = _model(checkout, f"even-{z_dim}")
    shutil.rmtree(checkout.folder.parent / "scratch")  # nothing is kept from the even runs
    names: dict[str, str] = {}
    for z_dim in ("2", "3"):
        checkout.dvc("exp", "run", "--queue", "-n", f"queued-{z_dim}", "-S", f"z_dim={z_dim}", *changes[2:], "train")
        names[z_dim] = f"queued-{z_dim}"
    for number in range(kills + 1):
        checkout.start_queue(2)
        if number < kills:
            time.sleep(killer.chance.uniform(3, 15))
            killer.everything(checkout.folder)
        _await_queue(checkout)
        for z_dim, name in names.items():
            state = states(checkout.folder).get(name)
            if state in ("Failed", "Running") and number < kills:
                checkout.dvc("queue", "kill", name, check=False)
                checkout.dvc("queue", "remove", name, check=False)
                names[z_dim] = f"queued-{z_dim}-{number}"
                again = ("-n", names[z_dim], "-S", f"z_dim={z_dim}", *changes[2:])
                checkout.dvc("exp", "run", "--queue", *again, "train")
    for z_dim, name in names.items():
        assert _model(checkout, name) == expected[z_dim], f"z_dim {z_dim} of {name}"


def _await_queue(checkout: Checkout) -> None:
    """Wait until all have ended, or no worker is left: all were killed. A worker takes seconds to come up."""
    ends, alone = time.monotonic() + 600, 0
    while set(states(checkout.folder).values()) & {"Running", "Queued"}:
        alone = 0 if workers(checkout.folder) else alone + 1
        if alone > _ALONE:
            return
        assert time.monotonic() < ends, states(checkout.folder)
        time.sleep(0.5)


def _model(checkout: Checkout, name: str) -> str:
    """Return the sum of the model that an experiment trained."""
    commit = checkout.run("git", "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").stdout.strip()
    assert commit, f"{name} has no result: {states(checkout.folder)}"
    lock = yaml.safe_load(checkout.run("git", "show", f"{commit}:dvc.lock").stdout)
    return next(out["md5"] for out in lock["stages"]["train"]["outs"] if out["path"] == "data/models")
