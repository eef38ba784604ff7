"""Profiles of sites, wells and treatments from a table of cells."""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling import aggregate
from morphospace.profiling.aggregate import Statistic
from morphospace.profiling.features import feature_columns
from morphospace.profiling.normalize import Method, per_plate

Level = Literal["site", "well"]


class Settings(NamedTuple):
    """How profiles are made.

    Attributes
    ----------
    site, well, treatment
        What stands for the cells of a site, the sites of a well, and the rows of a treatment.
    level
        Whose rows are normalised, and stand for a treatment: sites or wells.
    normalize
        Of each plate against its negative controls.
    """

    site: Statistic = "mean"
    well: Statistic = "mean"
    treatment: Statistic = "mean"
    level: Level = "well"
    normalize: Method = "standardize"


class Profiles(NamedTuple):
    """Tables with a row a site, a well and a treatment; one that the input cannot give has no rows."""

    sites: pd.DataFrame
    wells: pd.DataFrame
    treatments: pd.DataFrame


def build(cells: pd.DataFrame, settings: Settings) -> Profiles:
    """Return the profiles of a table of cells, sites or wells.

    Parameters
    ----------
    cells
        A row a cell (``data/embeddings.parquet``), a site, or a well: then it has no ``Metadata_Site``.
    settings
        How.
    """
    schema.check(cells, aggregate.WELL_KEY, "the table")
    _finite(cells)
    with_sites = schema.SITE in cells
    sites = aggregate.sites(cells, settings.site) if with_sites else cells.iloc[:0]
    if settings.level == "site" and with_sites:
        sites = per_plate(sites, settings.normalize)(sites)
        wells = aggregate.wells(sites, settings.well)
    else:
        wells = aggregate.wells(sites, settings.well) if with_sites else aggregate.wells(cells, settings.site)
        step = per_plate(wells, settings.normalize)
        sites, wells = step(sites) if with_sites else sites, step(wells)
    rows = sites if settings.level == "site" and with_sites else wells
    known = schema.COMPOUND in rows
    return Profiles(sites, wells, aggregate.treatments(rows, settings.treatment) if known else wells.iloc[:0])


def _finite(cells: pd.DataFrame) -> None:
    features = feature_columns(cells)
    wrong = ~np.isfinite(cells[features].to_numpy(dtype=np.float64))
    if wrong.any():
        row, column = (int(i[0]) for i in np.nonzero(wrong))
        raise InputError(f"row {row} has a {features[column]} that is not a finite number")
