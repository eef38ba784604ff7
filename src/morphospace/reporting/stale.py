"""A report of another data set gives way when a run begins, so that nobody reads its numbers as those of this one."""

import re
from pathlib import Path

from markupsafe import escape

from morphospace import files
from morphospace.reporting import page

_TITLE = "morphospace report: {model} on {dataset}"
_NAMED = re.compile(r"^(?:<title>)?morphospace report: \S+ on (.+?)(?:</title>)?$", re.MULTILINE)


def title(model: str, dataset: str) -> str:
    """Return the title of a report, by which `give_way` knows whose it is."""
    return _TITLE.format(model=model, dataset=dataset)


def give_way(markdown: Path, model: str, dataset: str, stage: str) -> str | None:
    """Put a few lines in the place of a report, and of the page beside it, where they are of another data set.

    A report is made last, so that a run that fails would leave the one of the run before it. What gives way is not
    lost: it is made again from the stages' results, which DVC keeps.

    Parameters
    ----------
    markdown
        The report; the page is the file of this name that ends in ``.html``.
    model, dataset
        What this run is.
    stage
        With which it begins.

    Returns
    -------
    str or None
        The data set of the report that gave way.
    """
    there = {path: _named(path) for path in (markdown, markdown.with_suffix(".html"))}
    ours = {str(page.escape_markdown(dataset)), str(escape(dataset))}
    others = {path: named for path, named in there.items() if named is not None and named not in ours}
    if not others:
        return None
    before = next(iter(others.values())).replace("\\", "")
    text = _unfinished(markdown, title(model, dataset), dataset, before, stage)
    for path in others:
        with files.replacing(path) as aside:
            shown = page.to_html(text) if path.suffix == ".html" else page.to_markdown(text, path.parent)
            aside.write_text(shown, encoding="utf-8")
    return before


def _named(path: Path) -> str | None:
    """Return the data set that a report names in its title, as it is escaped there; "" where it names none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = _NAMED.search(text)
    return found[1] if found else ""


def _unfinished(markdown: Path, name: str, dataset: str, before: str, stage: str) -> page.Page:
    was = f"the data set {before}" if before else "another data set"
    return page.Page(
        title=name,
        verdict=f"No result on {dataset} yet: its run has not come to the end",
        summary=[
            f"It began with the stage {stage}. When a stage failed, its error says what to mend; `dvc repro` goes on "
            "from there, and writes the report in the place of this note.",
            f"The report that was here is of {was}. It comes back with that data set in params.yaml and `dvc repro`, "
            f"which runs no stage whose results are kept; where it is committed, `git checkout {markdown}` shows it.",
            f"Pictures below {markdown.parent}/figures may still be of {was}; metrics and records name theirs first.",
        ],
        sections=[],
        footer="A note of morphospace in the place of a report.",
    )
