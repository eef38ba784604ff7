import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morphospace.errors import InputError
from morphospace.reporting import page
from morphospace.reporting.page import Code, Items, Page, Picture, Section, Table, Text

HOSTILE = "<script>alert('x')</script>|`a`|[b](javascript:1) **c** @user https://evil.example www.evil.example \"q\""


class Reader(HTMLParser):
    """Collects what a browser would act on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def picture(folder: Path, name: str = "a") -> Picture:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 6), 9, np.uint8)).save(folder / f"{name}.png")
    return Picture(folder / f"{name}.png", f"Title {HOSTILE}", f"Caption {HOSTILE}")


def whole(folder: Path) -> Page:
    blocks = [
        Text(HOSTILE),
        Items([HOSTILE]),
        Code("echo 'a' && b <c>"),
        Table(HOSTILE, ["", HOSTILE], [[HOSTILE, "1"], ["b", "2"]], bars=[1, 0.5], marked=[1]),
        picture(folder),
    ]
    return Page(f"T {HOSTILE}", f"V {HOSTILE}", [HOSTILE], [Section(f"S {HOSTILE}", blocks)], HOSTILE)


def test_the_page_is_well_formed_and_asks_nothing_from_a_network(tmp_path: Path) -> None:
    text = page.to_html(whole(tmp_path))
    found = Reader(text)
    assert found.open == []
    assert {tag for tag, _ in found.tags} & {"script", "link", "iframe", "object", "form"} == set()
    for tag, given in found.tags:
        assert not any(name.startswith("on") for name in given), tag
        for name in ("src", "href", "action", "srcset"):
            assert (given.get(name) or "data:").startswith(("data:image/png;base64,", "#", "data:")), given
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_a_hostile_name_is_shown_as_it_is(tmp_path: Path) -> None:
    found = Reader(page.to_html(whole(tmp_path)))
    assert sum(HOSTILE in t for t in found.text) >= 8
    assert any(HOSTILE in (given.get("alt") or "") for _, given in found.tags)


def test_markdown_shows_a_hostile_name_as_it_is(tmp_path: Path) -> None:
    text = page.to_markdown(whole(tmp_path / "figures"), tmp_path)
    outside = re.sub(r"```sh\n.*?```", "", text, flags=re.DOTALL)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)\]\(javascript", outside)
    assert "@user" not in outside
    assert "https://evil" not in outside
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {3}
    assert "![Title" in text
    assert "](figures/a.png)" in text


def test_a_table_of_markdown_has_no_blank_line_in_it(tmp_path: Path) -> None:
    table = Table("t", ["", "n"], [["a", "1"], ["b", "2"]], marked=[0])
    text = page.to_markdown(Page("t", "v", [], [Section("s", [table])]), tmp_path)
    assert "|  | n |\n| --- | --- |\n| **a** | 1 |\n| b | 2 |\n" in text


def test_a_picture_knows_its_size_and_its_bytes(tmp_path: Path) -> None:
    found = picture(tmp_path)
    assert found.size == (6, 4)
    assert found.data.startswith("data:image/png;base64,iVBOR")


def test_a_link_to_a_picture_is_relative_and_escaped(tmp_path: Path) -> None:
    found = picture(tmp_path / "reports" / "figures", "a (1) [x]")
    text = page.to_markdown(Page("t", "v", [], [Section("s", [found])]), tmp_path / "reports")
    assert "](figures/a%20%281%29%20%5Bx%5D.png)" in text


@pytest.mark.parametrize("content", [b"", b"GIF89a" + b"0" * 40, b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_png_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png is no PNG"):
        page.to_html(Page("t", "v", [], [Section("s", [Picture(tmp_path / "a.png", "", "")])]))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not measured"),
        (float("nan"), "not measured"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
        (12345.6, "12,346"),
        (1252.25, "1,252"),
        (3.0, "3"),
        ("a", "a"),
        (1e-7, "1e-07"),
    ],
)
def test_a_number_is_written_for_people(value: object, text: str) -> None:
    assert page.number(value) == text


def test_an_interval_stands_in_brackets_or_not_at_all() -> None:
    assert page.interval(0.5, 0.4, 0.6, 2) == "0.50 [0.40,\N{NO-BREAK SPACE}0.60]"
    assert page.interval(0.5, None, 0.6, 2) == "0.50"
    assert page.interval(0.5, float("nan"), 0.6, 2) == "0.50"
    assert page.interval(None, 0.4, 0.6) == "not measured"
    assert page.interval(-0.001, -0.004, 0.6, 2) == "0.00 [0.00,\N{NO-BREAK SPACE}0.60]"
