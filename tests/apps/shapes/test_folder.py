import numpy as np
import pytest
from PIL import Image

from morphospace.apps.shapes import folder
from morphospace.errors import InputError, SchemaError


def _save(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def test_masks_and_label_images_are_read(tmp_path):
    mask = np.zeros((20, 20), np.uint8)
    mask[5:9, 5:9] = 255
    labels = np.zeros((20, 20), np.uint16)
    labels[2:6, 2:6], labels[10:15, 10:15] = 3, 7
    paths = [_save(tmp_path / "a.png", mask), _save(tmp_path / "b_labels.png", labels)]
    found = [(name, int(m.sum())) for name, m in folder.masks(paths)]
    assert found == [("a.png", 16), ("b_labels.png:3", 16), ("b_labels.png:7", 25)]


def test_a_mask_of_one_bit_and_an_empty_one_are_masks(tmp_path):
    bits = np.zeros((9, 9), bool)
    bits[3:6, 3:6] = True
    paths = [_save(tmp_path / "a.png", bits), _save(tmp_path / "b.png", np.zeros((9, 9), np.uint8))]
    assert [int(m.sum()) for _, m in folder.masks(paths)] == [9, 0]


def test_grey_colour_and_broken_pictures_are_refused(tmp_path):
    grey = _save(tmp_path / "a.png", np.arange(9, dtype=np.uint8).reshape(3, 3))
    with pytest.raises(InputError, match=r"a\.png has 9 values, 0 the smallest; .* call a label image a_labels\.png"):
        list(folder.masks([grey]))
    inverted = _save(tmp_path / "i.png", np.array([[1, 2], [2, 2]], np.uint8))
    with pytest.raises(InputError, match="has 2 values, 1 the smallest"):
        list(folder.masks([inverted]))
    colour = _save(tmp_path / "c.png", np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(InputError, match=r"c\.png has 3 axes"):
        list(folder.masks([colour]))
    (tmp_path / "d.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"d\.png is not a readable PNG"):
        list(folder.masks([tmp_path / "d.png"]))


def test_labels_are_text_and_a_file_has_one_row(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("file,well,alive\na.png,A01,1\nb.png,A01,\n")
    assert folder.labels(path, ["alive"])["alive"].tolist() == ["1", ""]
    with pytest.raises(SchemaError, match="lacks dead"):
        folder.labels(path, ["dead"])
    path.write_text("file,alive\na.png,1\na.png,0\n")
    with pytest.raises(SchemaError, match=r"file=a\.png more than once"):
        folder.labels(path, ["alive"])


def test_missing_and_broken_tables_are_refused(tmp_path):
    with pytest.raises(InputError, match="is missing; it needs the columns file, alive"):
        folder.labels(tmp_path / "none.csv", ["alive"])
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="is not a table"):
        folder.labels(tmp_path / "empty.csv", ["alive"])
