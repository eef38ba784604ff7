"""Which latents move with what is known of a cell: rank correlations, and how few of them are chance.

Cells of one well are not independent: they share their dose, their seeding and their staining. So

- what belongs to a well (dose, mechanism, plate) is tested on the means of wells, one number a well;
- what belongs to a cell (size, intensity) is correlated within each well, where the well is the same for all, and the
  correlations of the wells are tested against 0: the wells are the sample.

All p-values of all latents and properties are adjusted together (Benjamini and Hochberg 1995).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, false_discovery_control, rankdata, t

from morphospace.words import count

FEWEST_CELLS = 5  # of a well, for a correlation within it
FEWEST_WELLS = 3  # for a test of the mean of the correlations within wells
SMALLEST_CLASS = 2  # wells of a class, for it to count
_DEGREES = 3  # of freedom, at least, for a rank correlation over wells

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


class Tested(NamedTuple):
    """How all latents move with one property.

    Attributes
    ----------
    effect
        Spearman's rho, or epsilon squared, of each latent (z,); NaN for a latent that is constant.
    p
        Two-sided p-values (z,).
    chance
        What `effect` is on average when nothing moves.
    wells
        That it rests on.
    reason
        Why there is no test; then `effect` and `p` are NaN.
    """

    effect: Floats
    p: Floats
    chance: float
    wells: int
    reason: str = ""


def well_means(latents: NDArray[np.floating[Any]], wells: Codes) -> Floats:
    """Return the mean latents (w, z) of the wells 0 to w - 1, from cells (n, z) and their wells (n,)."""
    counts = np.bincount(wells)
    sums = [np.bincount(wells, weights=column) for column in np.asarray(latents, dtype=np.float64).T]
    means: Floats = np.stack(sums, axis=1) / counts[:, None]
    return means


def by_rank(means: Floats, values: ArrayLike, strata: Sequence[Any]) -> Tested:
    """Return the rank correlation of each latent with a number of the wells, within strata.

    Ranks are taken within each stratum (a compound on a plate), so that neither compounds whose doses differ nor plates
    that differ count as an effect. The effect is the mean of the strata's correlations, weighted by their wells, with a
    t-test on n - strata - 1 degrees of freedom. With one stratum it is Spearman's, as SciPy's. A latent that moves one
    way in one stratum and the other way in another cancels.

    Parameters
    ----------
    means
        Latents of the wells (w, z).
    values
        The number of each well (w,); wells without one (NaN) are left out, and so are strata with a single value.
    strata
        Name of each well's stratum (w,).
    """
    x = np.asarray(values, dtype=np.float64)
    names = np.asarray([str(s) for s in strata], dtype=object)
    parts = [np.flatnonzero((names == name) & np.isfinite(x)) for name in sorted(set(names.tolist()))]
    parts = [part for part in parts if len(np.unique(x[part])) > 1]
    if not parts:
        return _untested(means.shape[1], 0, "no compound has two doses on a plate")
    n = sum(map(len, parts))
    degrees = n - len(parts) - 1
    if degrees < _DEGREES:
        needed = len(parts) + 1 + _DEGREES
        why = f"{count(n, 'well')} in {count(len(parts), 'stratum', 'strata')}; {needed} are needed"
        return _untested(means.shape[1], n, why)
    a = np.concatenate([_standard(x[part, None]) for part in parts])
    b = np.concatenate([_standard(means[part]) for part in parts])
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = np.clip((a * b).sum(axis=0) / np.sqrt((a**2).sum() * (b**2).sum(axis=0)), -1, 1)
        p = 2 * t.sf(np.abs(rho) * np.sqrt(degrees / (1 - rho**2)), degrees)
    return Tested(rho, p, 0.0, n)


def by_class(means: Floats, classes: Sequence[Any]) -> Tested:
    """Return how much of the ranks of each latent the classes of the wells explain: Kruskal and Wallis's test.

    The effect is epsilon squared, H / (n - 1) (Tomczak and Tomczak 2014): 0 for classes alike, 1 for classes that do
    not overlap at all. By chance it is (k - 1) / (n - 1) on average, with k classes, which is much for many classes of
    few wells: see `chance`. The p-value is that of chi squared, which is a little too large for classes of few wells.

    Parameters
    ----------
    means
        Latents of the wells (w, z).
    classes
        Class of each well (w,); None leaves the well out, as does a class of fewer than `SMALLEST_CLASS` wells.
    """
    names = np.asarray(["" if c is None else f"_{c}" for c in classes], dtype=object)
    there, counts = np.unique(names[names != ""].astype(str), return_counts=True)
    there = there[counts >= SMALLEST_CLASS]
    rows = np.flatnonzero(np.isin(names.astype(str), there))
    n, k = len(rows), len(there)
    if k < 2:
        return _untested(means.shape[1], n, f"two classes with {SMALLEST_CLASS} wells or more are needed, not {k}")
    ranks = _centred(means[rows])
    parts = [np.flatnonzero(names[rows] == name) for name in there]
    between = np.sum([len(part) * ranks[part].mean(axis=0) ** 2 for part in parts], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        epsilon: Floats = between / (ranks**2).sum(axis=0)
    return Tested(epsilon, chi2.sf(epsilon * (n - 1), k - 1), (k - 1) / (n - 1), n)


def within_wells(latents: NDArray[np.floating[Any]], values: ArrayLike, wells: Codes) -> Tested:
    """Return the mean over wells of the rank correlation of each latent with a number of the cells.

    The p-value is that of a t-test of the wells' correlations against 0: it grows with wells, not with cells. What
    differs between wells, such as a stain that is brighter in one, counts for nothing.

    Parameters
    ----------
    latents
        Of the cells (n, z).
    values
        The number of each cell (n,); a cell without one (NaN) is left out.
    wells
        Of each cell, 0 to w - 1. Wells with fewer than `FEWEST_CELLS` such cells, or all alike, are left out.
    """
    x = np.asarray(values, dtype=np.float64)
    order = np.argsort(wells, kind="stable")
    parts = [part[np.isfinite(x[part])] for part in np.split(order, np.cumsum(np.bincount(wells))[:-1])]
    usable = [part for part in parts if len(part) >= FEWEST_CELLS and np.ptp(x[part]) > 0]
    if len(usable) < FEWEST_WELLS:
        why = f"{count(len(usable), 'well')} where it varies over {FEWEST_CELLS} cells; {FEWEST_WELLS} are needed"
        return _untested(latents.shape[1], len(usable), why)
    each = np.stack([_spearman(x[part], latents[part]) for part in usable])
    constant = np.isnan(each).any(axis=0)  # in a well: it says nothing of how the latent moves
    mean, scatter = each.mean(axis=0), each.std(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * t.sf(np.abs(mean) * np.sqrt(len(usable)) / scatter, len(usable) - 1)
    return Tested(np.where(constant, np.nan, mean), np.where(constant, np.nan, p), 0.0, len(usable))


def adjusted(p: Floats) -> Floats:
    """Return the p-values of all tests adjusted together (Benjamini and Hochberg 1995); NaN stays NaN.

    Among the tests whose adjusted value is q or less, a share of at most q is false, on average, where the tests are
    independent or depend on each other positively (Benjamini and Yekutieli 2001).
    """
    found = np.full(p.shape, np.nan)
    tested = ~np.isnan(p)
    if tested.any():
        found[tested] = false_discovery_control(p[tested])
    return found


def _spearman(x: Floats, latents: NDArray[np.floating[Any]]) -> Floats:
    a, b = _centred(x[:, None]), _centred(np.asarray(latents, dtype=np.float64))
    with np.errstate(invalid="ignore"):
        rho: Floats = (a * b).sum(axis=0) / np.sqrt((a**2).sum() * (b**2).sum(axis=0))
    return rho


def _centred(values: Floats) -> Floats:
    """Return the ranks of each column less their mean, ties at their mean rank."""
    ranks: Floats = rankdata(values, axis=0) - (len(values) + 1) / 2
    return ranks


def _standard(values: Floats) -> Floats:
    """Return the ranks of each column with mean 0 and variance 1, or 0 where they are all alike."""
    ranks = _centred(values)
    spread = ranks.std(axis=0)
    standard: Floats = ranks / np.where(spread > 0, spread, 1)
    return standard


def _untested(latents: int, wells: int, reason: str) -> Tested:
    nothing = np.full(latents, np.nan)
    return Tested(nothing, nothing, np.nan, wells, reason)
