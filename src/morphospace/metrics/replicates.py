"""How alike wells of one treatment are, beside wells of other treatments on the very same plates."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.metrics import bootstrap
from morphospace.reasons import explained

FLOOR = 0.5  # of the share, for profiles that say nothing of the treatment
Floats = NDArray[np.float64]


class Replicates(NamedTuple):
    """Correlations of pairs of wells.

    Attributes
    ----------
    alike, others
        Correlation of each pair of replicates (n,), and of each of their matched random pairs (m,).
    pairs
        A row a pair of replicates: ``compound``, ``treatment``, ``correlation`` and ``share``: of the random pairs
        matched to it, how many correlate less (those that tie count half).
    reason
        Why there are no pairs, where that is known beforehand.
    """

    alike: Floats
    others: Floats
    pairs: pd.DataFrame
    reason: str = ""


def compare(wells: pd.DataFrame, features: list[str]) -> Replicates:
    """Return the correlations of replicates, and of random pairs matched to them.

    A pair of replicates is two wells of one treatment (compound and concentration); negative controls take no part.
    Its random pairs keep the first well, and take in place of the second each well of another compound on the second
    one's plate, and the other way round. So both kinds of pair share plates and batches equally often, and what plates
    have in common counts for nothing. Correlation is Pearson's over features.

    Parameters
    ----------
    wells
        Profiles of wells, with plate, compound, concentration and type.
    features
        Columns to correlate.

    With fewer than two features there is none, and the result says so.
    """
    if len(features) < 2:
        why = f"a correlation of profiles needs two features or more, not {len(features)}"
        nothing = pd.DataFrame(columns=["compound", "treatment", "correlation", "share"], dtype=float)
        return Replicates(np.zeros(0), np.zeros(0), nothing, why)
    rows = wells[(wells[schema.PERT_TYPE] != schema.NEGCON) & schema.is_named(wells[schema.COMPOUND])]
    rows = rows.reset_index(drop=True)
    treatment = rows.groupby([schema.COMPOUND, schema.CONCENTRATION], dropna=False).ngroup().to_numpy()
    compound, plate = rows[schema.COMPOUND].to_numpy(), rows[schema.PLATE].to_numpy()
    table = _correlations(rows[features].to_numpy(dtype=np.float64))
    pairs, others = [], [np.zeros(0)]
    for i, j in zip(*np.nonzero(np.triu(treatment[:, None] == treatment, 1)), strict=True):
        different = compound != compound[i]
        random = np.concatenate([table[i, different & (plate == plate[j])], table[j, different & (plate == plate[i])]])
        if not np.isfinite(table[i, j]) or not np.isfinite(random).any():
            continue
        random = random[np.isfinite(random)]
        share = np.mean((random < table[i, j]) + 0.5 * (random == table[i, j]))
        pairs.append((compound[i], int(treatment[i]), float(table[i, j]), float(share)))
        others.append(random)
    found = pd.DataFrame(pairs, columns=["compound", "treatment", "correlation", "share"])
    return Replicates(found["correlation"].to_numpy(dtype=np.float64), np.concatenate(others), found)


def score(found: Replicates, resamples: int, confidence: float, rng: np.random.Generator) -> dict[str, Any]:
    """Return the share of matched random pairs that correlate less than replicates, with its interval over compounds.

    Every treatment counts once, however many wells it has: the share is the mean over its pairs, then over treatments.
    0.5 is chance (``floor``), 1 is perfect. The interval resamples compounds, whose doses are not independent.
    """
    each = found.pairs.groupby(["compound", "treatment"], sort=True)["share"].mean().reset_index()
    drawn = bootstrap.resample(each["compound"].to_numpy(str), resamples, confidence, rng)
    value = drawn.estimate(each["share"].to_numpy(dtype=np.float64))
    nothing = found.reason or ("" if len(each) else "no treatment has two wells")
    why = dict.fromkeys(("share_above_random", "low", "high", "median_correlation", "median_random"), nothing)
    record = {
        "share_above_random": value.value,
        "low": value.low,
        "high": value.high,
        "floor": FLOOR,
        "treatments": value.cells,
        "compounds": value.groups,
        "pairs": len(found.pairs),
        "median_correlation": float(np.median(found.alike)) if len(found.alike) else np.nan,
        "median_random": float(np.median(found.others)) if len(found.others) else np.nan,
    }
    return explained(record, why if nothing else {"low": value.reason, "high": value.reason})


def _correlations(values: Floats) -> Floats:
    """Return Pearson correlations (n, n) of rows (n, k); NaN for a row whose values are all equal."""
    centred = values - values.mean(axis=1, keepdims=True)
    size = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = np.divide(centred, size, out=np.full_like(centred, np.nan), where=size > 0)
    return np.asarray(unit @ unit.T)
