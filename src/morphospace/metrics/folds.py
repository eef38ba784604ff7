"""Which rows can be classified, and in which fold each is held out: whole groups, never single cells."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from morphospace.errors import InputError
from morphospace.words import count

NO_LABEL = "no label"
Codes = NDArray[np.intp]


class Left(NamedTuple):
    """Rows that are not scored, and why."""

    label: str
    reason: str
    cells: int
    groups: int


class Unseen(NamedTuple):
    """Cells of a class that stands in no training group of their fold: no classifier can name them."""

    label: str
    fold: int
    cells: int


@dataclass(frozen=True)
class Task:
    """What is to be told apart.

    Attributes
    ----------
    rows
        The rows that are scored, of the table they came from, ascending, shape (n,).
    classes
        Names, sorted; their place is their code.
    labels
        Code of the class of each scored row, shape (n,).
    groups
        Code of the group of each scored row, 0 to G - 1, shape (n,).
    folds
        The fold in which each scored row is held out, shape (n,).
    left
        What is not scored, and why.
    unseen
        Classes that are absent from the training groups of a fold.
    """

    rows: Codes
    classes: tuple[str, ...]
    labels: Codes
    groups: Codes
    folds: Codes
    left: tuple[Left, ...]
    unseen: tuple[Unseen, ...]

    def parts(self) -> list[tuple[Codes, Codes]]:
        """Places (not rows) that train and that are held out, fold by fold."""
        return [(np.flatnonzero(self.folds != f), np.flatnonzero(self.folds == f)) for f in np.unique(self.folds)]

    def sizes(self) -> list[tuple[int, int]]:
        """Cells and groups of each class."""
        of = [self.groups[self.labels == c] for c in range(len(self.classes))]
        return [(len(g), len(np.unique(g))) for g in of]


def prepare(labels: Sequence[Any], groups: Sequence[Any], folds: int, seed: int) -> Task:
    """Return the task: classes with at least two groups, divided by stratified group k-fold.

    A class with one group cannot stand on both sides, so it is left out, and counted. There are at most as many folds
    as groups. The division depends on the names, the seed and nothing else: the order of rows does not matter.

    Parameters
    ----------
    labels
        Class of each row; None, NaN or an empty text is none, and such rows are left out, and counted.
    groups
        Group of each row, unique over all plates: plate and well, not the well alone.
    folds
        How many parts, at least 2.
    seed
        Of the shuffle of the groups.

    Raises
    ------
    InputError
        When fewer than two classes are left, a row has no group, the lengths differ, or `folds` is below 2.
    """
    if folds < 2:
        raise InputError(f"{folds} fold(s) leave nothing to train on; give 2 or more")
    if len(labels) != len(groups):
        raise InputError(f"there are {len(labels)} labels and {count(len(groups), 'group')}; each row needs both")
    table = pd.DataFrame({"label": _text(labels), "group": _text(groups)})
    if missing := int((table["group"] == "").sum()):
        first = table.index[table["group"] == ""][0]
        raise InputError(f"{count(missing, 'row')} without a group (row {first} is the first)")
    table, left = _with_two_groups(table)
    classes, codes = np.unique(table["label"].to_numpy(str), return_inverse=True)
    if len(classes) < 2:
        why = "; ".join(f"{x.label or 'rows without a label'}: {count(x.cells, 'cell')}, {x.reason}" for x in left[:5])
        raise InputError(f"a classifier needs two classes with two groups each, {len(classes)} is left ({why})")
    names, groups_of = np.unique(table["group"].to_numpy(str), return_inverse=True)
    held = _divide(codes, groups_of, min(folds, len(names)), seed)
    task = Task(table.index.to_numpy(np.intp), tuple(map(str, classes)), codes, groups_of, held, tuple(left), ())
    return Task(**{**vars(task), "unseen": tuple(_unseen(task))})


def _text(values: Sequence[Any]) -> "pd.Series[str]":
    found = pd.Series(values).astype("string").fillna("").astype(str).str.strip()
    return found.reset_index(drop=True)


def _with_two_groups(table: pd.DataFrame) -> tuple[pd.DataFrame, list[Left]]:
    """Rows of classes with two groups or more, and what was left out."""
    found = table.groupby("label")["group"].agg(["size", "nunique"])
    left = [
        Left(str(label), NO_LABEL if label == "" else f"{n} group", int(cells), int(n))
        for label, (cells, n) in zip(found.index, found.to_numpy(int), strict=True)
        if label == "" or n < 2
    ]
    return table[~table["label"].isin([x.label for x in left])], left


def _divide(labels: Codes, groups: Codes, folds: int, seed: int) -> Codes:
    held = np.full(len(labels), -1, dtype=np.intp)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer cells than folds: it is counted in `unseen` where that matters.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        try:
            for fold, (_, test) in enumerate(splitter.split(labels, labels, groups)):
                held[test] = fold
        except ValueError as error:
            raise InputError(
                f"the groups cannot be divided in {count(folds, 'fold')}: {error}; ask for fewer folds"
            ) from None
    return held


def _unseen(task: Task) -> list[Unseen]:
    found = []
    for fold, (train, test) in enumerate(task.parts()):
        for code in np.setdiff1d(task.labels[test], task.labels[train]):
            found.append(Unseen(task.classes[code], fold, int((task.labels[test] == code).sum())))
    return found
