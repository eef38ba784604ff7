"""Which rows are scored, and in which fold."""

import numpy as np
import pytest

from morphospace.errors import InputError
from morphospace.metrics import folds


def _wells(classes: int, wells: int, cells: int) -> tuple[list[str], list[str]]:
    labels = [f"c{c}" for c in range(classes) for _ in range(wells * cells)]
    groups = [f"p/{c}-{w}" for c in range(classes) for w in range(wells) for _ in range(cells)]
    return labels, groups


def test_no_group_is_both_trained_on_and_held_out() -> None:
    task = folds.prepare(*_wells(4, 7, 3), 5, 0)
    assert np.array_equal(np.sort(np.concatenate([test for _, test in task.parts()])), np.arange(84))
    for train, test in task.parts():
        assert not set(task.groups[train]) & set(task.groups[test])
    assert len(task.parts()) == 5
    assert task.left == task.unseen == ()


def test_every_class_is_spread_over_the_folds() -> None:
    task = folds.prepare(*_wells(3, 5, 4), 5, 1)
    for fold in range(5):
        assert np.bincount(task.labels[task.folds == fold]).tolist() == [4, 4, 4]


def test_the_order_of_rows_does_not_change_the_division() -> None:
    labels, groups = _wells(3, 6, 2)
    order = np.random.default_rng(0).permutation(len(labels))
    one = folds.prepare(labels, groups, 4, 9)
    two = folds.prepare([labels[i] for i in order], [groups[i] for i in order], 4, 9)
    assert np.array_equal(one.folds[order], two.folds)
    assert np.array_equal(one.labels[order], two.labels)
    assert not np.array_equal(one.folds, folds.prepare(labels, groups, 4, 10).folds)


def test_a_class_with_one_group_and_rows_without_a_label_are_left_out_and_counted() -> None:
    labels, groups = _wells(2, 3, 2)
    labels += ["lonely", "lonely", None, float("nan"), ""]  # type: ignore[list-item]
    groups += ["p/x", "p/x", "p/y", "p/z", "p/z"]
    task = folds.prepare(labels, groups, 3, 0)
    assert task.left == (folds.Left("", "no label", 3, 2), folds.Left("lonely", "1 group", 2, 1))
    assert task.rows.tolist() == list(range(12))
    assert task.classes == ("c0", "c1")
    assert task.sizes() == [(6, 3), (6, 3)]


def test_there_are_no_more_folds_than_groups() -> None:
    assert len(folds.prepare(["a", "a", "b", "b"], ["1", "2", "1", "2"], 5, 0).parts()) == 2


def test_a_class_without_training_group_in_a_fold_is_counted() -> None:
    blocked = folds.Task(np.arange(4), ("a", "b"), np.array([0, 0, 1, 1]), np.arange(4), np.array([0, 0, 0, 1]), (), ())
    assert folds._unseen(blocked) == [folds.Unseen("a", 0, 2)]


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(InputError, match=r"1 is left .*b: 1 cell, 1 group"):
        folds.prepare(["a", "a", "b"], ["1", "2", "3"], 5, 0)
    with pytest.raises(InputError, match=r"0 is left .*rows without a label: 2 cells, no label"):
        folds.prepare([None, None], ["1", "2"], 5, 0)
    with pytest.raises(InputError, match=r"2 rows without a group \(row 1 is the first\)"):
        folds.prepare(["a", "a", "b"], ["1", None, ""], 5, 0)
    with pytest.raises(InputError, match="1 fold"):
        folds.prepare(["a", "b"], ["1", "2"], 1, 0)
    with pytest.raises(InputError, match="2 labels and 1 group"):
        folds.prepare(["a", "b"], ["1"], 2, 0)
    with pytest.raises(InputError, match="cannot be divided in 3 folds"):
        folds.prepare(["a", "a", "b", "b"], ["1", "2", "3", "4"], 3, 0)
