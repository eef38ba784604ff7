import numpy as np
import pytest

from morphospace.apps.shapes import masks
from morphospace.apps.shapes.masks import RefusedError, objects, whole


def test_a_mask_is_cut_to_its_box_with_a_margin(ellipse):
    found = whole(ellipse(10, 20))
    assert found.notes == ()
    assert found.mask.shape == (21, 41)  # 19 x 39 px and one pixel on each side
    assert found.origin == (38, 28)
    assert not found.mask[[0, -1]].any()
    assert not found.mask[:, [0, -1]].any()
    assert found.mask.sum() == ellipse(10, 20).sum()


def test_an_empty_mask_and_one_of_one_pixel_are_refused():
    mask = np.zeros((9, 9), bool)
    with pytest.raises(RefusedError, match="empty: no pixel is inside") as empty:
        whole(mask)
    assert empty.value.reason == masks.EMPTY
    mask[4, 4] = True
    with pytest.raises(RefusedError, match="too small: 1 px, fewer than 16") as small:
        whole(mask)
    assert small.value.reason == masks.SMALL


def test_the_largest_of_two_parts_is_taken_and_said_or_the_mask_is_refused(ellipse):
    mask = ellipse(10, 20)
    mask[2:8, 2:8] = True
    found = whole(mask)
    assert found.notes == (masks.LARGEST,)
    assert found.mask.sum() == ellipse(10, 20).sum()
    with pytest.raises(RefusedError, match="several parts: 2 of them"):
        whole(mask, parts="refuse")


def test_parts_that_touch_at_a_corner_are_one():
    mask = np.zeros((20, 20), bool)
    mask[4:9, 4:9] = mask[9:14, 9:14] = True
    assert whole(mask, parts="refuse").mask.sum() == 50


def test_holes_are_filled_and_said_and_the_part_keeps_them(ellipse):
    ring = ellipse(20, 20) & ~ellipse(10, 10)
    found = whole(ring)
    assert found.notes == (masks.HOLES,)
    assert found.mask.sum() == ellipse(20, 20).sum()
    assert found.part.sum() == ring.sum()


@pytest.mark.parametrize("turns", range(4))
def test_a_mask_at_any_border_is_refused_or_kept(turns):
    mask = np.zeros((20, 30), bool)
    mask[0:8, 10:20] = True
    mask = np.rot90(mask, turns)
    with pytest.raises(RefusedError, match="touches the border"):
        whole(mask)
    assert whole(mask, keep_border=True).mask.sum() == 80


def test_objects_of_a_label_image_keep_their_numbers_and_their_border():
    labels = np.zeros((30, 40), np.uint16)
    labels[0:6, 5:12], labels[10:20, 10:20], labels[10:20, 20:30] = 2, 5, 9
    found = dict(objects(labels))
    assert {n: m.sum() for n, m in found.items()} == {2: 42, 5: 100, 9: 100}
    with pytest.raises(RefusedError, match="border"):
        whole(found[2])
    assert whole(found[5]).mask.sum() == 100  # its neighbour 9 is outside
