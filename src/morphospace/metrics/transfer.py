"""Classifiers fitted on cells of some groups and tested on those of others: fair to what was trained with labels."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from morphospace.errors import InputError, LeakError
from morphospace.metrics import bootstrap, classification, confusion
from morphospace.metrics.bootstrap import Estimate
from morphospace.metrics.folds import Task
from morphospace.metrics.representations import Representation
from morphospace.words import count

_BOOTSTRAP = 7  # stream of random numbers
Rows = NDArray[np.intp]


class Named(NamedTuple):
    """What one classifier makes of one representation: `scores` are `confusion.OVERALL`, of the tested cells."""

    classifier: str
    method: str
    width: int
    scores: dict[str, Estimate]


def score(
    labels: Sequence[str],
    groups: Sequence[str],
    train: Rows,
    test: Rows,
    methods: Mapping[str, Representation],
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> list[Named]:
    """Return the scores of representations by each of `classification.CLASSIFIERS`, and of the majority class.

    An embedding that was trained with the classes of `train` knows nothing of `test`, so it may stand beside one that
    was trained without any. The majority is the most frequent class of the tested cells: no constant answer has a
    higher accuracy. A tested class that no training cell has counts as missed. Intervals resample the tested groups.

    Parameters
    ----------
    labels, groups
        Class and group of each row; an empty class is none, and its rows are left out.
    train, test
        Rows to fit on, and rows to test on.
    methods
        Representations by name.
    seed
        Of the forest and of the resamples: the same for whatever is compared.
    resamples, confidence
        Of the bootstrap.

    Raises
    ------
    LeakError
        When a group has rows on both sides.
    InputError
        When the training rows have fewer than two classes, or no test row has a class.
    """
    names, sides = np.asarray(labels, dtype=str), np.asarray(groups, dtype=str)
    train, test = (rows[names[rows] != ""] for rows in (train, test))
    if shared := sorted(set(sides[train]) & set(sides[test])):
        raise LeakError(f"group {shared[0]} is both trained on and tested ({len(shared)} are): divide by group")
    if len(set(names[train])) < 2 or not len(test):
        raise InputError(
            f"a classifier needs two classes among the training cells and a class among the test cells; there are "
            f"{len(set(names[train]))} classes, and {count(len(test), 'test cell')} with one"
        )
    classes, codes = np.unique(names[np.concatenate([train, test])], return_inverse=True)
    known, truth = codes[: len(train)], codes[len(train) :]
    held = np.unique(sides[test], return_inverse=True)[1]
    task = Task(test, tuple(map(str, classes)), truth, held, np.zeros(len(test), np.intp), (), ())
    draws = bootstrap.resample(held, resamples, confidence, np.random.default_rng([seed, _BOOTSTRAP]))
    majority = np.full(len(test), np.bincount(truth).argmax())
    found = [Named(c, classification.MAJORITY, 0, _scores(task, majority, draws)) for c in classification.CLASSIFIERS]
    for method, representation in methods.items():
        x, tested = representation(train, test)
        for name in classification.CLASSIFIERS:
            predicted = _predicted(name, seed, x, known, tested)
            found.append(Named(name, method, int(x.shape[1]), _scores(task, predicted, draws)))
    return found


def _predicted(name: str, seed: int, x: NDArray[Any], known: Rows, tested: NDArray[Any]) -> Rows:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        predicted: Rows = classification.classifier(name, seed).fit(x, known).predict(tested)
    return predicted


def _scores(task: Task, predicted: Rows, draws: bootstrap.Resamples) -> dict[str, Estimate]:
    matrices = confusion.per_group(task, predicted)
    sizes = len(task.rows), len(matrices)
    drawn = confusion.overall(matrices, draws)
    return {name: confusion.estimate(*of, draws.confidence, *sizes) for name, of in drawn.items()}
