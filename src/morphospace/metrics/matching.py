"""Matched objects: how well a segmentation finds the objects of another, by intersection over union."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Matches(NamedTuple):
    """Counts of objects and what follows from them; a ratio of nothing to nothing is 1."""

    tp: int  # matched, one to one
    fp: int  # predicted only
    fn: int  # in the truth only
    precision: float
    recall: float
    f1: float


def match(predicted: NDArray[Any], truth: NDArray[Any], iou: float) -> Matches:
    """Return how many objects of two label images (H, W) match with an intersection over union of `iou` or more.

    Parameters
    ----------
    predicted, truth
        Label images of the same shape, integers, 0 is background; numbers need not be consecutive.
    iou
        At least 0.5 and at most 1. Above 0.5 an object can match only one other; at exactly 0.5 ties are possible
        and the first of each counts, so that matches stay one to one.

    Raises
    ------
    ValueError
        When the shapes differ or `iou` is out of its range.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"label images of different shapes: {predicted.shape} and {truth.shape}")
    if not 0.5 <= iou <= 1:
        raise ValueError(f"iou is {iou}, not within 0.5 and 1")
    pairs, ratios = overlaps(predicted, truth)
    pairs = pairs[ratios >= iou]
    tp = _one_to_one(pairs)
    return counted(tp, _count(predicted) - tp, _count(truth) - tp)


def counted(tp: int, fp: int, fn: int) -> Matches:
    """Return precision, recall and F1 of counts, which may be sums over fields."""
    return Matches(tp, fp, fn, _ratio(tp, tp + fp), _ratio(tp, tp + fn), _ratio(2 * tp, 2 * tp + fp + fn))


def overlaps(predicted: NDArray[Any], truth: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the pairs of objects that overlap, (N, 2) predicted and truth, and the IoU of each, (N,)."""
    first, p = np.unique(predicted, return_inverse=True)
    second, t = np.unique(truth, return_inverse=True)
    joint, counts = np.unique(p.ravel() * len(second) + t.ravel(), return_counts=True)
    i, j = joint // len(second), joint % len(second)
    union = np.bincount(p.ravel())[i] + np.bincount(t.ravel())[j] - counts
    both = (first[i] != 0) & (second[j] != 0)
    return np.stack([first[i], second[j]], axis=1)[both].astype(np.int64), (counts / union)[both]


def _one_to_one(pairs: NDArray[np.int64]) -> int:
    """Count pairs, each object used once."""
    if len(np.unique(pairs[:, 0])) == len(pairs) == len(np.unique(pairs[:, 1])):
        return len(pairs)
    used: tuple[set[int], set[int]] = (set(), set())
    for a, b in pairs.tolist():
        if a not in used[0] and b not in used[1]:
            used[0].add(a)
            used[1].add(b)
    return len(used[0])


def _count(labels: NDArray[Any]) -> int:
    return int(np.count_nonzero(np.unique(labels)))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
