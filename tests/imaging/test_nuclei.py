"""Windows round nuclei: where they lie, what they show, which are dropped."""

import numpy as np
import pytest

from morphospace.imaging import crops, nuclei
from morphospace.schema import KEPT


def field() -> tuple[np.ndarray, np.ndarray]:
    """60 x 80 px: cell 1 in the middle, cell 2 with its nucleus near the left edge, cell 3 without a nucleus."""
    cells, inner = np.zeros((60, 80), np.uint16), np.zeros((60, 80), np.uint16)
    cells[20:50, 30:60] = 1
    inner[30:33, 40:44] = 1  # centroid (31, 41.5)
    cells[20:30, 0:15] = 2
    inner[24:26, 5:9] = 2
    cells[52:58, 70:78] = 3
    return cells, inner


@pytest.mark.parametrize("mask", [True, False])
def test_a_window_lies_round_the_centroid_of_the_nucleus(mask: bool) -> None:
    cells, inner = field()
    found = nuclei.windows(cells, inner, np.array([1, 2, 3]), 16, mask)
    assert list(found.statuses) == [KEPT, nuclei.NEAR_EDGE, crops.EMPTY]
    rows, columns = np.nonzero(inner == 1)
    assert found.centres[0].tolist() == [rows.mean(), columns.mean()] == [31.0, 41.5]
    assert found.boxes[0].tolist() == [23, 34, 39, 50]
    assert np.isnan(found.centres[2]).all()
    assert found.areas[0] == 256
    assert (found.boxes[2] == 0).all()


def test_only_the_pixels_of_the_cell_count_with_a_mask() -> None:
    cells, inner = field()
    assert nuclei.windows(cells, inner, np.array([1]), 32, True).areas[0] == np.count_nonzero(cells[15:47, 26:58] == 1)
    assert nuclei.windows(cells, inner, np.array([1]), 32, False).areas[0] == 32 * 32


@pytest.mark.parametrize(("row", "column", "kept"), [(8, 8, True), (7, 8, False), (52, 72, True), (53, 72, False)])
def test_a_window_may_touch_the_edge_and_not_leave_the_field(row: int, column: int, kept: bool) -> None:
    inner = np.zeros((60, 80), np.uint16)
    inner[row, column] = 5
    found = nuclei.windows(inner, inner, np.array([5]), 16, True)
    assert (found.statuses[0] == KEPT) is kept


def test_a_field_without_nuclei_has_no_windows() -> None:
    cells, inner = field()
    found = nuclei.windows(cells, np.zeros_like(inner), np.array([1, 2]), 16, True)
    assert list(found.statuses) == [crops.EMPTY, crops.EMPTY]
