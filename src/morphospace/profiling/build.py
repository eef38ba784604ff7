"""Profiles of sites, wells and treatments from a table of cells."""

import logging
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling import aggregate
from morphospace.profiling.aggregate import Statistic
from morphospace.profiling.align import Align, coral, harmony
from morphospace.profiling.features import feature_columns
from morphospace.profiling.normalize import Fitted, Method, Pool, Sphere, per_plate, sphere
from morphospace.words import count

logger = logging.getLogger(__name__)

Level = Literal["site", "well"]
Missing = Literal["error", "rows", "features"]


class Settings(NamedTuple):
    """How profiles are made.

    Attributes
    ----------
    site, well, treatment
        What stands for the cells of a site, the sites of a well, and the rows of a treatment: mean or median.
    level
        Whose rows are normalised and stand for a treatment: sites, or wells. A table without sites has only wells.
    normalize
        Of each plate against its negative controls: see :func:`morphospace.profiling.normalize.per_plate`.
    sphere, sphere_regularization, sphere_pool
        Then: see :func:`morphospace.profiling.normalize.sphere`.
    align, align_regularization
        Of batches, last: see :mod:`morphospace.profiling.align`.
    missing
        What a value that is not a finite number does: it is an error; its row is dropped; its feature is.
    seed
        Of Harmony.
    """

    site: Statistic = "mean"
    well: Statistic = "mean"
    treatment: Statistic = "mean"
    level: Level = "site"
    normalize: Method = "pooled"
    sphere: Sphere = "none"
    sphere_regularization: float = 1.0
    sphere_pool: Pool = "all"
    align: Align = "none"
    align_regularization: float = 1.0
    missing: Missing = "error"
    seed: int = 0


# Mean of cells, TVN on the sites of negative controls, CORAL, median of sites: Caicedo et al. (2018), notebook.
PUBLISHED = Settings(treatment="median", level="site", normalize="none", sphere="pca", align="coral")


class Profiles(NamedTuple):
    """Tables with a row a site, a well and a treatment, normalised alike; one that cannot be made has no rows."""

    sites: pd.DataFrame
    wells: pd.DataFrame
    treatments: pd.DataFrame


def usable(cells: pd.DataFrame, settings: Settings) -> Settings:
    """Return the settings, without what needs negative controls when there are none worth the name, with a warning.

    Plates that nobody annotated have no controls, and their profiles are worth having all the same. One plate with two
    rows of controls is enough for the settings to hold as they are: then a plate without any is a mistake, and `build`
    refuses it.
    """
    key = [c for c in (schema.IMAGE_SET_KEY if settings.level == "site" else aggregate.WELL_KEY) if c in cells]
    rows = cells.loc[cells[schema.PERT_TYPE] == schema.NEGCON, key].drop_duplicates()
    most = int(rows[schema.PLATE].value_counts().max()) if len(rows) else 0
    align: Align = "harmony" if settings.align == "harmony" else "none"  # which asks for no controls
    plain = settings._replace(normalize="none", sphere="none", align=align)
    if most > 1 or settings == plain:
        return settings
    logger.warning(
        "no plate has two %ss of negative controls (%s %s): profiles are not normalised; name the controls, or set "
        "profile.normalize, sphere and align to none",
        settings.level,
        schema.PERT_TYPE,
        schema.NEGCON,
    )
    return plain


def build(cells: pd.DataFrame, settings: Settings, name: str = "the table") -> Profiles:
    """Return the profiles of a table of cells, sites or wells.

    Parameters
    ----------
    cells
        A row a cell (``data/embeddings.parquet``), a site, or a well: then it has no ``Metadata_Site``, and there are
        no profiles of sites. Without ``Metadata_Compound`` there are none of treatments.
    settings
        How.
    name
        What the table is called in a message: its file.

    Raises
    ------
    SchemaError
        When a column is missing.
    InputError
        When a value is no finite number, a group does not agree with itself, a plate or batch lacks negative
        controls, or there are too few of them.
    """
    return profiles(aggregated(cells, settings, name), settings)


def aggregated(cells: pd.DataFrame, settings: Settings, name: str = "the table") -> pd.DataFrame:
    """Return a row a site, not normalised, of a table of cells or sites; a row a well where it names no sites.

    Raises as `build` does, but for controls.
    """
    schema.check(cells, aggregate.WELL_KEY, name)
    if cells.empty:
        raise InputError(f"{name} has no rows")
    cells = _finite(cells, settings.missing, name)
    return (aggregate.sites if schema.SITE in cells else aggregate.wells)(cells, settings.site)


def profiles(rows: pd.DataFrame, settings: Settings) -> Profiles:
    """Return the profiles of rows that are `aggregated`; see `build`."""
    if schema.SITE not in rows:
        wells = _normalized(rows, settings, aggregate.WELL_KEY)[-1]
        return Profiles(wells.iloc[:0], wells, _treatments(wells, settings))
    sites = rows
    if settings.level == "site":
        sites = _normalized(sites, settings, schema.IMAGE_SET_KEY)[-1]
        return Profiles(sites, aggregate.wells(sites, settings.well), _treatments(sites, settings))
    wells = aggregate.wells(sites, settings.well)
    sites, wells = _normalized(wells, settings, aggregate.WELL_KEY, sites)
    return Profiles(sites, wells, _treatments(wells, settings))


def _normalized(rows: pd.DataFrame, settings: Settings, key: list[str], *others: pd.DataFrame) -> list[pd.DataFrame]:
    """Return other tables, and last the rows that the normalisation is fitted on, after every step."""
    tables = [*others, rows]
    for step in (_plates, _sphere, _align):
        apply = step(tables[-1], settings, key)
        tables = [apply(table) for table in tables]
    return tables


def _plates(rows: pd.DataFrame, settings: Settings, _: list[str]) -> Fitted:
    return per_plate(rows, settings.normalize)


def _sphere(rows: pd.DataFrame, settings: Settings, _: list[str]) -> Fitted:
    return sphere(rows, settings.sphere, settings.sphere_regularization, settings.sphere_pool)


def _align(rows: pd.DataFrame, settings: Settings, key: list[str]) -> Fitted:
    if settings.align == "coral":
        return coral(rows, settings.align_regularization)
    return harmony(rows, key, settings.seed) if settings.align == "harmony" else lambda table: table


def _treatments(rows: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    if schema.COMPOUND not in rows:
        return rows.iloc[:0]
    nameless = rows[schema.COMPOUND].isna() | (rows[schema.COMPOUND] == "")
    if nameless.any():
        wells = len(rows.loc[nameless, aggregate.WELL_KEY].drop_duplicates())
        logger.warning("%s without a compound: of no treatment", count(wells, "well"))
    return aggregate.treatments(rows[~nameless], settings.treatment) if (~nameless).any() else rows.iloc[:0]


def _finite(cells: pd.DataFrame, missing: Missing, name: str) -> pd.DataFrame:
    """Return the table without values that are not finite, or refuse it."""
    features = feature_columns(cells)
    wrong = ~np.isfinite(cells[features].to_numpy(dtype=np.float64))
    if not wrong.any():
        return cells
    rows, columns = wrong.any(axis=1), wrong.any(axis=0)
    row, column = int(np.flatnonzero(rows)[0]), features[int(np.flatnonzero(wrong[np.flatnonzero(rows)[0]])[0])]
    key = ", ".join(f"{k}={cells[k].iloc[row]}" for k in schema.OBJECT_KEY if k in cells)
    say = (
        f"{name}: {int(rows.sum())} of {len(rows)} rows and {int(columns.sum())} of {len(columns)} features have a "
        f"value that is not a finite number; the first is {column} in row {row} ({key})"
    )
    if missing == "error":
        raise InputError(f"{say}; drop these rows, or these features")
    if (rows if missing == "rows" else columns).all():
        raise InputError(f"{say}; without these {missing} nothing is left")
    logger.warning("%s; these %s are dropped", say, missing)
    if missing == "rows":
        return cells.take(np.flatnonzero(~rows)).reset_index(drop=True)
    return cells.drop(columns=[feature for feature, drop in zip(features, columns, strict=True) if drop])
