"""Changes as Markdown that stands on a pull request: every name from outside in a code span, never too long."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from morphospace.apps.pull_request.changes import ABSENT, Change, Changes
from morphospace.apps.pull_request.revisions import Revision
from morphospace.errors import InputError
from morphospace.reporting import verdict

LIMIT = 65_536  # characters of a comment on GitHub; counted in bytes here, which are never fewer
_ROWS = 60  # of a table
_WIDTH = 160  # characters of a name or value
_PLAIN = re.compile(r"[^`|\\&<>]+")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_URL = re.compile(r"https?://[\w.:-]+(/[\w.~-]+)*/?", re.ASCII)


def markdown(changes: Changes, url: str | None = None, pictures: int = 6, limit: int = LIMIT) -> str:
    """Return the changes as Markdown: the verdict, the numbers that decide, the rest folded.

    Sections follow in the order of their weight. One that would make the text too long loses rows, which are counted,
    then all of it, which is said.

    Parameters
    ----------
    changes
        What differs.
    url
        Where ``URL/COMMIT/PATH`` gives the bytes of a file, such as ``https://github.com/OWNER/REPO/raw``; None lists
        the names of the pictures only.
    pictures
        How many pictures are shown, before and after; the others are named.
    limit
        Length that is not exceeded, in bytes of UTF-8.

    Raises
    ------
    InputError
        When `url` is no plain address.
    """
    if url is not None and not _URL.fullmatch(url):
        raise InputError(f"--url {url!r} is no plain address such as https://github.com/OWNER/REPO/raw")
    text = _head(changes)
    sections: list[tuple[str, Callable[[int], str]]] = [
        ("parameters", lambda rows: _params(changes.params, rows)),
        ("pictures", lambda rows: _pictures(changes, url, min(pictures, rows), rows)),
        ("stages", lambda rows: _stages(changes.stages, rows)),
        ("metrics", lambda rows: _metrics(changes.metrics, rows)),
        ("other files", lambda rows: _files("Other files in reports", changes.others, rows)),
        ("unreadable files", lambda rows: _files("Files that could not be read", changes.unreadable, rows)),
    ]
    cut = "\nToo long for a comment: {} left out; `morphospace changes` shows them.\n"
    room = limit - _size(cut.format(", ".join(name for name, _ in sections)))
    lost = []
    for name, section in sections:
        shortened = (section(rows) for rows in (_ROWS, 20, 5))
        fitting = next((s for s in shortened if _size(text + s) <= room), None)
        text += fitting or ""
        lost += [name] if fitting is None else []
    return text + (cut.format(", ".join(lost)) if lost else "")


def code(value: Any) -> str:
    """Return a name or value that Markdown and GitHub show as it is, in a table too.

    In a code span nothing is markup, link or mention. What would end the span or the cell makes it a ``code`` element
    of character references instead, which can be no markup either.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    text = text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
    if _PLAIN.fullmatch(text):
        return f"`{text}`"
    inner = "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in text or '""')
    return f"<code>{inner}</code>"


def _head(changes: Changes) -> str:
    lines = [f"### {verdict.headline(changes.before, changes.after)}", ""]
    beside = verdict.beside_pca(changes.after)
    lines += [beside, ""] if beside else []
    lines += [f"{_named(changes.base)} → {_named(changes.head)}", ""]
    numbers = verdict.rows(changes.before, changes.after)
    if numbers:
        lines += _table(["", "before", "after", "change", "better is", "verdict"], numbers, len(numbers))
    if not (changes.params or changes.metrics or changes.stages or changes.pictures or changes.others):
        lines += ["No parameter, metric, stage or picture changed.", ""]
    return "\n".join([*lines, ""])


def _named(revision: Revision) -> str:
    short = code(revision.commit[:7])
    return short if _COMMIT.fullmatch(revision.name) else f"{code(revision.name)} ({short})"


def _params(changes: Sequence[Change], rows: int) -> str:
    if not changes:
        return ""
    cells = [[code(c.key), _value(c.before), _value(c.after)] for c in changes[:rows]]
    return "\n".join(["#### Parameters", "", *_table(["key", "before", "after"], cells, len(changes)), ""])


def _metrics(changes: Sequence[Change], rows: int) -> str:
    cells = [[code(c.key), _value(c.before), _value(c.after), _step(c)] for c in changes[:rows]]
    return _folded("All metrics that changed", ["metric", "before", "after", "change"], cells, len(changes))


def _stages(stages: Sequence[tuple[str, str]], rows: int) -> str:
    cells = [[code(name), what] for name, what in stages[:rows]]
    return _folded("Stages whose lock changed", ["stage", "changed"], cells, len(stages))


def _files(summary: str, paths: Sequence[str], rows: int) -> str:
    return _folded(summary, ["file"], [[code(p)] for p in paths[:rows]], len(paths))


def _pictures(changes: Changes, url: str | None, shown: int, rows: int) -> str:
    summary, paths = "Pictures that changed", changes.pictures
    if url is None or not paths:
        return _files(summary, paths, rows)
    lines = []
    for path in paths[:shown]:
        cells = [
            f"![{side}]({url.rstrip('/')}/{revision.commit}/{quote(path)})" if path in revision.blobs else "none"
            for side, revision in (("before", changes.base), ("after", changes.head))
        ]
        lines += [code(path), "", *_table(["before", "after"], [cells], 1)]
    rest = paths[shown:]
    if rest:
        lines += _table([f"and {len(rest)} more that changed"], [[code(p)] for p in rest[:rows]], len(rest))
    return _details(f"{summary}: {len(paths)}", lines, " open")


def _folded(summary: str, head: Sequence[str], cells: Sequence[Sequence[str]], total: int) -> str:
    return _details(f"{summary}: {total:,}", _table(head, cells, total)) if cells else ""


def _details(summary: str, lines: Sequence[str], state: str = "") -> str:
    return "\n".join([f"<details{state}>", f"<summary>{summary}</summary>", "", *lines, "</details>", "", ""])


def _table(head: Sequence[str], cells: Sequence[Sequence[str]], total: int) -> list[str]:
    """Return the lines of a table, the number of rows that it lacks of `total`, and a blank line."""
    lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *cells]]
    left = total - len(cells)
    return [*lines, *(["", f"… and {left:,} more rows"] if left > 0 else []), ""]


def _value(value: Any) -> str:
    if value is ABSENT:
        return "–"
    return code(f"{value:.6g}" if isinstance(value, float) else value)


def _step(change: Change) -> str:
    old, new = verdict.finite(change.before), verdict.finite(change.after)
    return "" if old is None or new is None else f"{new - old:+.3g}"


def _size(text: str) -> int:
    return len(text.encode())
