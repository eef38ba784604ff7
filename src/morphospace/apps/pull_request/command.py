"""The command ``changes``: what a branch changes, as Markdown for a pull request. It is no stage of dvc.yaml."""

from pathlib import Path
from typing import Annotated

import typer

from morphospace import files, places
from morphospace.apps.pull_request import changes, comment, revisions

_PARAMS, _LOCK, _REPORTS, _METRICS = "params.yaml", "dvc.lock", "reports", "reports/metrics"


def run(
    base: Annotated[str, typer.Argument(help="Branch, tag or commit to compare with, such as origin/main.")],
    head: Annotated[str, typer.Argument(help="Branch, tag, commit or experiment that changes it.")] = "HEAD",
    output: Annotated[
        Path | None, places.FILE, typer.Option("--output", "-o", help="File to write, not the screen.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(help="Where the bytes of a file are, to show pictures: https://github.com/OWNER/REPO/raw"),
    ] = None,
    pictures: Annotated[int, typer.Option(min=0, max=50, help="Pictures to show; the others are named.")] = 6,
) -> None:
    """Show what a branch changes: S with its interval and floors, parameters, metrics, stages, pictures.

    Only git is read: no data, no DVC cache, no bucket. HEAD is compared with the commit where it left BASE. A change
    of S inside its interval is not called an improvement; S on other test cells is not compared at all. The text fits
    into a comment on GitHub.

    `morphospace changes main` compares the last commit with main; `morphospace changes main wide` an experiment.
    """
    pair = revisions.pair(base, head, [_PARAMS, _LOCK, _REPORTS])
    found = changes.between(*pair, params=_PARAMS, lock=_LOCK, metrics=_METRICS)
    text = comment.markdown(found, url, pictures)
    if output is None:
        typer.echo(text, nl=False)
        return
    with files.replacing(output) as aside:
        aside.write_text(text, encoding="utf-8")
