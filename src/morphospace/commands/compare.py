"""The command ``compare``: all experiments, or all models, in one table. It is no stage of dvc.yaml."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from morphospace import files, params, places, tables
from morphospace.errors import InputError
from morphospace.reporting import comparison, figures
from morphospace.words import count


def run(
    output: Annotated[
        Path | None,
        places.FOLDER,
        typer.Argument(help="Folder to write; reports/compare, or reports/models with --models."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="What `dvc exp show --json` wrote, instead of asking it.")
    ] = None,
    all_commits: Annotated[
        bool, typer.Option("--all-commits", "-A", help="Experiments of all commits, not of the last one alone.")
    ] = False,
    models: Annotated[
        bool, typer.Option("--models", help="Train and compare every model and variant instead of experiments.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help="With --models: take this one; again for another.")] = None,
    seconds: Annotated[float, typer.Option(help="With --models: processor seconds of each training.")] = 120.0,
    steps: Annotated[
        int, typer.Option(help="With --models: steps (minibatches) of each training; 0 goes by --seconds.")
    ] = 0,
    cells: Annotated[
        Path | None, typer.Option(help="With --models: folder of raw cells, one .npz with `images` and one .csv.")
    ] = None,
    gallery: Annotated[
        bool, typer.Option(help="With --cells: draw some; leave them out where their licence keeps them to you.")
    ] = True,
    twin: Annotated[bool, typer.Option(help="With --models: compare on the crops of the pipeline, too.")] = True,
    crops: Annotated[Path, typer.Option(help="With --models: folder of the crops.")] = Path("data/crops"),
    crops_table: Annotated[Path, typer.Option(help="With --models: table of the crops.")] = Path("data/crops.parquet"),
    splits: Annotated[Path, typer.Option(help="With --models: table of the split.")] = Path("data/splits.csv"),
) -> None:
    """Compare the experiments of `dvc exp run`: experiments.md, experiments.csv and similarity.png.

    S stands beside its interval, its floors and PCA with as many components as the model has latent dimensions; the
    thesis's published rows stand below, as not comparable. Experiments that failed or wait are listed without scores.

    With --models, every model and variant is trained for the same processor seconds, or steps, and scored on groups
    that it never saw, beside PCA with as many numbers a cell: report.md, comparison.csv and figures. What is trained is
    kept, so the same command goes on after a kill.
    """
    if models:
        from morphospace.commands import _cell_sets, _contenders, _zoo  # torch takes seconds to import
        from morphospace.training import allowance

        chosen = _contenders.contenders(only or [])
        ours = (crops, crops_table, splits) if twin else None
        data_sets = _cell_sets.of(chosen[0].options, ours, cells, gallery)
        _zoo.run(data_sets, chosen, allowance.chosen(seconds, steps), output or Path("reports/models"))
        return
    output = output or Path("reports/compare")
    files.require_own(output)
    shown = files.read_json(json_file) if json_file else _ask(all_commits)
    found = comparison.table(shown)
    with files.replacing_folder(output, listed=True) as folder:
        tables.write_csv(found, folder / "experiments.csv")
        text = comparison.markdown(found, params.load().budget.currency)
        (folder / "experiments.md").write_text(text, encoding="utf-8")
        figures.save(comparison.plot(found), folder / "similarity.png")
    typer.echo(f"{count(len(found), 'experiment')}: {output / 'experiments.md'}")


def _ask(all_commits: bool) -> list[Any]:
    """Return what DVC says of its experiments, commit by commit.

    DVC reads every commit that it is asked of, so it is asked of those alone that experiments began from.

    Raises
    ------
    InputError
        With DVC's own last line when it fails.
    """
    found = _exp_show()
    others = _baselines() - {str(entry["rev"]) for entry in found} if all_commits else set()
    shown: dict[str, Any] = {"console": Console(stderr=True), "transient": True}
    for commit in track(sorted(others), "Asking DVC, a commit at a time", **shown):
        found += _exp_show("--hide-workspace", "--rev", commit)
    return found


def _exp_show(*arguments: str) -> list[Any]:
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", *arguments]
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    if out.returncode:
        said = [line for line in out.stderr.strip().splitlines() if line.strip()] or ["no message"]
        raise InputError(f"`dvc exp show` failed: {said[0]}; run from the root of a repository with a commit")
    try:
        return list(json.loads(out.stdout))
    except ValueError as error:
        raise InputError(f"`dvc exp show --json` wrote no JSON: {error}") from None


def _baselines() -> set[str]:
    """Return the commits that experiments began from: ``refs/exps/XX/YYYY/NAME``, and those that wait or failed."""
    refs = _git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    parts = [ref.split("/") for ref in refs]
    ended = {part[2] + part[3] for part in parts if len(part) > 4}
    stashes = [ref for ref in refs if ref.startswith("refs/exps/celery/")]
    told = "".join(_git("reflog", "show", "--format=%gs", ref) for ref in stashes)
    waiting = set(re.findall(r"dvc-exp:[0-9a-f]+:([0-9a-f]{40})", told))
    return {commit for commit in ended | waiting if _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")}


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout
