"""Which cells train the model of a class and which are held out: whole groups, and as many cells of every class."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace.errors import InputError, LeakError
from morphospace.metrics.folds import NO_LABEL, Left, Task
from morphospace.words import count

TRAIN, TEST = "train", "test"
_DIVIDED, _BALANCED = 6, 7  # streams of random numbers
Codes = NDArray[np.intp]


class Plan(NamedTuple):
    """What trains and what is scored.

    Attributes
    ----------
    task
        The held-out cells: their rows, classes and groups, in one fold, and what was left out.
    train
        Rows that train the model of each class, ascending, as many for each.
    available
        Training cells of each class before they were balanced.
    """

    task: Task
    train: tuple[Codes, ...]
    available: tuple[int, ...]


def divide(labels: Sequence[Any], groups: Sequence[Any], share: float, seed: int) -> list[str]:
    """Return `train` or `test` for each row: of each class about a share of its groups is test, at least one.

    A group stands on one side for all its classes. No class loses its last training group; one whose groups all hold
    classes that would is not held out. Rows without a label are `train`.

    Parameters
    ----------
    labels, groups
        Class and group of each row; an empty text is none.
    share
        Of the groups of each class, in (0, 1).
    seed
        Of the draw, which depends on the names of the groups and not on the order of rows.
    """
    table = pd.DataFrame({"label": labels, "group": groups})
    named = table[table["label"] != ""]
    of_class = {str(c): set(g) for c, g in named.groupby("label")["group"]}
    of_group = {str(g): set(c) for g, c in named.groupby("group")["label"]}
    drawn = [str(g) for g in np.random.default_rng([seed, _DIVIDED]).permutation(sorted(of_group))]
    held: set[str] = set()
    for mine in sorted(of_class, key=lambda c: (len(of_class[c]), c)):
        wanted = max(1, round(share * len(of_class[mine])))
        for group in (g for g in drawn if g in of_class[mine] - held):
            if len(of_class[mine] & held) >= wanted:
                break
            if all(of_class[c] - held - {group} for c in of_group[group]):
                held.add(group)
    return [TEST if g in held else TRAIN for g in table["group"]]


def plan(labels: Sequence[Any], groups: Sequence[Any], sides: Sequence[str], min_cells: int, seed: int) -> Plan:
    """Return which rows train the model of each class, balanced to the smallest, and which are held out.

    Parameters
    ----------
    labels
        Class of each row; an empty text is none, and such rows are left out, and counted.
    groups
        Group of each row, unique over all plates.
    sides
        `train`, `test`, or anything else for a row that is not used.
    min_cells
        Training cells that a class needs.
    seed
        Of the choice of the training cells.

    Raises
    ------
    InputError
        When fewer than two classes are left, or a row has no group.
    LeakError
        Naming the first group that stands on both sides.
    """
    table = pd.DataFrame({"label": labels, "group": groups, "side": sides})
    if nameless := int((table["group"] == "").sum()):
        raise InputError(f"{count(nameless, 'cell')} without a group; group them by another column")
    table = table[table["side"].isin([TRAIN, TEST])]
    crossing = table.groupby("group")["side"].nunique()
    if len(crossing := crossing[crossing > 1]):
        raise LeakError(
            f"group {crossing.index[0]} stands in train and test ({count(len(crossing), 'group')} in all): what is "
            "measured on test would have been seen; group by what the split was made by, or leave --splits out"
        )
    left = [x for c, of in table.groupby("label") if (x := _left(str(c), of, min_cells))]
    table = table[~table["label"].isin([x.label for x in left])]
    classes = tuple(sorted(map(str, set(table["label"]))))
    if len(classes) < 2:
        why = "; ".join(f"{x.label or 'cells without a label'}: {count(x.cells, 'cell')}, {x.reason}" for x in left[:5])
        raise InputError(f"a cross table needs two classes, {len(classes)} is left ({why or 'there is no other'})")
    rng = np.random.default_rng([seed, _BALANCED])
    trained = [table.index[(table["label"] == c) & (table["side"] == TRAIN)].to_numpy(np.intp) for c in classes]
    least = min(map(len, trained))
    chosen = tuple(np.sort(rng.choice(rows, least, replace=False)) for rows in trained)
    return Plan(_task(table[table["side"] == TEST], classes, left), chosen, tuple(map(len, trained)))


def _left(label: str, of: pd.DataFrame, min_cells: int) -> Left | None:
    """Say why a class cannot be compared, or nothing."""
    groups = int(of["group"].nunique())
    train = int((of["side"] == TRAIN).sum())
    if not label:
        reason = NO_LABEL
    elif groups < 2:
        reason = "1 group: it cannot both train and be held out"
    elif train == len(of):
        reason = "none of its groups is held out"
    elif train < min_cells:
        reason = f"{count(train, 'cell')} to train on, {min_cells} are needed"
    else:
        return None
    return Left(label, reason, len(of), groups)


def _task(table: pd.DataFrame, classes: tuple[str, ...], left: Sequence[Left]) -> Task:
    labels = np.searchsorted(classes, table["label"].to_numpy(str)).astype(np.intp)
    groups = np.unique(table["group"].to_numpy(str), return_inverse=True)[1].astype(np.intp)
    rows = table.index.to_numpy(np.intp)
    return Task(rows, classes, labels, groups, np.zeros(len(rows), np.intp), tuple(left), ())
