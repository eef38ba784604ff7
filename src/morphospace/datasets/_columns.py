"""Columns of a user's table: which are read, under which names, and which nearly have the name of one that is read."""

import difflib
import re
import unicodedata

import pandas as pd

from morphospace import schema
from morphospace.errors import InputError

ROW, COLUMN, UNIT = "Row", "Column", "Unit"
_READ = {c.removeprefix("Metadata_").lower(): c for c in schema.METADATA}
NAMES = [*(c.removeprefix("Metadata_") for c in schema.METADATA), ROW, COLUMN]
_READ |= {"row": ROW, "column": COLUMN}
_READ |= {f"{what}{unit}": UNIT for what in ("", "concentration", "conc", "dose") for unit in ("unit", "units")}
_PLACES = {*schema.IMAGE_SET_KEY, ROW, COLUMN}  # they say of which images a row is
_MICROMOLAR = re.compile(r"[u\u03bc]m(oll)?|micromol(ar|l)")  # of `_folded` text: µM, uM, umol/L
# What else the field calls these columns. Such a name is refused: whoever wrote it meant the column.
_MEANT = {
    schema.CONCENTRATION: r"(final|nominal|drug|compound|log\d*)?conc(?!av).*|dos(e|es|age).*|molarity|[u\u03bc]m",
    schema.COMPOUND: r"(compound|drug|treatment|perturbation)s?(name|id)?|cmpd|cpd|substance|chemical|pertiname",
    schema.MOA: r"mechanisms?((of)?action)?(class|name)?|modeofaction|moas?(class|name)?",
    schema.PERT_TYPE: r"(pert|perturbation|control|well|sample|treatment)types?|controls?",
    schema.WELL: r"wells?(name|id|pos|position|label)?",
    schema.SITE: r"sites?(name|id|number)?|fields?(ofview|id|number)?|fov",
    schema.PLATE: r"plates?(name|id|number)?",
    schema.BATCH: r"batch(es)?(name|id|number)?",
    ROW: r"rows?(name|id|number|index|letter)?|wellrow",
    COLUMN: r"cols?(number|index)?|columns?(name|id|number|index)?|wellcol(umn)?",
}
_CLOSE = 0.82  # of difflib: `Compund` and `Consentration` are close to a name; `Comment`, `Cell` and `Patch` are not


def plain_name(column: str) -> str:
    """Return a column's name as a person writes it: without ``Metadata_``."""
    return column.removeprefix("Metadata_")


def is_micromolar(unit: str) -> bool:
    """Whether a text means µM."""
    return _MICROMOLAR.fullmatch(_folded(unit)) is not None


def known(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the columns that are read, under their names in the schema, and as Row, Column and Unit.

    Parameters
    ----------
    table
        From `_metadata.read_table`.
    name
        File name, for messages.

    Raises
    ------
    InputError
        When two columns mean the same, one that is not read has nearly the name of one that is not there, or there is
        none that says of which images a row is, or nothing beside these.
    """
    read = {i: meant for i, column in enumerate(table.columns) if (meant := _meaning(str(column)))}
    for meant in read.values():
        same = [repr(table.columns[i]) for i, other in read.items() if other == meant]
        if len(same) > 1:
            raise InputError(f"{name} has two columns for {plain_name(meant).lower()}, {' and '.join(same)}; keep one")
    there = set(read.values())
    there |= {ROW, COLUMN} if schema.WELL in there else {schema.WELL} if {ROW, COLUMN} <= there else set()
    rest = [str(column) for i, column in enumerate(table.columns) if i not in read]
    near = {column: meant for column in rest if (meant := _nearly(column)) and meant not in there}
    if near:
        said = ", ".join(f"{column!r} (did you mean {_wanted(meant)}?)" for column, meant in near.items())
        raise InputError(f"{name} has columns that are not read: {said}; rename each, or leave it out")
    columns = ", ".join(map(str, table.columns))
    if not there & {*schema.IMAGE_SET_KEY}:
        raise InputError(f"{name} has none of the columns Plate, Well, Site, nor Row and Column; it has {columns}")
    if (alone := {ROW, COLUMN} - there) and len(alone) == 1 and schema.WELL not in there:
        has, lacks = ({ROW, COLUMN} - alone).pop(), alone.pop()
        raise InputError(f"{name} has {has} and no {lacks}, so that its rows are of no wells; it has {columns}; add it")
    if not there - _PLACES - {UNIT}:
        said = ", ".join(plain_name(c) for c in schema.METADATA if c not in _PLACES)
        raise InputError(f"{name} says nothing of its wells: it has {columns}, and none of {said}; add or rename one")
    found = table.iloc[:, list(read)].set_axis(list(read.values()), axis=1)
    found.attrs = dict(table.attrs)
    return found


def unused(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns of a table that are not read."""
    meanings = [_meaning(str(column)) for column in table.columns]
    alone = {UNIT} if schema.CONCENTRATION not in meanings else set()
    alone |= {ROW, COLUMN} if not {ROW, COLUMN} <= set(meanings) else set()
    pairs = zip(table.columns, meanings, strict=True)
    return [str(column) or "(no name)" for column, meant in pairs if meant is None or meant in alone]


def _meaning(column: str) -> str | None:
    """Return the name in the schema of a column that is read, whatever its case, prefix and signs between words."""
    said = _folded(column)
    said = said.removeprefix("image") if said.startswith("imagemetadata") else said
    said = said.removeprefix("metadata")
    if said.startswith("concentration") and _MICROMOLAR.fullmatch(said.removeprefix("concentration")):
        return schema.CONCENTRATION
    return _READ.get(said)


def _nearly(column: str) -> str | None:
    """Return the column that a name must have meant: another word of the field for it, or one letter off."""
    said = _folded(column).removeprefix("metadata")
    for meant, pattern in _MEANT.items():
        if re.fullmatch(pattern, said):
            return meant
    words = _READ | {"mechanism": schema.MOA, "treatment": schema.COMPOUND, "dose": schema.CONCENTRATION}
    close = difflib.get_close_matches(said, words, n=1, cutoff=_CLOSE)
    return words[close[0]] if close else None


def _wanted(meant: str) -> str:
    return f"{plain_name(meant)!r}, in µM" if meant == schema.CONCENTRATION else repr(plain_name(meant))


def _folded(text: str) -> str:
    """Return letters and digits only, in lower case; both signs of micro are one."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())
