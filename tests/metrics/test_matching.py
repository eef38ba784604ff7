import numpy as np
import pytest

from morphospace.metrics.matching import counted, match, overlaps


def slow(predicted, truth, iou):
    """The obvious version: every pair of masks."""
    tp, taken = 0, set()
    for p in sorted(set(np.unique(predicted)) - {0}):
        for t in sorted(set(np.unique(truth)) - {0}):
            a, b = predicted == p, truth == t
            if t not in taken and (a & b).sum() / (a | b).sum() >= iou:
                tp += 1
                taken.add(t)
                break
    return tp, len(set(np.unique(predicted)) - {0}) - tp, len(set(np.unique(truth)) - {0}) - tp


def squares(seed, count=40, size=120):
    rng = np.random.default_rng(seed)
    labels = np.zeros((size, size), np.uint16)
    for n in range(1, count + 1):
        y, x = rng.integers(0, size - 10, 2)
        h, w = rng.integers(4, 14, 2)
        labels[y : y + h, x : x + w] = n * 3  # numbers with gaps
    return labels


@pytest.mark.parametrize("iou", [0.5, 0.7])
@pytest.mark.parametrize("seed", range(6))
def test_counts_equal_those_of_comparing_every_pair(seed, iou):
    truth = squares(seed)
    predicted = np.roll(truth, (seed % 3, 1), (0, 1))
    assert match(predicted, truth, iou)[:3] == slow(predicted, truth, iou)


def test_an_image_matches_itself_whatever_its_numbers_are():
    labels = squares(1)
    renumbered = np.where(labels > 0, 1000 - labels, 0)
    assert match(renumbered, labels, 1.0) == counted(len(np.unique(labels)) - 1, 0, 0)
    assert match(renumbered, labels, 1.0).f1 == 1


def test_two_halves_of_an_object_match_it_once_at_one_half():
    truth = np.ones((4, 4), int)
    predicted = np.repeat([[1, 1, 2, 2]], 4, axis=0)
    assert match(predicted, truth, 0.5)[:3] == (1, 1, 0)
    assert match(truth, predicted, 0.5)[:3] == (1, 0, 1)


def test_ratios_are_read_by_eye():
    truth = np.array([[1, 1, 1, 1, 0, 2, 2, 0]])
    predicted = np.array([[7, 7, 7, 0, 0, 0, 9, 9]])
    pairs, ratios = overlaps(predicted, truth)
    assert pairs.tolist() == [[7, 1], [9, 2]]
    assert ratios.tolist() == [3 / 4, 1 / 3]
    assert match(predicted, truth, 0.7) == (1, 1, 1, 0.5, 0.5, 0.5)


def test_nothing_found_where_there_is_nothing_is_right():
    empty = np.zeros((3, 3), int)
    assert match(empty, empty, 0.5).f1 == 1
    assert match(empty, np.ones((3, 3), int), 0.5)[:4] == (0, 0, 1, 1.0)
    assert match(empty, np.ones((3, 3), int), 0.5).f1 == 0


def test_images_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(3, 3\)"):
        match(np.zeros((2, 2), int), np.zeros((3, 3), int), 0.5)


def test_a_threshold_that_allows_double_matches_is_refused():
    with pytest.raises(ValueError, match=r"iou is 0\.4"):
        match(np.zeros((2, 2), int), np.zeros((2, 2), int), 0.4)
