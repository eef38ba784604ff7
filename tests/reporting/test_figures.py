from pathlib import Path

import numpy as np
from PIL import Image

from morphospace.reporting import figures


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
