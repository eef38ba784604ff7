"""Alignment of batches: what differs between weeks though the treatment is the same."""

import importlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling.features import feature_columns
from morphospace.profiling.normalize import Fitted, Floats, controls, covariance, with_features

Align = Literal["none", "coral", "harmony"]


def coral(reference: pd.DataFrame, regularization: float) -> Fitted:
    """Return the function after which the negative controls of every batch have the mean and covariance of all.

    Correlation alignment (Sun et al. 2016), fitted on negative controls and applied to every row of their batch, as
    Ando et al. (2017) do: x becomes (x - m_b) (C_b + r I)^(-1/2) (C + r I)^(1/2) + m, where m_b and C_b are mean and
    covariance of the batch's controls, m and C the mean over batches and the covariance of all controls about the
    mean of their batch. The notebook of Caicedo et al. (2018) takes second moments about the origin instead, and does
    not move means.

    Parameters
    ----------
    reference
        Rows of one level with batch, type and features.
    regularization
        r, added to each variance; with 0 a batch must have more controls than there are features.

    Raises
    ------
    InputError
        When a batch has fewer than two negative controls, or with `regularization` 0 fewer than it needs.
    """
    features = feature_columns(reference)
    chosen = controls(reference, schema.BATCH, 2)
    groups = {str(name): rows[features].to_numpy() for name, rows in chosen.groupby(schema.BATCH)}
    means = {name: values.mean(axis=0) for name, values in groups.items()}
    mean = np.mean(list(means.values()), axis=0)
    target = _power(covariance(np.concatenate([v - means[n] for n, v in groups.items()])), regularization, 0.5, "all")
    maps = {n: _power(covariance(v), regularization, -0.5, n) @ target for n, v in groups.items()}

    def apply(table: pd.DataFrame) -> pd.DataFrame:
        batches = table[schema.BATCH].astype(str).to_numpy()
        values = table[features].to_numpy()
        out = np.empty_like(values)
        for name in np.unique(batches):
            rows = batches == name
            out[rows] = (values[rows] - means[name]) @ maps[name] + mean
        return with_features(table, features, out)

    return apply


def harmony(reference: pd.DataFrame, key: Sequence[str], seed: int) -> Fitted:
    """Return the function that moves rows as Harmony (Korsunsky et al. 2019) does, to mix the batches.

    Harmony has no use for controls: it clusters all rows softly, and in each cluster moves batches together, so it
    also takes away what only one batch shows, such as a treatment that was imaged in one week alone. What it learns
    is where each row goes, not a function of features: other rows (the sites of wells) move by as much as the row with
    their key.

    Parameters
    ----------
    reference
        Rows of one level with batch and features.
    key
        Columns that name a row of that level.
    seed
        Of its clusters.

    Raises
    ------
    InputError
        When harmonypy is not installed, or there are fewer than two batches.
    """
    schema.check(reference, [schema.BATCH, *key], "the table", key=key)
    features = feature_columns(reference)
    if reference[schema.BATCH].nunique() < 2:
        raise InputError(f"harmony needs two batches or more; all rows are of {reference[schema.BATCH].iloc[0]}")
    values = reference[features].to_numpy()
    moved = _harmonize(values, reference[[schema.BATCH]].astype(str).reset_index(drop=True), seed)
    shifts = pd.DataFrame(moved - values, index=pd.MultiIndex.from_frame(reference[list(key)]))

    def apply(table: pd.DataFrame) -> pd.DataFrame:
        rows = shifts.reindex(pd.MultiIndex.from_frame(table[list(key)]))
        return with_features(table, features, table[features].to_numpy() + rows.to_numpy())

    return apply


def _harmonize(values: Floats, batches: pd.DataFrame, seed: int) -> Floats:
    try:
        harmonypy = importlib.import_module("harmonypy")
    except ModuleNotFoundError:
        raise InputError(
            "harmony needs the package harmonypy (GPL); install it with: pip install 'morphospace[harmony]'"
        ) from None
    # Rows as columns, which it takes for rows without asking; as many clusters as it would choose, but never none.
    clusters = int(max(1, min(round(len(values) / 30), 100)))
    found = harmonypy.run_harmony(
        values.T, batches, schema.BATCH, nclust=clusters, verbose=False, random_state=seed, ncores=1
    )
    return np.asarray(found.Z_corr, dtype=np.float64)


def _power(matrix: Floats, regularization: float, power: float, batch: str) -> Floats:
    """Return a power of a covariance (k, k) with `regularization` on its diagonal."""
    variances, axes = np.linalg.eigh(matrix)
    flat = variances <= max(variances.max(), 0) * len(variances) * np.finfo(float).eps * 10
    if regularization == 0 and flat.any() and power < 0:
        raise InputError(
            f"the negative controls of batch {batch} span {int((~flat).sum())} of {len(flat)} dimensions, and cannot "
            "be aligned with regularization 0: give align_regularization above 0 (1 is the published value)"
        )
    return np.asarray(axes * (np.maximum(variances, 0) + regularization) ** power @ axes.T)
