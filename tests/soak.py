"""Kills, fuzzed inputs and load, as long as you like: ``make soak`` (docs/reliability.md).

    python tests/soak.py --kills 100 --inputs 10000 --load 600 --seed 2026

What breaks ends it with the seed and the number that repeat it.
"""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

sys.path.insert(0, str(Path(__file__).resolve().parent / "helpers"))

import fuzz
import kills as killing
from checkout import Checkout
from load import load as asked

from morphospace.apps.cloud.server import Server

ENGINES = ("native", "cellprofiler")
ADDRESS_SPACE = 12 * 2**30  # bytes; what a damaged header makes somebody allocate shows at once


def main(
    kills: Annotated[int, typer.Option(help="SIGKILLs and SIGTERMs in all.", min=0)] = 100,
    inputs: Annotated[int, typer.Option(help="Fuzzed inputs a parser.", min=0)] = 10_000,
    load: Annotated[float, typer.Option(help="Seconds of load on the page.", min=0)] = 600.0,
    clients: Annotated[int, typer.Option(help="Of the page at once.", min=1)] = 30,
    seed: Annotated[int, typer.Option(help="Of every choice.")] = 2026,
    longest: Annotated[float, typer.Option(help="Seconds that a command runs at most before a kill.")] = 60.0,
) -> None:
    """Kill, fuzz and load this checkout, and compare every byte."""
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        if inputs:
            _fuzz(folder / "fuzz", inputs, seed)
        references = {engine: killing.even(folder, engine) for engine in ENGINES} if kills or load else {}
        if kills:
            _kill(folder, references, kills, seed, longest)
        if load:
            _load(references[ENGINES[0]], clients, load, seed)


def _fuzz(folder: Path, inputs: int, seed: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, hard))
    for parser in fuzz.PARSERS:
        began = time.perf_counter()
        found = fuzz.fuzz(parser, inputs, seed, folder / parser.name)
        typer.echo(f"{parser.name}: {found.read} read, {found.refused} refused, {time.perf_counter() - began:.0f} s")
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _kill(folder: Path, references: dict[str, Checkout], kills: int, seed: int, longest: float) -> None:
    """Give the pipeline three quarters of the kills; the commands, the bucket and the queue share the rest."""
    killer, began = killing.Killer(seed, longest, typer.echo), time.perf_counter()
    rest = kills // 4 // 3
    native = references[ENGINES[0]]
    killing.pipeline(killer, references, kills - 3 * rest)
    killing.commands(killer, native, rest)
    with _server(folder / "s3") as server:
        killing.bucket(killer, native, server, rest)
    killing.queue(killer, native, rest)
    tally = killer.tally
    typer.echo(f"{tally.kills} kills in {tally.passes} passes and {time.perf_counter() - began:.0f} s; all bytes equal")
    for what in (tally.by_signal, tally.by_work, tally.mended):
        typer.echo("  " + ", ".join(f"{name} {count}" for name, count in what.most_common()))


@contextmanager
def _server(folder: Path) -> Iterator[Server]:
    server = Server(folder, "morphospace")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _load(checkout: Checkout, clients: int, seconds: float, seed: int) -> None:
    command = [sys.executable, "-m", "morphospace", "serve", "--port", "0"]
    environment = checkout.environment | {"PYTHONPATH": "src"}
    with subprocess.Popen(
        command, cwd=checkout.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as page:
        assert page.stdout is not None
        said = page.stdout.readline()
        found = asked(said.split(" at ")[1].split()[0], clients, seconds, seed, page.pid, every=seconds / 20)
        page.terminate()
    answers = ", ".join(f"{count} of status {status}" for status, count in found.answers.items())
    typer.echo(f"{clients} clients for {seconds:g} s: {answers}; memory in MB: {found.memory}")
    assert set(found.answers) == {200}


if __name__ == "__main__":
    typer.run(main)
