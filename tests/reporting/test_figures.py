from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from morphospace.apps.search import sheet
from morphospace.reporting import crops, figures, similarity


def test_three_channels_are_shown_as_red_green_blue() -> None:
    tile = np.zeros((3, 2, 2), np.uint8)
    tile[0, 0, 0], tile[2, 1, 1] = 200, 100
    picture = figures.display(tile)
    assert picture.shape == (2, 2, 3)
    assert picture[0, 0].tolist() == [200, 0, 0]
    assert picture[1, 1].tolist() == [0, 0, 100]


def test_two_channels_are_shown_side_by_side_in_grey() -> None:
    tile = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    picture = figures.display(tile)
    assert picture.shape == (2, 4, 3)
    assert picture[0].tolist() == [[0] * 3, [0] * 3, [255] * 3, [255] * 3]


@pytest.mark.parametrize("channels", [2, 4, 5, 7, 13, 40])
def test_any_number_of_channels_is_a_block_of_panels_in_their_order(channels: int) -> None:
    tile = np.stack([np.full((3, 4), n + 1, np.uint8) for n in range(channels)])
    rows, columns = figures.panels(channels)
    picture = figures.display(tile)[..., 0]
    assert picture.shape == (3 * rows, 4 * columns)
    blocks = picture.reshape(rows, 3, columns, 4).swapaxes(1, 2).reshape(rows * columns, 12)
    assert (blocks == blocks[:, :1]).all()
    assert blocks[:, 0].tolist() == [*range(1, channels + 1), *[255] * (rows * columns - channels)]
    assert 0 <= rows * columns - channels < columns


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 12, 40])
def test_no_figure_of_tiles_is_wider_than_a_page_and_every_panel_has_its_name(channels: int, tmp_path: Path) -> None:
    names = [f"Channel{n}" for n in range(channels)]
    tile = np.zeros((channels, 8, 8), np.uint8)
    drawn = {
        "contact": crops.contact_sheet([("DMSO (1,000)", [tile] * 10)] * 2, "cells", names),
        "gallery": similarity.gallery([similarity.Row("original", np.stack([tile] * 10))], "cells", names=names),
        "sheet": sheet.sheet(tile, ["query"], [(tile, ["1: 0"])] * 10, names),
    }
    for kind, figure in drawn.items():
        figures.save(figure, tmp_path / f"{kind}.png")
        with Image.open(tmp_path / f"{kind}.png") as picture:
            assert picture.size[0] <= 2000, kind
        first = next(axis for axis in figure.axes if axis.images)
        assert [text.get_text() for text in first.texts] == ([] if channels in (1, 3) else names)


def test_values_outside_the_range_are_clipped() -> None:
    tile = np.array([[[-1.0, 2.0, np.nan]]])
    assert figures.display(tile)[0, :, 0].tolist() == [0, 255, 0]


def test_equal_figures_are_equal_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tile = rng.random((3, 8, 8))
    for name in ("a.png", "b.png"):
        figures.save(figures.grid([[tile, tile], [tile]], labels=["one", "two"], title="cells"), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 100
