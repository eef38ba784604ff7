"""Columns of a table as a browser takes them: numbers as float32, categories as uint16 codes and their names."""

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.errors import InputError

NONE = 65535  # the code of a row without a category
GROUPS = {"Metadata_": "metadata", schema.LATENT_PREFIX: "latent"}
_UNITS = {schema.CONCENTRATION: "µM", schema.CROP_MEAN: "0 to 1"}
_ENDS = {"_AreaShape_Area": "px²", "_Center_X": "px", "_Center_Y": "px"}


class Column(NamedTuple):
    """One column: `values` are float32 with NaN for none, or uint16 codes of `levels` with `NONE` for none."""

    name: str
    label: str
    unit: str
    group: str  # metadata, measurement or latent
    kind: Literal["number", "category"]
    levels: list[str]
    values: NDArray[Any]


def column(name: str, values: "pd.Series[Any]") -> Column:
    """Return a column: numbers (no truth values) are numbers, anything else is a category, the names sorted.

    Raises
    ------
    InputError
        When there are more categories than codes.
    """
    about = name, label(name), unit(name), group(name)
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return Column(*about, "number", [], values.to_numpy(np.float32, na_value=np.nan))
    text = values.astype("string")
    codes, levels = pd.factorize(text.mask(text == ""), sort=True)
    if len(levels) >= NONE:
        raise InputError(f"column {name} has {len(levels):,} different values, a page can show {NONE - 1:,}")
    return Column(*about, "category", [str(v) for v in levels], np.where(codes < 0, NONE, codes).astype(np.uint16))


def label(name: str) -> str:
    """Return what a person calls a column: without the prefix of its table."""
    if name.startswith(schema.LATENT_PREFIX):
        return f"Latent {int(name.removeprefix(schema.LATENT_PREFIX))}"
    plain = name.removeprefix("Metadata_").removeprefix("Cells_").replace("AreaShape_", "").replace("_", " ")
    return {"PertType": "Control type", "ObjectNumber": "Object number", "Cells": "Number of cells"}.get(plain, plain)


def unit(name: str) -> str:
    """Return the unit of a column, empty where it has none or none is known."""
    return _UNITS.get(name) or next((u for end, u in _ENDS.items() if name.endswith(end)), "")


def group(name: str) -> str:
    """Return under which heading a column is offered."""
    metadata = (schema.OBJECT, schema.SPLIT)
    return next((g for p, g in GROUPS.items() if name.startswith(p)), "metadata" if name in metadata else "measurement")
