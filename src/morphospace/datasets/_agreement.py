"""A well has one treatment, a treatment one mechanism: profiles need it, so it is refused before any training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from morphospace import schema
from morphospace.datasets import _columns
from morphospace.errors import InputError


def refuse_contradictions(image_sets: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse a well that has two treatments, and a treatment that has two mechanisms: profiles need one.

    Parameters
    ----------
    image_sets
        With the columns of the schema, or a table of metadata with some of them; one that is absent is not known.
    names
        Where the metadata of each row come from, for messages.

    Raises
    ------
    InputError
        Naming the group, both values and where both come from.
    """
    treated = [schema.COMPOUND, schema.CONCENTRATION]
    rules = (
        ([schema.PLATE, schema.WELL], [*treated, schema.MOA, schema.PERT_TYPE, schema.BATCH]),
        (treated, [schema.MOA, schema.PERT_TYPE]),
    )
    table = image_sets.reset_index(drop=True)
    unknown: dict[str, Any] = {
        schema.COMPOUND: schema.UNKNOWN,
        schema.MOA: schema.UNKNOWN,
        schema.CONCENTRATION: np.nan,
    }
    table = table.assign(**{c: value for c, value in unknown.items() if c not in table})
    for places, columns in rules:
        group = [c for c in places if c in table]
        if places[-1] not in group:
            continue
        code = table.groupby(group, dropna=False, sort=False).ngroup()
        start = pd.Series(np.arange(len(table))).groupby(code).transform("min").to_numpy()
        for column in (c for c in columns if c in table):
            values, first = table[column], table[column].take(start).reset_index(drop=True)
            differs = np.flatnonzero((values != first) & ~(values.isna() & first.isna()))
            if len(differs):
                raise InputError(_contradiction(table, names, group, column, (int(start[differs[0]]), int(differs[0]))))


def _contradiction(
    table: pd.DataFrame, names: Sequence[str], group: list[str], column: str, rows: tuple[int, int]
) -> str:
    plain = _columns.plain_name
    which = ", ".join(f"{plain(c)} {_text(table[c][rows[0]])}" for c in group if table[c].notna()[rows[0]])
    said = " and ".join(f"{_text(table[column][row])} ({names[row]})" for row in rows)
    unnamed = group[0] == schema.COMPOUND and table[schema.COMPOUND][rows[0]] == schema.UNKNOWN
    cure = "name the compounds; that of a control may be `untreated`" if unnamed else "give it one"
    return f"{which} has {plain(column)} {said}; {cure}"


def _text(value: object) -> str:
    """Return a value as a person writes it."""
    return (f"{value:g}" if value == value else "none") if isinstance(value, float) else str(value)
