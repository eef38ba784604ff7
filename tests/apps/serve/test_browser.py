"""The page as a person uses it, in a real browser."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import pytest
from rich.console import Console

from morphospace import schema
from morphospace.apps.serve import app
from morphospace.apps.serve.page import Page, Paths
from morphospace.imaging import packs

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--no-first-run"]
PLACE = "i => window.morphospace.map.place(i)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


class Seen:
    """A tab, and every complaint of it."""

    def __init__(self, browser: Any, address: str, **given: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1300, "height": 850}, **given)
        self.tab = self.context.new_page()
        self.said: list[str] = []
        self.tab.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.goto(address)
        self.tab.wait_for_selector("body[data-ready=true]", timeout=30_000)

    def until(self, condition: str) -> None:
        """Wait for a condition; Playwright's own way needs `eval`, which the page forbids."""
        ends = time.monotonic() + 30
        while not self.tab.evaluate(condition):
            assert time.monotonic() < ends, condition
            time.sleep(0.05)

    def click_point(self, item: int) -> None:
        x, y = self.tab.evaluate(PLACE, item)
        self.tab.locator("#map").click(position={"x": x, "y": y})


@pytest.fixture
def seen(browser: Any, address: str) -> Iterator[Seen]:
    """A tab that must not have complained, nor have run what a name says."""
    made = Seen(browser, address)
    yield made
    assert made.tab.evaluate("window.pwned === undefined")
    assert made.said == []
    made.context.close()


def test_a_click_shows_the_cell_its_neighbours_and_its_well(seen: Seen, page: Page) -> None:
    tab = seen.tab
    seen.click_point(7)
    tab.wait_for_selector("#look .tiles .tile")
    compound = page.levels["cells"].table[schema.COMPOUND][7]
    assert tab.inner_text("#look .title").startswith(compound)
    assert tab.locator("#look .figures img").count() == 2
    seen.until("[...document.querySelectorAll('#look img')].every(i => i.complete && i.naturalWidth === 32)")
    assert tab.locator("#look .tiles .tile").count() == 12
    tab.click("#look .tiles .tile >> nth=0")
    seen.until("window.morphospace.selected !== 7")
    tab.click("text=Its well")
    tab.wait_for_selector("text=Its most typical cells")
    assert tab.locator("#levels [aria-pressed=true]").inner_text() == "Wells"
    assert tab.locator("#look h3:has-text('typical') + .tiles .tile").count() == pages.CELLS
    tab.click("#levels >> text=Treatments")
    seen.until("window.morphospace.level === 'treatments'")


def test_the_legend_filters_and_the_filters_reach_the_neighbours(seen: Seen, page: Page) -> None:
    tab = seen.tab
    moas = page.levels["cells"].table[schema.MOA]
    assert {e.strip() for e in tab.locator("#legend .name").all_inner_texts()} == set(moas)
    tab.click("#legend .entry:has-text('Eg5 inhibitors')")
    wanted = int((moas == "Eg5 inhibitors").sum())
    seen.until(f"document.querySelector('#count').textContent.startsWith('{wanted} of 60')")
    tab.select_option("#filter-column", schema.PLATE)
    tab.select_option("#filter-value", "P1")
    tab.click("#filter-without")
    seen.until(f"document.querySelector('#count').textContent.startsWith('{wanted // 2} of 60')")
    shown = tab.evaluate("[...window.morphospace.map.isShown.keys()].filter(i => window.morphospace.map.isShown[i])")
    assert shown == [i for i in range(30, 60) if moas[i] == "Eg5 inhibitors"]
    seen.click_point(shown[0])
    tab.wait_for_selector("#look .tiles:not(.waiting) .tile")
    assert set(tab.evaluate("window.morphospace.map.marked.hits")) == set(shown[1:])
    hidden = tab.evaluate("window.morphospace.map.pick(...window.morphospace.map.place(0), 1)")
    assert hidden == -1
    tab.click("text=Clear all")
    seen.until("document.querySelector('#count').textContent.startsWith('All 60')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_column_and_the_theme(browser: Any, address: str, scheme: str) -> None:
    seen = Seen(browser, address, color_scheme=scheme)
    tab = seen.tab

    def pixels() -> list[int]:
        """Return red, green and blue of the first point, and of the paper."""
        seen.until("window.morphospace.map.isStale === false")
        found: list[int] = tab.evaluate(
            """() => {
              const {map} = window.morphospace, [x, y] = map.place(0).map(Math.round);
              const at = (x, y) => map.splatter.pixels[y * map.splatter.width + x];
              return [at(x, y), at(2, 2)].flatMap((c) => [c & 255, (c >> 8) & 255, (c >> 16) & 255]);
            }"""
        )
        return found

    by_moa = pixels()
    assert (sum(by_moa[3:]) > 600) is (scheme == "light")
    assert by_moa[:3] != by_moa[3:]
    tab.select_option("#colour", "Cells_AreaShape_Area")
    tab.wait_for_selector("#legend .strip")
    assert "px²" in tab.inner_text("#legend")
    seen.until("window.morphospace.painted.column.kind === 'number'")
    assert pixels()[:3] != by_moa[:3]
    for column in (schema.COMPOUND, schema.CONCENTRATION, "Cells_Latent_003", schema.WELL):
        tab.select_option("#colour", column)
        seen.until(f"window.morphospace.painted.column.name === '{column}'")
    assert seen.said == []
    assert tab.evaluate("window.pwned === undefined")
    seen.context.close()


def test_an_upload_is_searched_and_a_bad_one_is_refused_in_words(seen: Seen, tmp_path: Path) -> None:
    tab = seen.tab
    tab.click("#tab-search")
    (tmp_path / "<b>cell 7.png").write_bytes(packs.encode_tile(pages.tiles()[7]))
    tab.set_input_files("#upload", tmp_path / "<b>cell 7.png")
    tab.wait_for_selector("#search .tile")
    assert "<b>cell 7.png" in tab.inner_text("#search")
    assert tab.evaluate("window.morphospace.map.marked.hits[0]") == 7
    (tmp_path / "large.png").write_bytes(bytes(app.MOST_BYTES + 1))
    tab.set_input_files("#upload", tmp_path / "large.png")
    tab.wait_for_selector("#search .refusal")
    assert "far smaller" in tab.inner_text("#search .refusal")
    (tmp_path / "text.png").write_text("text")
    tab.set_input_files("#upload", tmp_path / "text.png")
    seen.until("document.querySelector('#search .refusal')?.textContent.includes('no PNG')")
    # The browser itself logs an answer that is a refusal.
    assert len(seen.said) == 1
    assert "422" in seen.said.pop()


def test_a_slider_changes_the_picture_and_back(seen: Seen, page: Page) -> None:
    tab = seen.tab
    tab.click("#tab-walk")
    drawn = "document.querySelector('#walk .large').src"
    seen.until(f"{drawn} && document.querySelector('#walk .large').complete")
    first = tab.evaluate(drawn)
    slider = tab.locator("#walk input[type=range]").first
    assert int(slider.get_attribute("data-dimension")) == page.sliders[0].dimension
    slider.focus()
    for _ in range(5):
        tab.keyboard.press("ArrowRight")
    seen.until(f"{drawn} !== '{first}'")
    assert tab.locator("#walk output").first.inner_text() == "0.5"
    tab.click("text=Back to the start")
    assert slider.input_value() == "0"


def test_the_keyboard_is_enough(seen: Seen) -> None:
    tab = seen.tab
    before = tab.evaluate("({...window.morphospace.map.view})")
    tab.focus("#map")
    for key in ("+", "+", "ArrowLeft", "ArrowUp", "-"):
        tab.keyboard.press(key)
    after = tab.evaluate("({...window.morphospace.map.view})")
    assert after["scale"] == pytest.approx(1.3 * before["scale"])
    tab.keyboard.press("0")
    assert tab.evaluate("window.morphospace.map.view.scale") == pytest.approx(before["scale"])
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#look .title")
    tab.keyboard.press("Escape")
    tab.wait_for_selector("#look .empty")
    tab.focus("#tab-look")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.id") == "tab-search"
    tab.click("#help-open")
    assert tab.locator("#help").is_visible()
    tab.keyboard.press("Escape")
    assert not tab.locator("#help").is_visible()


def test_nothing_is_wider_than_a_telephone(browser: Any, address: str) -> None:
    seen = Seen(browser, address)
    for width in (390, 800, 1130, 1920):
        seen.tab.set_viewport_size({"width": width, "height": 844})
        assert seen.tab.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.said == []
    seen.context.close()


def test_a_model_without_a_decoder_hides_what_cannot_be(browser: Any, tmp_path: Path) -> None:
    paths: Paths = pages.write(tmp_path / "run", "metric_net")
    pages.place_on_a_circle(paths)
    with pages.served(Page(paths, Console(quiet=True))) as address:
        seen = Seen(browser, address)
        seen.click_point(3)
        seen.tab.wait_for_selector("#look .tiles .tile")
        assert seen.tab.locator("#look .figures img").count() == 1
        assert not seen.tab.locator("#tab-walk").is_visible()
        assert seen.tab.locator("text=Walk from here").count() == 0
        assert seen.said == []
        seen.context.close()


def test_a_real_map_puts_every_cell_on_the_page(run: Paths, browser: Any) -> None:
    """With UMAP, which the other tests do without."""
    page = Page(run, Console(quiet=True))
    with pages.served(page) as address:
        seen = Seen(browser, address)
        places = [seen.tab.evaluate(PLACE, i) for i in range(60)]
        assert len({tuple(p) for p in places}) == 60
        size = seen.tab.evaluate("[window.morphospace.map.width, window.morphospace.map.height]")
        assert all(0 < p[axis] < size[axis] for p in places for axis in (0, 1))
        assert seen.said == []
        seen.context.close()
