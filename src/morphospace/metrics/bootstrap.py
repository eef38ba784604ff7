"""Intervals by resampling whole groups: cells of one well are not independent of one another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]


class Interval(NamedTuple):
    """A percentile interval; both ends are NaN when there is a `reason` why there is none."""

    low: float
    high: float
    reason: str = ""


class Estimate(NamedTuple):
    """A number with its interval, and what it rests on."""

    value: float
    low: float
    high: float
    cells: int
    groups: int
    reason: str = ""


def first(means: Floats) -> Floats:
    """Return the mean of the first column: the statistic of a plain mean."""
    return means[..., 0]


@dataclass(frozen=True)
class Resamples:
    """The same draws of groups for many quantities, so that their differences and ratios are paired.

    Attributes
    ----------
    codes
        Group of each cell, 0 to G - 1, shape (n,).
    counts
        How often each resample holds each group, shape (resamples, G).
    confidence
        Of the percentile interval, such as 0.95.
    """

    codes: NDArray[np.intp]
    counts: NDArray[np.int64]
    confidence: float

    def estimate(self, values: ArrayLike, statistic: Statistic = first) -> Estimate:
        """Return a statistic of means over cells, with its interval.

        Parameters
        ----------
        values
            One number a cell, shape (n,), or m of them, (n, m). A cell with a value that is not finite counts in
            none of the m means.
        statistic
            Function of the m means, shape (..., m), to one number, shape (...): a ratio of means, say. It is applied
            to the cells as they are, and to every resample.

        Returns
        -------
        Estimate
            NaN without cells; an interval of NaN, and the reason, with a single group.
        """
        table = np.asarray(values, dtype=np.float64)
        table = table[:, None] if table.ndim == 1 else table
        sums, sizes = self._per_group(table)
        cells, groups = int(sizes.sum()), int(np.count_nonzero(sizes))
        if not cells:
            return Estimate(np.nan, np.nan, np.nan, 0, 0, "no cells")
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(statistic(sums.sum(axis=0) / cells))
            if groups < 2:
                return Estimate(value, np.nan, np.nan, cells, groups, "1 group")
            # A resample can miss every group that has cells, where some groups have none: it says nothing.
            weights = self.counts @ sizes
            drawn = statistic((self.counts @ sums)[weights > 0] / weights[weights > 0, None])
        low, high = _percentiles(drawn, self.confidence)
        return Estimate(value, low, high, cells, groups)

    def _per_group(self, table: Floats) -> tuple[Floats, Floats]:
        """Sums (G, m) of the rows that are finite, and how many there are (G,)."""
        groups = self.counts.shape[1]
        whole = np.isfinite(table).all(axis=1)
        codes = self.codes[whole]
        columns = [np.bincount(codes, weights=column, minlength=groups) for column in table[whole].T]
        return np.stack(columns, axis=1), np.bincount(codes, minlength=groups).astype(np.float64)


def resample(groups: ArrayLike, resamples: int, confidence: float, rng: np.random.Generator) -> Resamples:
    """Return draws of whole groups with replacement, as many groups each as there are.

    Parameters
    ----------
    groups
        Name of the group of each cell (its plate and well), shape (n,).
    resamples
        How many draws.
    confidence
        Of the intervals to come.
    rng
        Where the draws come from.
    """
    names, codes = np.unique(np.asarray(groups), return_inverse=True)
    many = len(names)
    counts = rng.multinomial(many, np.full(many, 1 / many), size=resamples) if many else np.zeros((resamples, 0))
    return Resamples(codes.astype(np.intp).reshape(-1), counts.astype(np.int64), confidence)


def interval(
    values: ArrayLike,
    groups: ArrayLike,
    statistic: Statistic,
    resamples: int,
    confidence: float,
    rng: np.random.Generator,
) -> Interval:
    """Return the percentile interval of a statistic of means, by resampling whole groups.

    Cells of a well share its seeding, staining and focus. Resampling cells would count them as independent and give
    an interval that is too narrow; resampling wells keeps them together (Davison and Hinkley 1997, section 3.8). The
    percentile interval is itself too narrow for few groups: see docs/similarity.md for the measured coverage.

    See :meth:`Resamples.estimate` for `values` and `statistic`, :func:`resample` for the rest.
    """
    found = resample(groups, resamples, confidence, rng).estimate(values, statistic)
    return Interval(found.low, found.high, found.reason)


def _percentiles(drawn: NDArray[Any], confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    # "lower" and "higher" neighbours, not interpolation, so that infinite values (a PSNR) cannot make a NaN.
    ordered = np.sort(drawn)
    low = ordered[int(np.floor(tail * (len(ordered) - 1)))]
    high = ordered[int(np.ceil((1 - tail) * (len(ordered) - 1)))]
    return float(low), float(high)
