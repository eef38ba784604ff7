"""Crops: whole pixels, exact middles, and nothing cut off."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from morphospace.errors import InputError
from morphospace.imaging import crops


def table(rows: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=crops.BOX)


@pytest.mark.parametrize(
    ("height", "width", "status"),
    [(32, 32, "kept"), (33, 32, "too_large"), (32, 33, "too_large"), (33, 4, "too_large"), (0, 4, "empty")],
)
def test_a_cell_is_dropped_when_it_is_higher_or_wider_than_the_tile(height: int, width: int, status: str) -> None:
    boxes = crops.boxes(table([[5, 7, 5 + height, 7 + width]]))
    assert crops.sides(boxes).tolist() == [[height, width]]
    assert crops.statuses(boxes, 32).tolist() == [status]


def test_an_object_without_a_box_is_empty() -> None:
    assert crops.statuses(crops.boxes(table([[np.nan] * 4])), 32).tolist() == ["empty"]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(12, 20))
def test_a_cut_lies_in_the_middle_to_the_pixel_and_loses_nothing(height: int, width: int, size: int) -> None:
    cut = np.random.default_rng([height, width]).integers(1, 256, (2, height, width), dtype=np.uint8)
    tile = crops.centre(cut, size)
    assert tile.shape == (2, size, size)
    (plane,) = ndimage.find_objects((tile[0] > 0).astype(int))
    for axis, side in zip(plane, (height, width), strict=True):
        before, after = axis.start, size - axis.stop
        assert axis.stop - axis.start == side
        assert after - before in ((0,) if (size - side) % 2 == 0 else (1,))
    assert np.array_equal(tile[:, plane[0], plane[1]], cut)
    assert np.count_nonzero(tile) == cut.size


def test_an_odd_cell_in_an_odd_tile_has_its_middle_pixel_in_the_middle() -> None:
    tile = crops.centre(np.arange(1, 16, dtype=np.uint8).reshape(1, 3, 5), 9)
    assert tile[0, 4, 4] == 8


def test_the_mask_is_that_of_a_full_comparison_inside_the_box_only() -> None:
    labels = np.zeros((20, 30), dtype=np.uint16)
    labels[3:9, 4:12] = 5
    labels[6:8, 8:14] = 9
    (box,) = crops.boxes(table([[3, 4, 9, 12]]))
    mask = crops.inside(labels, 5, box, float((labels == 5).sum()))
    assert np.array_equal(mask, (labels == 5)[3:9, 4:12])


@pytest.mark.parametrize(("box", "area"), [([3, 4, 9, 12], 47), ([3, 4, 9, 11], 48), ([3, 4, 9, 40], 48),
                                           ([-1, 4, 9, 12], 48)])  # fmt: skip
def test_a_table_that_does_not_fit_the_label_image_is_refused(box: list[int], area: float) -> None:
    labels = np.zeros((20, 30), dtype=np.uint16)
    labels[3:9, 4:12] = 5
    with pytest.raises(InputError, match=r"cell 5 has \d+ px in its box, the table says .* of different runs"):
        crops.inside(labels, 5, np.array(box), area)
