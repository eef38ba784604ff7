"""How well classifiers tell classes apart from an embedding, on groups they never saw, beside what costs no model."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from morphospace.errors import InputError
from morphospace.metrics import bootstrap, confusion, ranking, representations
from morphospace.metrics.bootstrap import Estimate
from morphospace.metrics.folds import Codes, Task
from morphospace.metrics.representations import Floats, Representation
from morphospace.words import count

EMBEDDING, MAJORITY = "embedding", "majority"
FOREST, LOGISTIC = "random_forest", "logistic_regression"
CLASSIFIERS = (FOREST, LOGISTIC)
TREES = 200
ITERATIONS = 1000
_BOOTSTRAP = 3  # stream of random numbers
Track = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Scores:
    """What one classifier makes of one representation.

    Attributes
    ----------
    classifier
        A name of `CLASSIFIERS`; the majority floor stands under each, with the same predictions.
    method
        ``embedding``, or the name of the floor.
    width
        How many numbers a cell it looks at.
    predicted
        Code of the class that each scored row was given by a classifier that never saw its group, shape (n,).
    matrix
        Confusion matrix (K, K): rows are the truth.
    overall, classes
        Scores of all classes together (`confusion.OVERALL` and ``auc``), and of each.
    difference
        `overall` of the embedding minus that of this floor, paired; empty for the embedding itself.
    unconverged
        Folds in which the logistic regression stopped at its limit of iterations.
    """

    classifier: str
    method: str
    width: int
    predicted: Codes
    matrix: NDArray[np.int64]
    overall: dict[str, Estimate]
    classes: dict[str, dict[str, Estimate]]
    difference: dict[str, Estimate]
    unconverged: int


def classifier(name: str, seed: int) -> Any:
    """Return an untrained classifier: a random forest, or a logistic regression that standardises inside the fold."""
    if name == FOREST:
        return RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))


def pixel_floors(tiles: NDArray[Any], k: int, cells: int, seed: int) -> dict[str, Representation]:
    """Return the floors that look at pixels, by name.

    ``mean_intensity``: the mean of each channel. ``random_projection``: k random combinations of the pixels.
    ``pca``: k principal components, fitted inside each training fold.

    Parameters
    ----------
    tiles
        Tiles (N, C, H, W) in the order of the embedding; may be a memory map.
    k
        Width of the embedding.
    cells
        Training cells that PCA is fitted on, at most.
    seed
        Of the projection and of PCA's first guess.
    """
    return {
        "mean_intensity": representations.fixed(representations.intensities(tiles)),
        "random_projection": representations.fixed(representations.projection(tiles, k, seed)),
        "pca": representations.pca(tiles, k, cells, seed),
    }


def score(
    task: Task,
    embedding: Floats,
    floors: Mapping[str, Representation],
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
    jobs: int = 1,
    track: Track | None = None,
) -> list[Scores]:
    """Return the scores of an embedding and of its floors, on the same folds; the majority is always among them.

    The majority is the most frequent class of all scored cells: no constant answer has a higher accuracy. (The most
    frequent class of the training cells has a lower one, near 0, when one group holds half of a class.)

    A class is predicted for each cell by a classifier that was trained without the group of that cell. Scores are of
    all these predictions together, not means over folds. Intervals are percentiles over resamples of whole groups
    with the predictions as they are: what other training groups would do to the classifier is not in them.

    Parameters
    ----------
    task
        From `folds.prepare`.
    embedding
        Features (N, k) of every row of the table that `task` was made from.
    floors
        Other representations of the same rows, such as `pixel_floors`.
    seed
        Of the forest (the same in every fold) and of the resamples.
    resamples, confidence
        Of the bootstrap.
    jobs
        Folds in work at a time; it does not change a result.
    track
        Wraps the finished folds and takes their number: a progress bar.

    Raises
    ------
    InputError
        When a feature is not finite, or the embedding has fewer rows than the table.
    """
    if len(embedding) <= int(task.rows.max()):
        raise InputError(
            f"the embedding has {count(len(embedding), 'row')}, the labels name row {int(task.rows.max())}"
        )
    methods = {EMBEDDING: representations.fixed(embedding), **floors}
    predicted = _predict(task, methods, seed, jobs, track)
    rng = np.random.default_rng([seed, _BOOTSTRAP])
    draws = bootstrap.resample(task.groups, resamples, confidence, rng)
    found = []
    for name in CLASSIFIERS:
        best = _overall(task, predicted[name, EMBEDDING], draws)
        for method in (EMBEDDING, MAJORITY, *floors):
            of = best if method == EMBEDDING else _overall(task, predicted[name, method], draws)
            lead = {} if method == EMBEDDING else {k: (best[k][0] - v, best[k][1] - d) for k, (v, d) in of.items()}
            found.append(_scores(task, name, method, predicted[name, method], draws, of, lead))
    return found


@dataclass
class _Predictions:
    """Probabilities of the classes (n, K) of each scored row, numbers a cell, and folds without convergence."""

    probabilities: NDArray[np.float64]
    width: int = 0
    unconverged: int = 0

    @property
    def labels(self) -> Codes:
        """Code of the most probable class of each row."""
        found: Codes = self.probabilities.argmax(axis=1)
        return found


Drawn = dict[str, tuple[float, NDArray[np.float64]]]


def _overall(task: Task, chosen: _Predictions, draws: bootstrap.Resamples) -> Drawn:
    """Scores of all classes together, each with its resamples."""
    scores = confusion.overall(confusion.per_group(task, chosen.labels), draws)
    return {**scores, "auc": ranking.auc(task, chosen.probabilities, draws)}


def _scores(
    task: Task, name: str, method: str, chosen: _Predictions, draws: bootstrap.Resamples, of: Drawn, lead: Drawn
) -> Scores:
    matrices = confusion.per_group(task, chosen.labels)

    def estimates(drawn: Drawn) -> dict[str, Estimate]:
        sizes = len(task.rows), len(matrices)
        return {k: confusion.estimate(v, d, draws.confidence, *sizes) for k, (v, d) in drawn.items()}

    return Scores(
        classifier=name,
        method=method,
        width=chosen.width,
        predicted=chosen.labels,
        matrix=matrices.sum(axis=0).astype(np.int64),
        overall=estimates(of),
        classes=confusion.per_class(task, matrices, draws),
        difference=estimates(lead),
        unconverged=chosen.unconverged,
    )


def _predict(
    task: Task, methods: Mapping[str, Representation], seed: int, jobs: int, track: Track | None
) -> dict[tuple[str, str], _Predictions]:
    """Predictions out of fold by classifier and method, and the majority."""
    shape = len(task.rows), len(task.classes)
    found = {(c, m): _Predictions(np.zeros(shape)) for c in CLASSIFIERS for m in (*methods, MAJORITY)}
    for name in CLASSIFIERS:
        found[name, MAJORITY].probabilities[:, np.bincount(task.labels).argmax()] = 1
    todo = [(method, train, test) for method in methods for train, test in task.parts()]
    # Threads: trees are grown without the interpreter's lock. Each forest has one thread, so that sums, and with them
    # ties, do not depend on the order in which threads end.
    pool = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # counted in `unconverged`
        done = pool(delayed(_fold)(task, methods[method], train, test, seed) for method, train, test in todo)
        shown = track(done, len(todo)) if track else done
        for (method, _, test), results in zip(todo, shown, strict=True):
            for name, (known, probabilities, width, converged) in results.items():
                into = found[name, method]
                into.probabilities[np.ix_(test, known)] = probabilities
                into.width = max(width, into.width)
                into.unconverged += not converged
    return found


def _fold(
    task: Task, representation: Representation, train: Codes, test: Codes, seed: int
) -> dict[str, tuple[Codes, NDArray[Any], int, bool]]:
    """Codes of the classes in training, their probabilities on the held-out part, numbers a cell, and convergence."""
    x, held = representation(task.rows[train], task.rows[test])
    known = np.unique(task.labels[train])
    if len(known) == 1:  # nothing to learn: the training groups are of one class
        return dict.fromkeys(CLASSIFIERS, (known, np.ones((len(test), 1)), x.shape[1], True))
    found = {}
    for name in CLASSIFIERS:
        model = classifier(name, seed).fit(x, task.labels[train])
        converged = name == FOREST or bool((model[-1].n_iter_ < ITERATIONS).all())
        found[name] = (known, model.predict_proba(held), int(x.shape[1]), converged)
    return found
