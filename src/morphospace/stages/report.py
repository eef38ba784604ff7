"""The stage ``report``: one self-contained page, and the same as Markdown."""

import importlib.metadata
import platform
import shlex
import subprocess
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from morphospace import files, params, records, tables
from morphospace.reporting import contents, page

_TEXT = {*tables.DROPPED, "split", "region", "channel", "method", "metric", "stage", "unit", "device", "machine"}
_TEXT |= {"compound", "reason"}  # columns of the tables; all others are numbers
_PACKAGES = ("morphospace", "torch", "lightning", "numpy", "scikit-image", "centrosome", "dvc")


def run(
    dropped: Annotated[Path, typer.Argument(help="CSV of what the index dropped, and why.")],
    similarity: Annotated[Path, typer.Argument(help="CSV of all scores.")],
    budget: Annotated[Path, typer.Argument(help="CSV of what each stage cost.")],
    dose: Annotated[Path, typer.Argument(help="CSV of the dose-response of each compound.")],
    recorded: Annotated[Path, typer.Argument(metavar="RECORDS", help="Folder of what the stages found.")],
    curves: Annotated[Path, typer.Argument(help="Folder of the training curves.")],
    pictures: Annotated[Path, typer.Argument(help="Folder of the stages' figures, a folder a stage.")],
    html: Annotated[Path, typer.Argument(metavar="HTML", help="Page to write: pictures inside, no network needed.")],
    markdown: Annotated[Path, typer.Argument(help="Markdown to write: pictures linked.")],
) -> None:
    """Write what was run, its pictures, its numbers beside their floors, what was dropped, and what it cost.

    A stage that was not run, or left out a figure, is named as not measured. Equal inputs give equal bytes: the only
    date is that of the commit.
    """
    options = params.load()
    written = {"dropped": dropped, "similarity": similarity, "budget": budget, "dose": dose}
    written["history"] = curves / "history.csv"
    found = {path.stem: records.read(path, options.data_set) for path in sorted(recorded.glob("*.json"))}
    latents = found.get("latent", {}).get("z_dim", options.z_dim)
    inputs = contents.Inputs(
        metrics=found,
        tables={name: _table(path) for name, path in written.items() if path.exists()},
        pictures={
            folder.name: sorted(folder.glob("*.png")) for folder in sorted(pictures.glob("*")) if folder.is_dir()
        },
        facts=[*_facts(options, latents), *_machine(budget), *_versions(), *_commit()],
        commands=_commands(options),
        currency=options.budget.currency,
    )
    whole = contents.build(inputs, options.data_set, options.model)
    for path, text in ((html, page.to_html(whole)), (markdown, page.to_markdown(whole, markdown.parent))):
        with files.replacing(path) as aside:
            aside.write_text(text, encoding="utf-8")


def _table(path: Path) -> pd.DataFrame:
    """Return a CSV that a stage wrote; one without anything is an empty table."""
    return tables.read_csv(path, _TEXT.__contains__) if path.stat().st_size > 1 else pd.DataFrame()


def _facts(options: params.Params, latents: int) -> list[tuple[str, Any]]:
    """Return the parameters that matter most to a reader; `latents` is what the model made of a cell."""
    segment, synthesize, train = options.segment, options.synthesize, options.train
    every = f" every {synthesize.stride} px" if synthesize.stride else ""
    return [
        ("data set", _named(options.dataset, options.dataset_options)),
        ("model", _named(options.model, options.model_options)),
        ("latent size (z_dim)", latents),
        ("seed", str(options.seed)),
        (
            "segmentation",
            "none: fields are taken whole"
            if segment.engine == "field"
            else f"{segment.engine}, {segment.method}; nuclei on {segment.nuclei_channel}, cells on "
            f"{segment.cells_channel}",
        ),
        ("tile", f"{synthesize.size} px{every}, scaling {synthesize.scaling}, brightness {synthesize.brightness:g}"),
        ("split", f"by {options.split.by}, stratified by {options.split.stratify}"),
        (
            "training",
            f"at most {train.epochs} epochs, minibatch {train.minibatch}, learning rate "
            f"{train.learning_rate:g}, r_loss_factor {_said(train.r_loss_factor)}, beta {train.beta:g}",
        ),
        ("intervals", f"{options.similarity.confidence:.0%}, {options.similarity.bootstrap} resamples of wells"),
    ]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else page.number(value)


def _named(name: str, options: dict[str, Any]) -> str:
    """Return a plug-in with its options."""
    return f"{name}: " + ", ".join(f"{key} {_said(value)}" for key, value in options.items())


def _machine(budget: Path) -> list[tuple[str, Any]]:
    """Return where training ran, from the table of timings."""
    rows = _table(budget) if budget.exists() else pd.DataFrame()
    if "stage" not in rows or "train" not in set(rows["stage"]):
        return [("machine", None)]
    row = rows[rows["stage"] == "train"].iloc[0]
    return [("machine", f"{row['machine']}; trained on {row['device']}")]


def _versions() -> list[tuple[str, Any]]:
    found = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    return [("versions", ", ".join([f"Python {platform.python_version()}", *found]))]


def _commit() -> list[tuple[str, Any]]:
    """Return the commit, its date, and which inputs of the pipeline differ from it."""
    if not (said := _git("log", "-1", "--format=%H %cI")):
        return [("commit", "none: this folder is no git repository")]
    changed = _git("status", "--porcelain", "--", "src", "pipelines", "params.yaml", "dvc.yaml")
    names = ", ".join(sorted(line[3:] for line in changed.splitlines()))
    commit, date = said.split()
    return [("commit", commit), ("date of the commit", date), ("changed since the commit", names or "nothing")]


def _git(*arguments: str) -> str:
    """Return what git says, or nothing where there is no git or no commit."""
    try:
        out = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return out.stdout.rstrip() if out.returncode == 0 else ""


def _commands(options: params.Params) -> str:
    """Return what to type to get the same again."""
    settings = {"dataset": options.dataset, "model": options.model, "z_dim": options.z_dim, "seed": options.seed}
    settings |= {f"{options.dataset}.root": v for k, v in options.dataset_options.items() if k == "root" and v}
    overrides = " ".join(f"-S {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
    commit = _git("rev-parse", "HEAD") or "the commit above"
    return "\n".join(
        [
            f"git checkout {commit}",
            "make repro                 # environments, then every stage that is not up to date",
            f"dvc exp run {overrides}",
            "dvc metrics diff           # what changed",
            "dvc plots diff             # the curves of both, in a page that needs no network",
            "morphospace compare        # all experiments in one table",
        ]
    )
