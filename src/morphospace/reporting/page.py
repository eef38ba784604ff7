"""The report as plain blocks, and the same blocks as one self-contained HTML page and as Markdown."""

import base64
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from morphospace.errors import InputError

NOT_MEASURED = "not measured"
_PNG = b"\x89PNG\r\n\x1a\n"
_MARKDOWN = re.compile(r"([\\`*_\[\]~|#])")


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: Sequence[str]
    kind: str = "items"


@dataclass(frozen=True)
class Code:
    """Commands to type."""

    text: str
    kind: str = "code"


@dataclass(frozen=True)
class Table:
    """A table; numbers are given as text. `bars`, one in [0, 1] a row, are drawn in the page only."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    bars: Sequence[float] = ()
    marked: Sequence[int] = ()  # rows that matter most
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A PNG with what to look for in it."""

    path: Path
    title: str
    caption: str
    kind: str = "picture"

    @property
    def name(self) -> str:
        """Name for an anchor: the folder and the file."""
        return anchor(f"{self.path.parent.name}-{self.path.stem}")

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels.

        Raises
        ------
        InputError
            When the file is no PNG.
        """
        head = self.path.read_bytes()[:24]
        if len(head) < 24 or not head.startswith(_PNG):
            raise InputError(f"{self.path} is no PNG; delete it and run `dvc repro`")
        width, height = struct.unpack(">II", head[16:24])
        return int(width), int(height)

    @property
    def data(self) -> str:
        """The file as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.path.read_bytes()).decode()


Block = Text | Items | Code | Table | Picture


@dataclass(frozen=True)
class Section:
    """A heading and its blocks."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)

    @property
    def anchor(self) -> str:
        """Name to link to."""
        return anchor(self.title)


@dataclass(frozen=True)
class Page:
    """The whole report; `verdict` is its first line."""

    title: str
    verdict: str
    summary: Sequence[str]
    sections: Sequence[Section]
    footer: str = ""


def anchor(text: str) -> str:
    """Return `text` as letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def number(value: Any, digits: int = 4) -> str:
    """Return a value as text: thousands apart, `digits` significant, "not measured" for what is absent."""
    if value is None or (isinstance(value, float) and value != value):
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if value == round(value) and abs(value) < 1e15:
            return f"{value:,.0f}"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return str(value)


def interval(value: Any, low: Any, high: Any, digits: int = 4) -> str:
    """Return ``value [low, high]`` with as many decimals as `digits`, or the value alone when there is no interval."""
    if value is None or value != value:
        return NOT_MEASURED
    value, low, high = (v if v is None else round(v, digits) + 0.0 for v in (value, low, high))  # no -0.00
    shown = f"{value:.{digits}f}"
    if low is None or high is None or low != low or high != high:
        return shown
    return f"{shown} [{low:.{digits}f},\N{NO-BREAK SPACE}{high:.{digits}f}]"


def escape_markdown(value: Any) -> Any:
    """Return text that Markdown shows as it is: no markup, no HTML, no mention of a user, no link, one line."""
    if isinstance(value, Markup):
        return value
    text = " ".join(str(value).split()).replace("\N{NO-BREAK SPACE}", " ")
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MARKDOWN.sub(r"\\\1", text)
    return text.replace("@", "&#64;").replace("://", "&#58;//").replace("www.", "www&#46;")


def to_html(page: Page) -> str:
    """Return the page as one HTML file: pictures inside, no script, nothing asked from a network."""
    return _environment(autoescape=True).get_template("report.html.jinja").render(page=page)


def to_markdown(page: Page, folder: Path) -> str:
    """Return the page as Markdown whose pictures are linked relative to `folder`, where it will stand."""

    def link(path: Path) -> Markup:
        return Markup(quote(Path(os.path.relpath(path, folder)).as_posix()))

    environment = _environment(autoescape=False, finalize=escape_markdown)
    text = environment.get_template("report.md.jinja").render(page=page, link=link, raw=Markup)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _environment(**options: Any) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )
