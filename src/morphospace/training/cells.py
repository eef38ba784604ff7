"""The kept crops: which row of the tiles belongs where, what its channels are, and what is known of it."""

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import files, schema, splitting, tables
from morphospace.errors import InputError
from morphospace.training.data import Labels
from morphospace.words import count

_NAMED = 3  # classes that a warning names
_log = logging.getLogger(__name__)


def read(crops: Path, splits: Path) -> pd.DataFrame:
    """Return ``crops.parquet`` with ``splits.csv``: see `with_splits`."""
    return with_splits(tables.read_parquet(crops, "synthesize"), splitting.read(splits))


def with_splits(crops: pd.DataFrame, sides: pd.DataFrame) -> pd.DataFrame:
    """Return the kept rows of ``crops.parquet``, sorted by object, with their ``Split``: the order of the tiles.

    Parameters
    ----------
    crops
        Every crop, with its status.
    sides
        One row an image set, with its split.

    Raises
    ------
    InputError
        When an image set with crops has no split.
    SchemaError
        When a column lacks, or a key is not unique.
    """
    schema.check(crops, [*schema.METADATA, schema.CROP_STATUS, schema.CROP_FILE], "crops.parquet", schema.OBJECT_KEY)
    schema.check(sides, [schema.SPLIT], "splits.csv", schema.IMAGE_SET_KEY)
    kept = crops[crops[schema.CROP_STATUS] == schema.KEPT].sort_values(schema.OBJECT_KEY, ignore_index=True)
    found = kept.merge(sides[[*schema.IMAGE_SET_KEY, schema.SPLIT]], on=schema.IMAGE_SET_KEY, how="left")
    lost = found[found[schema.SPLIT].isna()]
    if len(lost):
        which = ", ".join(str(v) for v in lost[schema.IMAGE_SET_KEY].iloc[0])
        raise InputError(f"splits.csv has no row for image set {which}; run `dvc repro -f split`")
    return found


def form(synthesis: Path) -> tuple[list[str], int]:
    """Return the names of the channels of the tiles, in order, and their side, as the metrics of synthesize have them.

    Raises
    ------
    InputError
        When they are not there.
    """
    said = files.read_json(synthesis)
    if not isinstance(said, dict) or not said.get("channels") or not isinstance(said.get("size"), int):
        raise InputError(f"{synthesis} does not name channels and size; run `dvc repro -f synthesize`")
    return [str(name) for name in said["channels"]], said["size"]


def labels(table: pd.DataFrame, sides: pd.DataFrame, across: Literal["well", "batch"] = "well") -> Labels:
    """Return what is known of each row: treatment, well or batch, mechanism (the class), compound.

    A mechanism that is `unknown` or not given is no class. One with fewer than two training cells makes no pair, and
    one whose cells are all of one group of the split cannot be both learnt and tested: both are left out of the
    classes, counted and named in a warning.

    Parameters
    ----------
    table
        What `with_splits` gives, in the order of the tiles.
    sides
        ``splits.csv``, with the group of each image set.
    across
        Whether a treatment is to be recognised in other wells or in other batches.
    """
    moa = table[schema.MOA].astype("string").fillna("").replace(schema.UNKNOWN, "")
    group = table[schema.IMAGE_SET_KEY].merge(sides, on=schema.IMAGE_SET_KEY, how="left")[splitting.GROUP].to_numpy()
    trained = moa[table[schema.SPLIT] == schema.TRAIN].value_counts()
    left_out = {}
    for name in sorted(set(moa) - {""}):
        if trained.get(name, 0) < 2:
            left_out[name] = f"{count(trained.get(name, 0), 'training cell')}"
        elif len(set(group[moa == name])) < 2:
            left_out[name] = "all cells in one group of the split, so it cannot be both learnt and tested"
    names = sorted(set(moa) - {"", *left_out})
    if left_out:
        said = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:_NAMED])
        more = ", …" if len(left_out) > _NAMED else ""
        _log.warning(
            "%d of %d classes of %s left out (%s%s)", len(left_out), len(left_out) + len(names), schema.MOA, said, more
        )
    return Labels(
        treatments=_numbers(table, [schema.COMPOUND, schema.CONCENTRATION]),
        groups=_numbers(table, splitting.LEVELS[across]),
        classes=np.asarray(moa.map({name: n for n, name in enumerate(names)}).fillna(-1), dtype=np.int64),
        subclasses=_numbers(table, [schema.COMPOUND]),
        names=names,
        column=schema.MOA,
    )


def _numbers(table: pd.DataFrame, columns: list[str]) -> NDArray[np.int64]:
    """Return a number for each different value of some columns, in the order in which they come."""
    return np.asarray(table.groupby(columns, sort=False, dropna=False).ngroup(), dtype=np.int64)
