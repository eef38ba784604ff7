"""Normalisation against the negative controls."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling.features import feature_columns

Method = Literal["none", "standardize", "robustize"]
Fitted = Callable[[pd.DataFrame], pd.DataFrame]


def per_plate(reference: pd.DataFrame, method: Method) -> Fitted:
    """Return the function that takes each plate's features from its negative controls, in their deviations."""
    if method == "none":
        return lambda table: table
    features = feature_columns(reference)
    controls = reference[reference[schema.PERT_TYPE] == schema.NEGCON]
    if missing := sorted(set(reference[schema.PLATE]) - set(controls[schema.PLATE])):
        raise InputError(f"plate {missing[0]} has no negative control")
    groups = controls.groupby(schema.PLATE)[features]
    centre, scale = (groups.mean(), groups.std(ddof=0)) if method == "standardize" else (groups.median(), _mad(groups))

    def normalize(table: pd.DataFrame) -> pd.DataFrame:
        plates = table[schema.PLATE]
        divisor = scale.loc[plates].to_numpy()
        values = (table[features].to_numpy() - centre.loc[plates].to_numpy()) / np.where(divisor == 0, 1, divisor)
        return table.assign(**dict(zip(features, values.T, strict=True)))

    return normalize


def _mad(groups: "pd.api.typing.DataFrameGroupBy") -> pd.DataFrame:
    return groups.agg(lambda values: 1.4826 * (values - values.median()).abs().median())
