"""Normalisation against the negative controls: of each plate, and of the directions in which controls vary.

Everything here is fitted on one table and gives a function that can be applied to others: what was learned from the
wells' controls moves the sites too, and what was learned from some controls can be tried on those held out.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling.features import feature_columns, pycytominer
from morphospace.words import count

logger = logging.getLogger(__name__)

Method = Literal["none", "standardize", "robustize", "pooled"]
Sphere = Literal["none", "zca", "pca"]
Pool = Literal["all", "plate"]
Fitted = Callable[[pd.DataFrame], pd.DataFrame]
Floats = NDArray[np.float64]


def controls(table: pd.DataFrame, by: str, fewest: int) -> pd.DataFrame:
    """Return the negative controls, when every plate (or batch: `by`) has at least `fewest`.

    Raises
    ------
    InputError
        Naming the first plate that has not, and how many it has.
    """
    schema.check(table, [by, schema.PERT_TYPE], "the table")
    found = table[table[schema.PERT_TYPE] == schema.NEGCON]
    numbers = found[by].value_counts().reindex(table[by].unique(), fill_value=0)
    for name, number in numbers.items():
        if number < fewest:
            rows = count(int(number), "row") if number else "no rows"
            raise InputError(
                f"{by.removeprefix('Metadata_').lower()} {name} has {rows} of "
                f"negative controls ({schema.PERT_TYPE} {schema.NEGCON}), of {int((table[by] == name).sum())} in all; "
                f"the normalisation needs {fewest} or more: name its controls, leave it out, or turn the normalisation "
                "off (none)"
            )
    return found


def per_plate(reference: pd.DataFrame, method: Method) -> Fitted:
    """Return the function that measures each feature from the negative controls of its plate, in their deviations.

    Parameters
    ----------
    reference
        Rows of one level (sites, say) with plate, type and features.
    method
        ``standardize``: by mean and standard deviation of each plate's controls; ``robustize``: by median and median
        absolute deviation (times 1.4826), which a single failed control well does not move; ``pooled``: by the plate's
        mean, and the standard deviation within plates of all plates together, for few controls a plate; ``none``.

    Returns
    -------
    Callable
        From a table with those plates and features to the same table, normalised.

    Raises
    ------
    InputError
        When a plate has no negative control, or too few to have a deviation (two; one and two on some plate when
        pooled).

    Notes
    -----
    The scalers are those of ``pycytominer.normalize``: scikit-learn's StandardScaler, and pycytominer's RobustMAD. The
    function itself takes one plate at a time and gives back a table instead of what it learned; and it divides by
    ``mad + 1e-18``, so that a feature whose control values are mostly equal gets values of 1e18. Here a feature that
    does not vary among a plate's controls is centred there and not scaled, as StandardScaler does, with a warning.
    """
    if method == "none":
        return lambda table: table
    features = feature_columns(reference)
    chosen = controls(reference, schema.PLATE, 1 if method == "pooled" else 2)
    if method == "pooled":
        centre, scale = _pooled(chosen, features)
    else:
        parts = {str(plate): _scaler(rows[features], method) for plate, rows in chosen.groupby(schema.PLATE)}
        centre = pd.DataFrame({plate: part[0] for plate, part in parts.items()}, index=features).T
        scale = pd.DataFrame({plate: part[1] for plate, part in parts.items()}, index=features).T
    _warn(scale)
    divisor = scale.where(scale > 0, 1.0)

    def apply(table: pd.DataFrame) -> pd.DataFrame:
        plates = pd.Index(table[schema.PLATE].astype(str))
        values = (table[features].to_numpy() - centre.loc[plates].to_numpy()) / divisor.loc[plates].to_numpy()
        return with_features(table, features, values)

    return apply


def sphere(
    reference: pd.DataFrame, how: Sphere, regularization: float, pool: Pool = "all", by: str = schema.PLATE
) -> Fitted:
    """Return the function after which negative controls vary by 1 in every direction, and in no two together.

    Typical variation normalisation (Ando et al. 2017): W = (C + regularization x I)^(-1/2), where C is the covariance
    (divisor n - 1) of the negative controls about their own mean, which becomes 0.

    Parameters
    ----------
    reference
        Rows of one level with plate, type and features.
    how
        ``zca``: rotated back, so that the features keep their names and move as little as possible (Kessy et al.
        2018); ``pca``: along the principal axes of the controls, largest first, renamed ``Cells_Sphered_000`` and on:
        the published TVN. Distances, cosines and means are equal; medians and correlations are not.
    regularization
        Added to the variance along each axis. 0 whitens exactly; 1 leaves directions in which the controls vary by
        much less than 1 nearly as they are. It is in the units of the features, squared: normalise plates first.
    pool
        ``all``: one transformation; ``plate``: one for each plate.
    by
        The column that names the plate.

    Raises
    ------
    InputError
        When `regularization` is 0 and the controls span fewer directions than there are features.

    Notes
    -----
    ``pycytominer.normalize(method="spherize")`` is right in 1.7.1 as far as it goes (versions 1.3.0 to 1.6.1 did not
    centre first: see the test), and equals ``zca`` with regularization 0 where controls outnumber features. It is not
    used because it adds its epsilon to a singular value of the data, not to the variance, so that its strength
    depends on how many controls there are; because its missing directions get the smallest variance found instead of
    an error; and because it gives a table instead of a transformation that held-out controls can be put through.
    """
    if how == "none":
        return lambda table: table
    features = feature_columns(reference)
    chosen = controls(reference, by, 2 if pool == "plate" else 0)
    groups = {str(name): rows for name, rows in chosen.groupby(by)} if pool == "plate" else {"": chosen}
    maps = {name: _whitening(rows[features].to_numpy(), how, regularization, name) for name, rows in groups.items()}
    names = features if how == "zca" else sphered_names(len(features))

    def apply(table: pd.DataFrame) -> pd.DataFrame:
        keys = table[by].astype(str).to_numpy() if pool == "plate" else np.full(len(table), "")
        values = table[features].to_numpy()
        out = np.empty_like(values)
        for key in np.unique(keys):
            mean, weights = maps[key]
            out[keys == key] = (values[keys == key] - mean) @ weights
        return with_features(table, features, out, names)

    return apply


def sphered_names(number: int) -> list[str]:
    """Return the names of the axes of ``sphere`` with ``pca``."""
    return [f"Cells_Sphered_{i:0{max(3, len(str(number - 1)))}d}" for i in range(number)]


def covariance(values: Floats) -> Floats:
    """Return the covariance (k, k) of rows (n, k) about their mean, divisor n - 1."""
    centred = values - values.mean(axis=0)
    return np.asarray(centred.T @ centred / max(1, len(values) - 1))


def with_features(
    table: pd.DataFrame, features: Sequence[str], values: Floats, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the table with other values of its features, under other names where they are given."""
    rest = table.drop(columns=list(features))
    return pd.concat([rest, pd.DataFrame(values, index=table.index, columns=list(names or features))], axis="columns")


def _scaler(rows: pd.DataFrame, method: Method) -> tuple[Floats, Floats]:
    """Return centre and deviation (k,) of one plate's controls; 0 where they do not vary."""
    from sklearn.preprocessing import StandardScaler

    if method == "robustize":
        mad = pycytominer().operations.RobustMAD(epsilon=0.0).fit(rows)
        return mad.median.to_numpy(), _varying(rows, mad.mad.to_numpy())
    found = StandardScaler().fit(rows.to_numpy())
    return found.mean_, _varying(rows, np.sqrt(found.var_))


def _varying(rows: pd.DataFrame, scale: Floats) -> Floats:
    """Return deviations, 0 where they are but the rounding of equal numbers."""
    size = np.abs(rows.to_numpy()).max(axis=0)
    return np.where(scale > 10 * len(rows) * np.finfo(float).eps * size, scale, 0.0)


def _pooled(rows: pd.DataFrame, features: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return each plate's means, and on every plate the deviation within plates."""
    plates = pd.Index(rows[schema.PLATE].astype(str))
    centre = rows[features].groupby(plates).mean()
    within = rows[features].to_numpy() - centre.loc[plates].to_numpy()
    freedom = len(rows) - len(centre)
    if freedom < 1:
        raise InputError("no plate has two negative controls: there is no deviation within plates to normalise by")
    scale = _varying(rows[features], np.sqrt((within**2).sum(axis=0) / freedom))
    return centre, pd.DataFrame(np.tile(scale, (len(centre), 1)), index=centre.index, columns=features)


def _warn(scale: pd.DataFrame) -> None:
    flat = scale.to_numpy() == 0
    if flat.any():
        plate, feature = (int(i) for i in np.argwhere(flat)[0])
        logger.warning(
            "%d of %d features do not vary among the negative controls of some plate (%s on %s is the first): there "
            "they are centred, not scaled",
            int(flat.any(axis=0).sum()),
            scale.shape[1],
            scale.columns[feature],
            scale.index[plate],
        )


def _whitening(values: Floats, how: Sphere, regularization: float, plate: str) -> tuple[Floats, Floats]:
    """Return the mean (k,) of controls (n, k) and the weights (k, k)."""
    where = f" of plate {plate}" if plate else ""
    if len(values) < 2:
        raise InputError(f"sphering needs two negative controls{where} or more; there are {len(values)}")
    variances, axes = np.linalg.eigh(covariance(values))
    kept = int((variances > variances.max() * len(variances) * np.finfo(float).eps * 10).sum())
    if regularization == 0 and kept < len(variances):
        raise InputError(
            f"the {count(len(values), 'negative control')}{where} span {kept} of {len(variances)} dimensions, and "
            "cannot be sphered with regularization 0: give sphere_regularization above 0 (1 is the published TVN), or "
            "more controls, or fewer features"
        )
    # Rounding can make a variance of 0 a little negative.
    scaled = axes / np.sqrt(np.maximum(variances, 0) + regularization)
    weights: NDArray[Any] = scaled @ axes.T if how == "zca" else scaled[:, ::-1]
    return values.mean(axis=0), weights
