import numpy as np

from morphospace.segmentation._engine import Labels
from morphospace.segmentation._measure import COLUMNS, measure


def test_areas_boxes_and_centres_are_read_by_eye():
    cells = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [2, 0, 0, 0]], np.uint16)
    nuclei = np.array([[0, 1, 0, 0], [0, 0, 0, 0], [2, 0, 0, 0]], np.uint16)
    table = measure(Labels(nuclei, cells, cells))
    assert table.to_numpy().tolist() == [[1, 4, 1, 0, 3, 2, 1.5, 0.5, 1], [2, 1, 0, 2, 1, 3, 0, 2, 1]]
    assert list(table.columns) == COLUMNS


def test_a_field_without_a_cell_gives_an_empty_table_of_the_same_types():
    empty, one = np.zeros((3, 3), np.uint16), np.eye(3, dtype=np.uint16)
    nothing = measure(Labels(empty, empty, empty))
    assert len(nothing) == 0
    assert nothing.dtypes.equals(measure(Labels(one, one, one)).dtypes)
