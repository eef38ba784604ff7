"""How well the batch can be predicted from the negative controls: what an embedding knows of the day, not the drug."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from morphospace import schema, splitting
from morphospace.metrics import bootstrap, classification, folds
from morphospace.metrics.bootstrap import Estimate
from morphospace.reasons import explained
from morphospace.words import count

FOLDS = 5  # at most
_BOOTSTRAP = 12  # stream of random numbers
_NOTHING = Estimate(np.nan, np.nan, np.nan, 0, 0)


class BatchScore(NamedTuple):
    """Accuracy of a logistic regression that never saw the group of a row, and of the most frequent batch.

    Attributes
    ----------
    accuracy, majority
        With intervals over groups; NaN and a reason when there is nothing to predict.
    by
        What a group is: ``plate`` or ``well``.
    batches
        How many are told apart.
    """

    accuracy: Estimate
    majority: Estimate
    by: str
    batches: int

    def record(self) -> dict[str, Any]:
        """Return flat metrics, the accuracy never without its floor."""
        found = {
            "batch_from_controls": self.accuracy.value,
            "batch_from_controls_low": self.accuracy.low,
            "batch_from_controls_high": self.accuracy.high,
            "batch_from_controls_majority": self.majority.value,
            "batch_from_controls_n": self.accuracy.cells,
            "batch_from_controls_batches": self.batches,
            "batch_from_controls_held_out": self.by,
        }
        why = dict.fromkeys(found, self.accuracy.reason)
        return explained(found, why)


def from_controls(
    table: pd.DataFrame,
    features: NDArray[np.float64],
    parts: int,
    seed: int,
    resamples: int,
    confidence: float,
) -> BatchScore:
    """Return how well the batch of negative controls is predicted from their profiles, by cross-validation.

    Whole plates are held out where every batch has two or more with controls: a classifier that knew the plate would
    know the batch. Else wells are, and the result says so: it is then as much about plates as about batches.

    Parameters
    ----------
    table
        Metadata of sites or wells; without batches there is a reason instead of a number.
    features
        Their profiles (n, k).
    parts
        Folds.
    seed, resamples, confidence
        Of the division and of the intervals.
    """
    table = table if schema.BATCH in table else table.assign(**{schema.BATCH: ""})  # not every table says it
    rows = np.flatnonzero(table[schema.PERT_TYPE] == schema.NEGCON)
    here = table.iloc[rows]
    batches = [str(b) for b in here[schema.BATCH].astype("string").fillna("")]
    plates = here.groupby(schema.BATCH)[schema.PLATE].nunique() if len(here) else pd.Series(dtype=int)
    by = "plate" if len(plates) and (plates >= 2).all() else "well"
    groups = [str(g) for g in splitting.groups(here, by)]
    enough = {b for b in set(batches) if len({g for g, o in zip(groups, batches, strict=True) if o == b}) > 1}
    if (known := len(enough - {""})) < 2:
        nothing = _NOTHING._replace(
            reason=f"{count(known, 'batch', 'batches')} with controls in two {by}s or more; two are needed"
        )
        return BatchScore(nothing, nothing, by, known)
    smallest = min(len({g for g, o in zip(groups, batches, strict=True) if o == b}) for b in enough)
    task = folds.prepare([b or None for b in batches], groups, min(parts, smallest), seed)
    x = features[rows][task.rows]
    right = _predict(task, x, seed) == task.labels
    draws = bootstrap.resample(task.groups, resamples, confidence, np.random.default_rng([seed, _BOOTSTRAP]))
    most = task.labels == np.bincount(task.labels).argmax()
    return BatchScore(draws.estimate(right), draws.estimate(most), by, len(task.classes))


def _predict(task: folds.Task, x: NDArray[np.float64], seed: int) -> Sequence[int] | NDArray[np.intp]:
    """Return the code of the batch of each row, from a classifier that never saw its group."""
    found = np.zeros(len(x), dtype=np.intp)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for train, test in task.parts():
            known = np.unique(task.labels[train])
            if len(known) == 1:  # nothing to learn
                found[test] = known[0]
            else:
                model = classification.classifier(classification.LOGISTIC, seed)
                found[test] = model.fit(x[train], task.labels[train]).predict(x[test])
    return found
