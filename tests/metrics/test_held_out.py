"""Groups never cross, classes are balanced, and what cannot be compared is left out by name."""

import numpy as np
import pytest

from morphospace.errors import InputError, LeakError
from morphospace.metrics import held_out
from morphospace.metrics.folds import Left


def _wells(**wells: int) -> tuple[list[str], list[str]]:
    """Five cells in each well, wells of a class by number."""
    labels = [c for c, n in wells.items() for _ in range(5 * n)]
    return labels, [f"{c}{w}" for c, n in wells.items() for w in range(n) for _ in range(5)]


def test_about_the_share_of_each_class_is_held_out_group_by_group() -> None:
    labels, groups = _wells(a=8, b=20, c=2, d=1)
    sides = held_out.divide(labels, groups, 0.25, 3)
    held = {g for g, s in zip(groups, sides, strict=True) if s == held_out.TEST}
    assert {c: sum(g[0] == c for g in held) for c in "abcd"} == {"a": 2, "b": 5, "c": 1, "d": 0}
    assert not held & {g for g, s in zip(groups, sides, strict=True) if s == held_out.TRAIN}


def test_the_division_depends_on_names_and_seed_and_not_on_the_order_of_rows() -> None:
    labels, groups = _wells(a=8, b=20)
    found = dict(zip(groups, held_out.divide(labels, groups, 0.25, 3), strict=True))
    assert dict(zip(groups[::-1], held_out.divide(labels[::-1], groups[::-1], 0.25, 3), strict=True)) == found
    assert dict(zip(groups, held_out.divide(labels, groups, 0.25, 4), strict=True)) != found


@pytest.mark.parametrize("seed", range(8))
def test_plates_of_many_classes_stand_on_one_side_and_leave_every_class_something_to_train_on(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.choice(list("abcde"), 120, p=[0.5, 0.3, 0.1, 0.06, 0.04]).tolist()
    groups = [f"p{p}" for p in rng.integers(0, 6, 120)]
    sides = held_out.divide(labels, groups, 0.3, seed)
    assert len(set(zip(groups, sides, strict=True))) == len(set(groups))
    for label in set(labels):
        mine = {(g, s) for c, g, s in zip(labels, groups, sides, strict=True) if c == label}
        assert held_out.TRAIN in {s for _, s in mine}
    assert held_out.TEST in sides


def test_models_get_equally_many_cells_of_their_class_and_none_that_is_held_out() -> None:
    labels, groups = _wells(b=20, a=4)
    found = held_out.plan(labels, groups, held_out.divide(labels, groups, 0.25, 3), 5, 3)
    assert found.task.classes == ("a", "b")
    assert found.available == (15, 75)
    assert [len(rows) for rows in found.train] == [15, 15]
    for name, rows in zip(found.task.classes, found.train, strict=True):
        assert {labels[r] for r in rows} == {name}
        assert sorted(set(rows.tolist())) == rows.tolist()
    assert not {groups[r] for rows in found.train for r in rows} & {groups[r] for r in found.task.rows}
    assert [labels[r] for r in found.task.rows] == [found.task.classes[c] for c in found.task.labels]
    assert found.task.sizes() == [(5, 1), (25, 5)]


def test_what_cannot_be_compared_is_left_out_counted_and_named() -> None:
    labels, groups = _wells(a=4, b=4, one=1, few=2)
    labels, groups = [*labels, *["never"] * 6, "", ""], [*groups, *["n1", "n2"] * 3, "x", "y"]
    sides = ["train"] * len(labels)
    for held in ("a0", "b0", "few1", "one0", "x"):
        sides = ["test" if g == held else s for g, s in zip(groups, sides, strict=True)]
    found = held_out.plan(labels, groups, sides, 6, 0)
    assert found.task.classes == ("a", "b")
    assert set(found.task.left) == {
        Left("", "no label", 2, 2),
        Left("few", "5 cells to train on, 6 are needed", 10, 2),
        Left("never", "none of its groups is held out", 6, 2),
        Left("one", "1 group: it cannot both train and be held out", 5, 1),
    }


def test_cells_of_another_side_are_not_used() -> None:
    labels, groups = _wells(a=3, b=3)
    sides = [{"0": "train", "1": "validation", "2": "test"}[g[1]] for g in groups]
    found = held_out.plan(labels, groups, sides, 2, 0)
    used = {groups[r] for rows in (*found.train, found.task.rows) for r in rows}
    assert used == {"a0", "a2", "b0", "b2"}


def test_less_than_two_classes_a_leak_and_a_cell_without_a_group_are_refused() -> None:
    labels, groups = _wells(a=4, b=1)
    with pytest.raises(InputError, match=r"needs two classes, 1 is left \(b: 5 cells, 1 group"):
        held_out.plan(labels, groups, held_out.divide(labels, groups, 0.25, 0), 2, 0)
    with pytest.raises(InputError, match=r"0 is left \(there is no other\)"):
        held_out.plan(["a"], ["g"], ["validation"], 2, 0)
    with pytest.raises(LeakError, match=r"group a0 stands in train and test \(1 group in all\)"):
        held_out.plan(labels, groups, ["train", *["test"] * 24], 2, 0)
    with pytest.raises(InputError, match="1 cell without a group"):
        held_out.plan(labels, ["", *groups[1:]], ["train"] * 25, 2, 0)
