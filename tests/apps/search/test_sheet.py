"""The contact sheet shows every tile once, the query first and framed, with its lines whole."""

import numpy as np
import pytest

from morphospace.apps.search import sheet


@pytest.mark.parametrize(("channels", "hits"), [(3, 0), (3, 10), (1, 5), (4, 2)])
def test_every_tile_is_drawn_in_order_with_its_lines(channels: int, hits: int) -> None:
    tiles = [np.full((channels, 8, 8), 20 * i, dtype=np.uint8) for i in range(hits + 1)]
    found = [(tile, [f"{i}: 0.1", "P1/B02/1/1"]) for i, tile in enumerate(tiles[1:], 1)]
    figure = sheet.sheet(tiles[0], ["query", "cell"], found)
    figure.canvas.draw()
    drawn = [axis for axis in figure.axes if axis.images]
    assert [int(np.asarray(a.images[0].get_array())[0, 0, 0]) for a in drawn] == [20 * i for i in range(hits + 1)]
    assert drawn[0].get_xlabel().startswith("query\ncell")
    assert [a.spines["top"].get_visible() for a in drawn] == [True] + [False] * hits
    assert [a.get_xlabel().split(":")[0] for a in drawn[1:]] == [str(i) for i in range(1, hits + 1)]


def test_long_names_are_broken_and_signs_mean_nothing() -> None:
    tile = np.zeros((3, 8, 8), dtype=np.uint8)
    figure = sheet.sheet(tile, ["query"], [(tile, ["1: 0", "a$b_{x}$ " * 40])])
    figure.canvas.draw()
    label = figure.axes[1].get_xlabel().split("\n")
    assert len(label) == 5
    assert label[-1].endswith("…")
    assert max(map(len, label)) <= 22
    assert "$" in label[1]
