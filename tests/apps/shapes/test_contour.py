import numpy as np
import pytest
from PIL import Image

from morphospace.apps.shapes.contour import centroid, contour, fill, signed_area
from morphospace.apps.shapes.distances import distances
from morphospace.apps.shapes.masks import RefusedError, whole


def _nearest(d, other):
    """Largest difference to the nearest of the n first points, tried one by one."""
    return min(np.abs(np.roll(d, (k, k), (0, 1)) - other).max() for k in range(len(d)))


def test_points_stand_at_equal_steps_around_the_area(ellipse):
    line = contour(ellipse(20, 30), 128)
    steps = np.linalg.norm(np.roll(line, -1, axis=0) - line, axis=1)
    assert line.shape == (128, 2)
    assert steps.std() < 0.05 * steps.mean()
    assert signed_area(line) == pytest.approx(np.pi * 20 * 30, rel=0.01)
    assert centroid(line) == pytest.approx((48, 48), abs=0.2)


def test_a_circle_has_the_radius_it_was_drawn_with(ellipse):
    line = contour(ellipse(25, 25), 64)
    assert np.linalg.norm(line - 48, axis=1) == pytest.approx(25, abs=0.6)


@pytest.mark.parametrize("turns", range(4))
def test_a_quarter_turn_changes_the_distances_by_a_roll_at_most(blob, turns):
    d = distances(contour(blob, 48))
    assert _nearest(distances(contour(np.rot90(blob, turns), 48)), d) < 1e-6


def test_a_shift_changes_nothing_and_a_mirror_image_reverses_the_index(blob):
    d = distances(contour(blob, 48))
    assert distances(contour(np.pad(blob, ((7, 0), (13, 2))), 48)) == pytest.approx(d, abs=1e-9)
    mirrored = distances(contour(blob[:, ::-1], 48))
    assert _nearest(mirrored[::-1, ::-1], d) < 1e-6
    assert _nearest(mirrored, d) > 1


def test_the_direction_is_the_same_for_all(blob, ellipse):
    for mask in (blob, blob[::-1], blob.T, ellipse(9, 30)):
        assert signed_area(contour(mask, 32)) > 0


def test_the_reference_level_makes_an_object_thinner(ellipse):
    areas = [signed_area(contour(ellipse(20, 20), 256, level)) for level in (0.5, 0.8)]
    assert areas[0] == pytest.approx(ellipse(20, 20).sum(), rel=0.005)
    radii = np.sqrt(np.array(areas) / np.pi)
    assert 0.15 < radii[0] - radii[1] < 0.5


def test_an_empty_mask_and_one_pixel_have_no_contour():
    mask = np.zeros((5, 5), bool)
    with pytest.raises(RefusedError, match="0 vertices"):
        contour(mask, 16)
    mask[2, 2] = True
    with pytest.raises(RefusedError, match="4 vertices, fewer than 8"):
        contour(mask, 16)


def test_a_line_without_area_has_the_centre_of_its_points():
    assert centroid(np.array([[0.0, 0], [0, 2], [0, 4]])) == pytest.approx((0, 2))


def test_real_worms_are_filled_again_from_64_points(real_data):
    shared = []
    for path in sorted((real_data / "bbbc010_shapes" / "masks").glob("A0[1-3]*.png"))[:30]:
        mask = whole(np.asarray(Image.open(path)) > 0).mask
        again = fill(contour(mask, 64), mask.shape)
        shared.append((mask & again).sum() / (mask | again).sum())
    assert len(shared) == 30
    assert np.mean(shared) > 0.93
    assert np.min(shared) > 0.85
