"""How high the right rows rank in each row's list: average precision and permutation p-values (Kalinin et al. 2025)."""

import logging
import tempfile
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace.metrics.nearest import Similar, blocks

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Relation = Callable[[Rows], NDArray[np.bool_]]
_TIE = 1e-12  # similarities that differ by less are equal
THRESHOLD = 0.05  # of a corrected p-value


class Ranked(NamedTuple):
    """Average precision of each row that has positives and negatives, and how many of them there are.

    Attributes
    ----------
    rows
        The rows, ascending, shape (q,).
    precision
        Average precision of each, (q,).
    positives, total
        Right rows, and right and wrong rows together, (q,).
    """

    rows: Rows
    precision: Floats
    positives: NDArray[np.int64]
    total: NDArray[np.int64]


def rank(similar: Similar, positive: Relation, negative: Relation, rows: Rows) -> Ranked:
    """Return the average precision of rows, each of which ranks its positives and negatives by similarity.

    Where similarities are equal it is the mean over all orders of the equal ones, so that neither the order of rows nor
    luck decides: of a similarity that is the same everywhere it is what random order gives.

    Parameters
    ----------
    similar
        Similarities of some rows to all.
    positive, negative
        Which rows are right, and which are wrong, for some rows: (b, n).
    rows
        Rows that ask; those without a positive or without a negative are left out.
    """
    kept: list[NDArray[np.intp]] = [np.zeros(0, np.intp)]
    precision, counts = [], []
    for some in blocks(rows):
        right, wrong, near = positive(some), negative(some), similar(some)
        asked = right.any(axis=1) & wrong.any(axis=1)
        kept.append(some[asked])
        for line, mine, others in zip(near[asked], right[asked], wrong[asked], strict=True):
            listed = mine | others
            precision.append(average_precision(line[listed], mine[listed]))
            counts.append((int(mine.sum()), int(listed.sum())))
    table = np.array(counts, dtype=np.int64).reshape(-1, 2)
    return Ranked(np.concatenate(kept), np.array(precision, dtype=np.float64), table[:, 0], table[:, 1])


def average_precision(similarity: Floats, right: NDArray[np.bool_]) -> float:
    """Return the mean precision at the ranks of the right rows, over all orders of equally near ones.

    Of t equal rows at the ranks r + 1 to r + t, p of them right, with P right ones before, the i-th is right with
    probability p / t, and then (i - 1)(p - 1) / (t - 1) right ones are expected among those before it in the tie
    (McSherry and Najork 2008).
    """
    order = np.argsort(-similarity, kind="stable")
    values, hit = similarity[order], right[order].astype(np.float64)
    slack = _TIE * np.maximum(1, np.abs(values[1:]))
    group = np.concatenate([[0], np.cumsum(values[:-1] - values[1:] > slack)])
    size = np.bincount(group)
    found = np.bincount(group, weights=hit)
    start, before = np.cumsum(size) - size, np.cumsum(found) - found
    place = np.arange(len(values)) - start[group]  # within the tie, from 0
    among = place * (found[group] - 1) / np.maximum(size[group] - 1, 1)
    expected = found[group] / size[group] * (before[group] + 1 + among) / (start[group] + place + 1)
    return float(expected.sum() / hit.sum())


def significance(ranked: Ranked, groups: Sequence[str], permutations: int, seed: int) -> pd.DataFrame:
    """Return the mean average precision of each group with its permutation p-value, from copairs.

    The null shuffles the ranks of each row on its own; rows of one group are not independent (they ask for each
    other), so that p-values are somewhat too small.

    Parameters
    ----------
    ranked
        From `rank`.
    groups
        Group of each ranked row: its mechanism, or its treatment.
    permutations
        Size of the null: no p-value is below 1 / (permutations + 1).
    seed
        Of the null.

    Returns
    -------
    pandas.DataFrame
        A row a group, sorted: ``group``, ``mAP``, ``p``, and ``corrected_p`` (Benjamini-Hochberg over the groups).
    """
    if not len(ranked.rows):
        return pd.DataFrame({"group": [], "mAP": [], "p": [], "corrected_p": []})
    scores = pd.DataFrame(
        {
            "average_precision": ranked.precision,
            "normalized_average_precision": ranked.precision,  # copairs asks for it; it decides nothing here
            "n_pos_pairs": ranked.positives,
            "n_total_pairs": ranked.total,
            "group": list(groups),
        }
    )
    found: pd.DataFrame = _copairs(scores, permutations, seed).sort_values("group", ignore_index=True)
    names = {"mean_average_precision": "mAP", "p_value": "p", "corrected_p_value": "corrected_p"}
    return found.rename(columns=names)[["group", *names.values()]]


def _copairs(scores: pd.DataFrame, permutations: int, seed: int) -> Any:
    """Ask copairs, with an empty cache: it keeps nulls under names that do not hold their seed, so old ones differ."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of libraries that it imports
        from copairs.map import mean_average_precision

        logging.getLogger("copairs").setLevel(logging.WARNING)  # it says at each step that it is taken

        return mean_average_precision(
            scores,
            sameby=["group"],
            null_size=permutations,
            threshold=THRESHOLD,
            seed=seed,
            progress_bar=False,
            max_workers=1,
            cache_dir=folder,
        )
