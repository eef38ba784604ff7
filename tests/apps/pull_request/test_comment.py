"""The Markdown of a pull request, judged by a Markdown renderer."""

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from morphospace.apps.pull_request import comment
from morphospace.apps.pull_request.changes import ABSENT, Change, Changes
from morphospace.apps.pull_request.revisions import Revision
from morphospace.errors import InputError

BASE = Revision("main", "a" * 40, {"reports/figures/latent/kl.png": "1", "reports/figures/old.png": "2"})
HEAD = Revision("wide", "b" * 40, {"reports/figures/latent/kl.png": "3", "reports/figures/new (1)|.png": "4"})
HOSTILE = [
    "<script>alert(1)</script>",
    "![x](https://evil.example/a.png)",
    "[x](javascript:alert(1))",
    "`; </code><img src=x onerror=alert(1)>",
    "@octocat #1 https://evil.example www.evil.example",
    "a | b \\| c \\\\| d",
    "</details></table><h1>x",
    "one\n\n# two\r\n<b>",
    "${{ secrets.TOKEN }} $(id) `id`",
    "\u202egpj.exe\x00\x1b[31m",
]


def render(text: str) -> str:
    html: str = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    return html


def changes(name: str) -> Changes:
    return Changes(
        base=Revision(name, "a" * 40, {name: "1"}),
        head=Revision(name, "b" * 40, {name: "2"}),
        params=[Change(name, name, [name])],
        metrics=[Change(name, 1.0, name)],
        after={"similarity: S": 0.9, name: name},
        stages=[(name, "code")],
        pictures=[name],
        others=[name],
        unreadable=[name],
    )


def assert_harmless(text: str) -> None:
    """Nothing but the tags and addresses that the writer itself makes; the same number of cells in each row."""
    html = render(text)
    tags = set(re.findall(r"<(/?[a-z][a-z0-9]*)", html))
    known = ["h3", "h4", "p", "code", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "img"]
    assert tags <= {t for k in known for t in (k, "/" + k)}
    assert set(re.findall(r"<(?:details|summary|code|td|th)( [^>]*)>", html)) <= {" open"}
    assert all(s.startswith("https://github.com/o/r/raw/") for s in re.findall(r'<img src="([^"]*)', html))
    outside = unescape(re.sub(r"<[^>]*>", " ", re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)))
    assert not re.search(r"@|#\d|http|www\.|[\x00-\x08\x1b\u202e]", outside)
    for row in re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL):
        assert len(re.findall(r"<t[hd]", row)) in {1, 2, 3, 4, 6}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_and_does_nothing(name: str) -> None:
    text = comment.markdown(changes(name), "https://github.com/o/r/raw")
    assert_harmless(text)
    assert unescape(render(text)).count(re.sub(r"[\x00\x1b\u202e]", "\ufffd", " ".join(name.split()))) >= 6


@given(st.text(max_size=40))
def test_no_name_does_anything(name: str) -> None:
    assert_harmless(comment.markdown(changes(name), "https://github.com/o/r/raw"))


@given(st.text(max_size=40))
def test_code_shows_the_name_itself(name: str) -> None:
    table = render(f"| a |\n| --- |\n| {comment.code(name)} |\n")
    shown = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(name.split())) or '""'
    assert unescape(table.split("<td><code>")[1].split("</code></td>")[0]) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, "`0.5`"), (None, "`null`"), (True, "`true`"), ([1, "a"], '`[1, "a"]`'), ("x" * 500, 162)]
)
def test_values_are_shown_as_in_the_file_and_clipped(value: object, shown: str | int) -> None:
    text = comment.code(value)
    assert text == shown if isinstance(shown, str) else len(text) == shown


def test_pictures_stand_before_and_after_at_their_commits() -> None:
    found = Changes(BASE, HEAD, pictures=[*HEAD.blobs, "reports/figures/old.png"])
    text = comment.markdown(found, "https://github.com/o/r/raw/", pictures=2)
    kl = "reports/figures/latent/kl.png"
    root = "https://github.com/o/r/raw"
    assert f"| ![before]({root}/{'a' * 40}/{kl}) | ![after]({root}/{'b' * 40}/{kl}) |" in text
    assert f"| none | ![after]({root}/{'b' * 40}/reports/figures/new%20%281%29%7C.png) |" in text
    assert "and 1 more that changed" in text
    assert "`reports/figures/old.png`" in text


def test_without_an_address_pictures_are_named() -> None:
    text = comment.markdown(Changes(BASE, HEAD, pictures=list(HEAD.blobs)))
    assert "](" not in text
    assert "`reports/figures/latent/kl.png`" in text


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x/) ![](y", "ftp://x/y", "https://x/?a=b", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="no plain address"):
        comment.markdown(Changes(BASE, HEAD), url)


def test_values_that_come_and_go_are_dashes_and_numbers_have_a_step() -> None:
    found = Changes(BASE, HEAD, params=[Change("z_dim", 75, ABSENT)], metrics=[Change("train: loss", 2.5, 2)])
    text = comment.markdown(found)
    assert "| `z_dim` | `75` | – |" in text
    assert "| `train: loss` | `2.5` | `2` | -0.5 |" in text


def test_nothing_changed_is_said() -> None:
    assert "No parameter, metric, stage or picture changed." in comment.markdown(Changes(BASE, BASE))


@pytest.mark.parametrize("letter", ["x", "|", "\U0001f52c", "\u202e"])
def test_a_comment_is_never_too_long(letter: str) -> None:
    many = [Change(f"{letter * 300}{i}", letter * 300, letter * 300) for i in range(3000)]
    found = Changes(BASE, HEAD, params=many, metrics=many, others=[c.key for c in many], pictures=[many[0].key] * 900)
    text = comment.markdown(found, "https://github.com/o/r/raw", pictures=50)
    assert 20_000 < len(text.encode()) <= comment.LIMIT
    assert "more rows" in text
    render(text)


def test_what_does_not_fit_is_named() -> None:
    many = [Change("k" * 100 + str(i), i, i + 1) for i in range(60)]
    text = comment.markdown(Changes(BASE, HEAD, params=many, metrics=many, others=["reports/report.md"]), limit=1450)
    assert len(text.encode()) <= 1450
    assert "… and 55 more rows" in text
    assert "Too long for a comment: metrics left out" in text
    assert "reports/report.md" in text
