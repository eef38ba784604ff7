import numpy as np
import pytest
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist, squareform

from morphospace.apps.shapes import distances as d
from morphospace.apps.shapes.contour import contour, fill, signed_area


@pytest.fixture
def curve():
    """A closed curve without symmetry, its area positive."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    line = np.stack([30 * np.cos(t) + 5 * np.cos(2 * t + 1), 14 * np.sin(t) + 4 * np.sin(3 * t)], axis=1)
    assert signed_area(line) > 0
    return line + np.array([100, 50])


def _turned(line, angle):
    c, s = np.cos(angle), np.sin(angle)
    return line @ np.array([[c, s], [-s, c]])


def test_distances_are_those_of_scipy(curve):
    matrix = d.distances(curve)
    assert matrix == pytest.approx(squareform(pdist(curve)), abs=1e-12)
    assert (np.diag(matrix) == 0).all()
    assert (matrix == matrix.T).all()


def test_neither_a_shift_nor_a_turn_nor_a_mirror_changes_them(curve):
    matrix = d.distances(curve)
    assert d.distances(_turned(curve, 1.1) + np.array([4, -90])) == pytest.approx(matrix, abs=1e-9)
    assert d.distances(curve * (1, -1)) == pytest.approx(matrix, abs=1e-9)


def test_frobenius_takes_size_out_and_window_keeps_it(curve):
    small, large = d.distances(curve), d.distances(3 * curve)
    assert large / d.unit(large, "frobenius", 64) == pytest.approx(small / d.unit(small, "frobenius", 64))
    assert np.linalg.norm(small / d.unit(small, "frobenius", 64)) == pytest.approx(len(small))
    assert large / d.unit(large, "window", 64) == pytest.approx(3 * small / 64)


def test_another_first_point_rolls_both_axes(curve):
    matrix = d.distances(curve)
    assert d.reindex(matrix, 5) == pytest.approx(d.distances(np.roll(curve, 5, axis=0)))
    assert d.reindex(matrix, 5, reverse=True) == pytest.approx(d.distances(np.roll(curve[::-1], 5, axis=0)))


@pytest.mark.parametrize(("a", "b"), [(20, 20), (12, 35)])
def test_scaling_gives_circle_and_ellipse_back_up_to_a_rigid_motion(ellipse, a, b):
    line = contour(ellipse(a, b), 64)
    back = d.to_contour(d.distances(line))
    assert procrustes(line, back)[2] < 1e-12
    assert d.aligned(back, line) == pytest.approx(line, abs=1e-6)
    mask = ellipse(a, b)
    assert fill(d.aligned(back, line), mask.shape).sum() == pytest.approx(mask.sum(), rel=0.01)


def test_the_direction_of_the_index_tells_a_shape_from_its_mirror_image(curve):
    back = d.to_contour(d.distances(_turned(curve, 2)))
    assert d.aligned(back, curve) == pytest.approx(curve, abs=1e-6)
    mirrored = (curve * (1, -1))[::-1]
    other = d.to_contour(d.distances(mirrored))
    assert d.aligned(other, mirrored) == pytest.approx(mirrored, abs=1e-6)
    assert np.abs(d.aligned(other, curve) - curve).max() > 1


def test_scaling_bears_what_a_network_draws(curve):
    matrix = d.distances(curve) + np.random.default_rng(1).normal(0, 0.5, (40, 40))
    assert d.aligned(d.to_contour(matrix), curve) == pytest.approx(curve, abs=0.8)


def test_repairing_makes_a_matrix_of_distances_and_leaves_one_alone(curve):
    matrix = d.distances(curve)
    assert d.repaired(matrix) == pytest.approx(matrix)
    wrong = np.array([[3.0, 2, -4], [4, -1, 5], [-4, 5, 0]])
    assert d.repaired(wrong).tolist() == [[0, 3, 0], [3, 0, 5], [0, 5, 0]]


def test_a_contour_is_matched_whatever_its_first_point_and_side(curve):
    for other in (curve, (curve * (1, -1))[::-1]):
        line = np.roll(_turned(other, 0.7), 11, axis=0) + 9
        laid, order = d.matched(line, curve)
        assert laid == pytest.approx(curve, abs=1e-6)
        assert d.distances(line[order]) == pytest.approx(d.distances(curve), abs=1e-6)
