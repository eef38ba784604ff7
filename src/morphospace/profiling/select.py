"""Which features are worth keeping: those that replicates agree on, and of two that are alike only one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling.features import feature_columns
from morphospace.words import count

_TREATMENT = [schema.COMPOUND, schema.CONCENTRATION]
Floats = NDArray[np.float64]


def chosen(wells: pd.DataFrame, agree: float | None, distinct_to: float | None) -> list[str]:
    """Return the features to keep, as the vignette ``predict_moa`` of the R package cytominergallery chooses them.

    Those that are constant never stay.

    Parameters
    ----------
    wells
        A row a well, as measured, with compound and concentration.
    agree
        Features whose `replicate_correlation` is below it go. As many replicates are looked at as most treatments
        have.
    distinct_to
        Of two features whose correlation is beyond it, of either sign, one goes: see `distinct`.

    Raises
    ------
    InputError
        When no feature varies or is left, no treatment has two wells, or fewer than three have as many as most.
    """
    features = feature_columns(wells)
    varying = np.isfinite(_standard(wells[features].to_numpy(np.float64))[0])
    features = [f for f, varies in zip(features, varying, strict=True) if varies]
    if not features:
        raise InputError("no feature varies between the wells")
    if agree is not None:
        sizes = wells.groupby(_TREATMENT, dropna=False).size()
        often = sizes[sizes > 1].value_counts()
        if often.empty:
            raise InputError("no treatment has two wells, so that none can be said to agree")
        replicates = int(often[often == often.max()].index.max())
        found = replicate_correlation(wells, features, _TREATMENT, replicates)
        features = [f for f, r in zip(features, found, strict=True) if r >= agree]
        if not features:
            raise InputError(f"on no feature do replicates agree to {agree:g}; the highest is {np.nanmax(found):.3f}")
    if distinct_to is not None:
        kept = distinct(wells[features].to_numpy(np.float64), distinct_to)
        features = [f for f, ok in zip(features, kept, strict=True) if ok]
    return features


def replicate_correlation(table: pd.DataFrame, features: Sequence[str], key: Sequence[str], replicates: int) -> Floats:
    """Return how well replicates agree on each feature, (k,).

    Of the groups with exactly `replicates` rows, the first rows, the second rows, … are correlated over the groups
    (Pearson), and the median over the pairs of them is taken, as in the vignette ``predict_moa`` of the R package
    cytominergallery. A feature that is constant has NaN.

    Parameters
    ----------
    table
        A row a well.
    features
        Columns.
    key
        Columns that name a treatment.
    replicates
        Rows of a group that is looked at.

    Raises
    ------
    InputError
        When fewer than three groups have so many rows.
    """
    groups = table.groupby(list(key), dropna=False, sort=True)
    number, size = groups.cumcount().to_numpy(), groups[features[0]].transform("size").to_numpy()
    order = groups.ngroup().to_numpy()
    rows = [np.flatnonzero((size == replicates) & (number == i)) for i in range(replicates)]
    rows = [some[np.argsort(order[some], kind="stable")] for some in rows]
    if len(rows[0]) < 3:
        raise InputError(
            f"{count(len(rows[0]), 'treatment')} with exactly {count(replicates, 'well')}; a correlation needs 3"
        )
    values = table[list(features)].to_numpy(np.float64)
    scaled = [_standard(values[some]) for some in rows]
    pairs = [(scaled[i] * scaled[j]).mean(axis=0) for i in range(replicates) for j in range(i)]
    found: Floats = np.median(pairs, axis=0)
    return found


def _standard(values: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = values - values.mean(axis=0)
        spread = centred.std(axis=0)
        found: Floats = np.where(spread > 1e-12 * np.abs(values).max(axis=0), centred / spread, np.nan)
    return found


def distinct(values: NDArray[np.floating[Any]], threshold: float) -> NDArray[np.bool_]:
    """Return which columns of (n, k) stay when of two that are too much alike one goes.

    Alike is a correlation beyond the threshold, of either sign; the one with the higher mean absolute correlation to
    all columns goes. All pairs are judged at once, so that a column can go for one that goes itself: what
    ``findCorrelation`` of the R package caret does with many columns. ``pycytominer.feature_select`` keeps both of two
    columns that are alike but for their sign, and is not used for that.

    Raises
    ------
    InputError
        When a column is constant.
    """
    scaled = _standard(np.asarray(values, dtype=np.float64))
    if np.isnan(scaled).any():
        raise InputError(f"column {int(np.flatnonzero(np.isnan(scaled).any(axis=0))[0])} is constant; drop it first")
    r = np.abs(scaled.T @ scaled / len(scaled))
    typical = r.sum(axis=0)
    upper = np.triu(r > threshold, 1)
    first = typical[:, None] > typical  # the first of a pair goes; of equals the second
    gone = (upper & first).any(axis=1) | (upper & ~first).any(axis=0)
    kept: NDArray[np.bool_] = ~gone
    return kept
