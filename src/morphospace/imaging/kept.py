"""The kept crops of cells that another table has: their files, and what was measured of them."""

from pathlib import Path

import pandas as pd

from morphospace import schema, tables
from morphospace.errors import InputError


def of(cells: pd.DataFrame, name: str, crops_table: Path) -> pd.DataFrame:
    """Return the row of ``crops.parquet`` of each cell, in the order of the cells.

    Parameters
    ----------
    cells
        A row a cell, with the columns of `schema.OBJECT_KEY`.
    name
        What the messages call them.
    crops_table
        The table of the crops.

    Raises
    ------
    InputError
        When the table is missing, or a cell has no kept crop.
    SchemaError
        When a column lacks, or a key is not unique.
    """
    key = schema.OBJECT_KEY
    schema.check(cells, [], name, key)
    found = tables.read_parquet(crops_table, "synthesize")
    schema.check(found, [schema.CROP_FILE, schema.CROP_STATUS], str(crops_table), key)
    kept = found[found[schema.CROP_STATUS] == schema.KEPT].drop(columns=schema.CROP_STATUS)
    joined = cells[key].merge(kept, on=key, how="left", validate="one_to_one")
    lost = joined[joined[schema.CROP_FILE].isna()]
    if len(lost):
        which = ", ".join(str(v) for v in lost[key].iloc[0])
        raise InputError(
            f"{crops_table} has no kept crop of {len(lost):,} of {len(cells):,} cells of {name}, the first is {which}; "
            "both must be of one run: run `dvc repro`"
        )
    return joined
