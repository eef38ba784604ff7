"""How far each well lies from the negative controls, and whether that grows with dose; how well an assay separates.

The distance of a well is its Mahalanobis distance: Euclidean after sphering on the negative controls, so that a
feature counts by how far it leaves their scatter and two features that move together count once. Their covariance is
that of Ledoit and Wolf (2004), on standardised features, since controls are often fewer than features and a plain
covariance could then not be inverted.

A control is measured against the other controls only. Were it part of its own reference it would seem nearer than a
well that does nothing, and the more so the fewer controls there are. For the same reason any other well is measured
against the same references, each lacking a control, and gets the mean: a well that does nothing is as far, on
average, as a control.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.covariance import ledoit_wolf

from morphospace.errors import InputError
from morphospace.metrics.bootstrap import Interval
from morphospace.words import count

FEWEST_CONTROLS = 4  # three are left when one is measured; two vary along one line only
FEWEST_WELLS = 4  # of a compound: the most extreme of fewer orders has a chance above 1 in 20
_FOLDS = 20  # references at most; up to 20 controls are left out one at a time
_MAD = 1.4826  # of a normal distribution: standard deviation over median absolute deviation
_ALIKE = "the controls do not vary, or the two kinds do not differ"
_EDGE = 1e-12  # below a correlation that is equal but for rounding

Floats = NDArray[np.float64]
Statistic = Callable[[Floats, Floats], Floats]


class Response(NamedTuple):
    """How the distances of one compound's wells follow its doses; NaN where there is a `reason`."""

    wells: int
    doses: int
    rho: float
    low: float
    high: float
    p: float
    reason: str = ""


class Separation(NamedTuple):
    """How well the positive controls stand apart from the negative ones; NaN where there is a `reason`."""

    negative: int
    positive: int
    values: dict[str, float]
    intervals: dict[str, Interval]
    reason: str = ""


def distances(features: NDArray[np.floating[Any]], controls: NDArray[np.bool_]) -> Floats:
    """Return the distance (n,) of each well from the negative controls, over the root of the number of features.

    Parameters
    ----------
    features
        Profiles of the wells (n, d). Any scale and offset of a feature gives the same distances.
    controls
        Which wells are negative controls (n,).

    Returns
    -------
    ndarray
        Of the order of 1 for a control when controls are many.

    Raises
    ------
    InputError
        When a feature is not finite, there are fewer than `FEWEST_CONTROLS` controls, or no feature varies over them.
    """
    values = np.asarray(features, dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise InputError(f"{count(len(wrong), 'well')} with a feature that is not finite (row {wrong[0]} is the first)")
    rows = np.flatnonzero(controls)
    if len(rows) < FEWEST_CONTROLS:
        raise InputError(
            f"{count(len(rows), 'well')} of negative controls; {FEWEST_CONTROLS} are needed for their scatter"
        )
    parts = [rows[i :: min(len(rows), _FOLDS)] for i in range(min(len(rows), _FOLDS))]
    measured = np.stack([_mahalanobis(values, np.setdiff1d(rows, part)) for part in parts])
    found: Floats = measured.mean(axis=0)
    for i, part in enumerate(parts):
        found[part] = measured[i, part]
    return found


def _mahalanobis(values: Floats, reference: NDArray[np.intp]) -> Floats:
    """Return the distance (n,) of every row from some of them; features that are constant there are left out."""
    spread = values[reference].std(axis=0)
    rounding = 10 * len(reference) * np.finfo(np.float64).eps * np.abs(values[reference]).max(axis=0, initial=0)
    use = spread > rounding
    if not use.any():
        raise InputError("no feature varies over the negative controls, so that there is no scale for a distance")
    scale = spread[use]
    scaled = (values[:, use] - values[reference][:, use].mean(axis=0)) / scale
    covariance, _ = ledoit_wolf(scaled[reference], assume_centered=True)
    variances = np.linalg.eigvalsh(covariance)
    if variances[0] <= variances[-1] * len(variances) * np.finfo(np.float64).eps * 10:
        raise InputError(
            f"{count(len(reference), 'well')} of negative controls vary in too few directions for a distance by "
            f"{count(int(use.sum()), 'feature')}: more controls are needed, or fewer features"
        )
    squared = (scaled * np.linalg.solve(covariance, scaled.T).T).sum(axis=1)
    distance: Floats = np.sqrt(squared / use.sum())
    return distance


def response(
    doses: ArrayLike, values: ArrayLike, resamples: int, confidence: float, rng: np.random.Generator
) -> Response:
    """Return Spearman's rank correlation of dose and distance, ties at their mean rank, over the wells of a compound.

    The interval is the percentile interval over resampled wells. The p-value is that of no rise: the share of random
    assignments of the doses to the wells whose correlation is as high, the one seen being one of them.

    Parameters
    ----------
    doses, values
        Dose and distance of each well (n,). A well without either is left out.
    resamples
        Of wells for the interval, and of assignments for the p-value.
    confidence
        Of the interval, such as 0.95.
    rng
        Where they come from.
    """
    x, y = np.asarray(doses, dtype=np.float64), np.asarray(values, dtype=np.float64)
    whole = np.isfinite(x) & np.isfinite(y)
    x, y = x[whole], y[whole]
    n, levels = len(x), len(np.unique(x))
    if reason := _unusable(n, levels, y):
        return Response(n, levels, np.nan, np.nan, np.nan, np.nan, reason)
    rho = float(_spearman(x[None], y[None])[0])
    shuffled = _spearman(rng.permuted(np.tile(x, (resamples, 1)), axis=1), y[None])
    p = (1 + np.count_nonzero(shuffled >= rho - _EDGE)) / (1 + resamples)
    drawn = rng.integers(n, size=(resamples, n))
    low, high = _percentiles(_spearman(x[drawn], y[drawn]), confidence)
    return Response(n, levels, rho, low, high, p)


def _unusable(wells: int, levels: int, values: Floats) -> str:
    if wells < FEWEST_WELLS:
        return f"{count(wells, 'well')} with a dose; {FEWEST_WELLS} are needed"
    if levels < 2:
        return "one dose; two are needed"
    return "" if np.ptp(values) > 0 else "all wells are as far"


def _spearman(x: Floats, y: Floats) -> Floats:
    """Return the rank correlation of each pair of rows; NaN where a row is constant."""
    a, b = (rankdata(v, axis=1) for v in (x, y))
    a, b = (r - r.mean(axis=1, keepdims=True) for r in (a, b))
    with np.errstate(invalid="ignore"):
        found: Floats = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return found


def separation(
    negative: ArrayLike, positive: ArrayLike, resamples: int, confidence: float, rng: np.random.Generator
) -> Separation:
    """Return Z' and SSMD of positive against negative controls, plain and robust, with intervals over wells.

    ``z_prime`` is 1 - 3 (s+ + s-) / |m+ - m-| (Zhang, Chung and Oldenburg 1999): above 0.5 an excellent assay, below 0
    the controls overlap. ``ssmd`` is (m+ - m-) / sqrt(s+^2 + s-^2) (Zhang 2007). The robust ones have the median for
    the mean m, and 1.4826 times the median absolute deviation for the standard deviation s.

    Parameters
    ----------
    negative, positive
        One number a well, such as its distance. Those that are not finite are left out.
    resamples, confidence, rng
        Of the percentile intervals; wells are resampled within either kind.
    """
    n, p = (v[np.isfinite(v)] for v in (np.asarray(negative, dtype=np.float64), np.asarray(positive, dtype=np.float64)))
    if min(len(n), len(p)) < 2:
        reason = f"{len(p)} positive and {len(n)} negative controls with a distance; two of each are needed"
        nothing, no = dict.fromkeys(STATISTICS, np.nan), dict.fromkeys(STATISTICS, Interval(np.nan, np.nan, reason))
        return Separation(len(n), len(p), nothing, no, reason)
    few = "" if min(len(n), len(p)) > 2 else "two wells of a kind: too few to resample"
    draws = n[rng.integers(len(n), size=(resamples, len(n)))], p[rng.integers(len(p), size=(resamples, len(p)))]
    values = {name: _defined(float(of(n[None], p[None])[0])) for name, of in STATISTICS.items()}
    why = {name: "" if np.isfinite(value) else _ALIKE for name, value in values.items()}
    intervals = {
        name: Interval(np.nan, np.nan, few or why[name]) if few or why[name] else _interval(of(*draws), confidence)
        for name, of in STATISTICS.items()
    }
    return Separation(len(n), len(p), values, intervals)


def _defined(value: float) -> float:
    """Return a number, NaN for an infinite one: of controls that do not vary at all, or do not differ."""
    return value if np.isfinite(value) else np.nan


def _plain(values: Floats) -> tuple[Floats, Floats]:
    return values.mean(axis=1), values.std(axis=1, ddof=1)


def _robust(values: Floats) -> tuple[Floats, Floats]:
    middle = np.median(values, axis=1)
    return middle, _MAD * np.median(np.abs(values - middle[:, None]), axis=1)


def _z_prime(summary: Callable[[Floats], tuple[Floats, Floats]]) -> Statistic:
    def statistic(negative: Floats, positive: Floats) -> Floats:
        (m, s), (m_positive, s_positive) = summary(negative), summary(positive)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = 1 - 3 * (s + s_positive) / np.abs(m_positive - m)
        return found

    return statistic


def _ssmd(summary: Callable[[Floats], tuple[Floats, Floats]]) -> Statistic:
    def statistic(negative: Floats, positive: Floats) -> Floats:
        (m, s), (m_positive, s_positive) = summary(negative), summary(positive)
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = (m_positive - m) / np.sqrt(s**2 + s_positive**2)
        return found

    return statistic


STATISTICS: dict[str, Statistic] = {
    "z_prime": _z_prime(_plain),
    "z_prime_robust": _z_prime(_robust),
    "ssmd": _ssmd(_plain),
    "ssmd_robust": _ssmd(_robust),
}


def _interval(drawn: Floats, confidence: float) -> Interval:
    """Return the interval of the resamples, or why there is none."""
    low, high = _percentiles(drawn, confidence)
    if np.isfinite(low) and np.isfinite(high):
        return Interval(low, high)
    return Interval(_defined(low), _defined(high), "too many resamples hold wells that are all alike")


def _percentiles(drawn: Floats, confidence: float) -> tuple[float, float]:
    """Return the ends of the interval of the resamples that say something: NaN when none does."""
    usable = np.sort(drawn[~np.isnan(drawn)])
    if not len(usable):
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    ends = np.floor(tail * (len(usable) - 1)), np.ceil((1 - tail) * (len(usable) - 1))
    return float(usable[int(ends[0])]), float(usable[int(ends[1])])
