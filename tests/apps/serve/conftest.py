"""A page of a small run, served on this machine."""

from collections.abc import Iterator

import pages
import pytest
from rich.console import Console

from morphospace.apps.serve.page import Page, Paths


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """The files of the run, not to be changed."""
    return pages.write(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def page(run: Paths, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """What the page shows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORPHOSPACE_SCRATCH", str(tmp_path_factory.mktemp("scratch")))
        pages.place_on_a_circle(run)
        return Page(run, Console(quiet=True))


@pytest.fixture(scope="session")
def address(page: Page) -> Iterator[str]:
    """Where it is served."""
    with pages.served(page) as address:
        yield address
