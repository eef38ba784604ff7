"""From cells to sites, to wells, to treatments."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling.features import feature_columns, metadata_columns

Statistic = Literal["mean", "median"]
TREATMENT_KEY = [schema.COMPOUND, schema.CONCENTRATION]
WELL_KEY = [schema.PLATE, schema.WELL]
_SINGLE = (schema.BATCH, schema.COMPOUND, schema.CONCENTRATION, schema.MOA, schema.PERT_TYPE)
_JOINED = (schema.PLATE, schema.BATCH)  # of a treatment: every plate and batch it was on
_OBJECTS = (schema.OBJECT, "Metadata_ObjectNumber")  # ours and CellProfiler's; pycytominer's


def sites(cells: pd.DataFrame, statistic: Statistic) -> pd.DataFrame:
    """Return a row a site: the mean or the median of its cells.

    Parameters
    ----------
    cells
        A row a cell, or already a row a site, with plate, well, site and features.
    statistic
        What stands for the cells: ``mean`` or ``median``.

    Returns
    -------
    pandas.DataFrame
        Sorted by plate, well and site: the metadata that is the same for all cells of each site, how many cells
        there are (``Metadata_Object_Count``; only where the table has objects or counts them), and the features.

    Raises
    ------
    InputError
        When the cells of a site do not agree on their compound, concentration, mechanism, type or batch.
    """
    return _group(cells, schema.IMAGE_SET_KEY, statistic)


def wells(rows: pd.DataFrame, statistic: Statistic) -> pd.DataFrame:
    """Return a row a well: the mean or the median of its rows (sites, or cells); see :func:`sites`."""
    return _group(rows, WELL_KEY, statistic)


def treatments(rows: pd.DataFrame, statistic: Statistic) -> pd.DataFrame:
    """Return a row a treatment (compound and concentration): the mean or the median of its rows (wells, or sites).

    ``Metadata_Plate`` and ``Metadata_Batch`` list all plates and batches of the treatment, sorted, with commas between
    them, as the notebook of Caicedo et al. (2018) does. A concentration that is not known (NaN) is one of its own.

    Raises
    ------
    InputError
        When the wells of a treatment do not agree on their mechanism or type.
    """
    rows = rows if schema.CONCENTRATION in rows else rows.assign(**{schema.CONCENTRATION: np.nan})
    return _group(rows, TREATMENT_KEY, statistic, joined=_JOINED)


def _group(rows: pd.DataFrame, key: list[str], statistic: Statistic, joined: Sequence[str] = ()) -> pd.DataFrame:
    """Return a row a group: what is constant in it, the count of cells, the features."""
    features = feature_columns(rows)
    groups = rows.groupby(key, dropna=False, sort=True)
    found = groups[features].mean() if statistic == "mean" else groups[features].median()
    kept: dict[str, Any] = {}
    for name in metadata_columns(rows):
        if name in key or name == schema.OBJECT_COUNT:
            continue
        if name in joined:
            kept[name] = groups[name].agg(lambda values: ",".join(sorted({str(v) for v in values})))
        elif (groups[name].nunique(dropna=False) == 1).all():
            kept[name] = groups[name].first(skipna=False)
        elif name in _SINGLE:
            raise _disagreement(rows, key, name)
    if (count := _count(rows, groups)) is not None:
        kept[schema.OBJECT_COUNT] = count
    parts = [found.index.to_frame(), pd.DataFrame(kept, index=found.index), found.astype(np.float64)]
    table = pd.concat(parts, axis="columns").reset_index(drop=True)
    first = [name for name in schema.METADATA if name in table]
    return table[[*first, *(c for c in table.columns if c not in first)]]


def _count(rows: pd.DataFrame, groups: Any) -> Any:
    """How many cells each group has; None where the table does not say."""
    if schema.OBJECT_COUNT in rows:
        return groups[schema.OBJECT_COUNT].sum()
    if any(name in rows for name in _OBJECTS):
        return groups.size()
    return None


def _disagreement(rows: pd.DataFrame, key: list[str], name: str) -> InputError:
    """Say which group has two values where it may have one."""
    many = rows.groupby(key, dropna=False)[name].nunique(dropna=False)
    which = many.index[many > 1][0]
    here = (rows[key].astype(object).fillna("") == [v if pd.notna(v) else "" for v in which]).all(axis="columns")
    values = sorted({str(v) for v in rows.loc[here, name]})
    group = ", ".join(f"{k.removeprefix('Metadata_')} {v}" for k, v in zip(key, which, strict=True))
    return InputError(f"{group} has {name} {' and '.join(values)}; give it one")
