"""Is a query like anything that is known? Conformal p-values by whole wells: "none of the above" is an answer.

For a class (the negative controls, or a mechanism) some wells are set aside: they calibrate. The score of a cell is its
distance to the k-th nearest cell of the other wells of its class. The p-value of a query compares its score with those
of the calibration wells, each well counted once:

    p = (1 + sum over wells of the share of its cells that score at least as high) / (1 + number of wells)

It holds for few wells, and keeps the cells of a well together, which resemble each other: if the query were a cell
drawn from one more well of the class, exchangeable with the calibration wells, P(p <= a) <= a for every a. (Given the
cells of all those wells, the query's own included, the query is drawn so that each well counts alike, and each cell of
a well. Were the 1 above the share of its own well, p would be its survival function; that share is at most 1.) This is
split conformal prediction (Vovk, Gammerman and Shafer 2005) for two layers (Dunn, Wasserman and Ramdas 2023).

The largest p-value of all classes is the p-value of "it belongs to one of them": for the class that it belongs to, the
p-value is rarely small, so no correction for many classes is needed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

NEIGHBOUR = 5  # which of the nearest cells a score is the distance to
MOST = 2000  # cells of a class that are measured against, and as many that calibrate: the same number of each well
ALPHA = 0.05
_STREAM = 20  # of random numbers, and the next
Floats = NDArray[np.floating[Any]]


class Novelty(NamedTuple):
    """How like a class a query is.

    Attributes
    ----------
    name
        The class.
    p
        The p-value of "the query is of this class".
    wells
        How many wells calibrate; p is never below 1 / (wells + 1).
    unseen
        Whether they are wells that the model was not trained on; else they are drawn from all wells of the class, and
        a cell of a new well may look newer than it is.
    """

    name: str
    p: float
    wells: int
    unseen: bool

    @property
    def decides(self) -> bool:
        """Whether there are wells enough for p to fall to 5 %."""
        return self.wells + 1 >= 1 / ALPHA


def p_value(scores: Sequence[Floats], score: float) -> float:
    """Return the p-value of a score, given the scores of the cells of each calibration well."""
    return (1 + sum(float(np.mean(of_well >= score)) for of_well in scores)) / (1 + len(scores))


def divide(wells: Sequence[str], seen: Sequence[bool] | None, seed: int) -> tuple[set[str], set[str], bool] | None:
    """Return the wells to measure against, those that calibrate, and whether the model was not trained on the latter.

    Parameters
    ----------
    wells
        The well of each cell of a class.
    seen
        Whether the model was trained on each cell, where that is known. When whole wells were seen and others were
        not, those that were not calibrate. Otherwise half of the wells, drawn at random, do.
    seed
        Of the draw, which depends on the names of the wells and not on their order.

    Returns
    -------
    tuple or None
        None with fewer than two wells: a well is never divided.
    """
    names = sorted(set(wells))
    if len(names) < 2:
        return None
    if seen is not None:
        old = {w for w, s in zip(wells, seen, strict=True) if s}
        new = {w for w, s in zip(wells, seen, strict=True) if not s}
        if old and new and not old & new:
            return old, new, True
    drawn = np.random.default_rng([seed, _STREAM]).permutation(names)
    half = (len(names) + 1) // 2
    return set(drawn[half:]), set(drawn[:half]), False


def novelty(
    name: str, vectors: Floats, wells: Sequence[str], query: Floats, seen: Sequence[bool] | None = None, seed: int = 0
) -> Novelty | None:
    """Return how like a class a query is, or None when the class has fewer than two wells.

    Parameters
    ----------
    name
        The class.
    vectors
        Embeddings (n, d) of its cells; the query's own well must not be among them.
    wells
        The well of each.
    query
        An embedding (d,).
    seen
        Whether the model was trained on each cell; None when that is not known.
    seed
        Of the draws of wells, and of cells where there are more than 2000.
    """
    division = divide(wells, seen, seed)
    if division is None:
        return None
    fit, calibration, unseen = division
    rows = {w: np.flatnonzero(np.asarray(wells) == w) for w in sorted(set(wells))}
    near = vectors[np.concatenate(_some([rows[w] for w in sorted(fit)], seed))]
    held = _some([rows[w] for w in sorted(calibration)], seed)
    k = min(NEIGHBOUR, len(near))
    nearest = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(near)
    asked = np.concatenate([vectors[np.concatenate(held)], query[None].astype(vectors.dtype)])
    scores = nearest.kneighbors(asked)[0][:, -1]
    ends = np.cumsum([len(h) for h in held])
    return Novelty(name, p_value(np.split(scores[:-1], ends[:-1]), float(scores[-1])), len(held), unseen)


def verdict(found: Sequence[Novelty]) -> str:
    """Say what the p-values of all classes mean together."""
    if not found:
        return "novelty: no class here has two wells, so nothing can be said"
    like = [n.name for n in found if n.p > ALPHA and n.decides]
    never = [n for n in found if not n.decides]
    largest = max(n.p for n in found)
    if like:
        said = f"like {', '.join(like)} (p above {ALPHA:.0%})"
    elif never:
        said = "like no class that has wells enough to tell" if len(never) < len(found) else "it cannot be told"
    else:
        said = f"none of the above (p = {largest:.2g} or less for every class)"
    few = f"; fewer than {round(1 / ALPHA) - 1} wells calibrate: {', '.join(n.name for n in never)}" if never else ""
    return f"novelty: {said}{few}"


def _some(wells: Sequence[NDArray[np.intp]], seed: int) -> list[NDArray[np.intp]]:
    """Return rows of each well, all or as many of each as make up ``MOST``, in their order."""
    each = max(1, MOST // max(1, len(wells)))
    rng = np.random.default_rng([seed, _STREAM + 1])
    return [np.sort(rng.choice(rows, each, replace=False)) if len(rows) > each else rows for rows in wells]
