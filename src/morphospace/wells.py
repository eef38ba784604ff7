"""Wells of plates of up to 1536: one name for each, however an instrument or a person spells it.

``b3``, ``B-03``, ``B - 03``, ``r02c03``, ``Row 2, Column 3`` and ``Well B3`` are read as ``B03``.
A bare number (``0203``, ``27``) is not read: it may be row and column, a count of wells, or a slide.
"""

import re
import unicodedata
from collections.abc import Sequence

import pandas as pd

from morphospace import schema
from morphospace.errors import InputError

ROWS, COLUMNS = 32, 48  # of a plate of 1536 wells: A01 to AF48
_GAP = r"[\s.,:;/_\u2010-\u2015\u2212-]*"  # a word processor makes B–03 of B-03
_NUMBER = r"0*(\d{1,2})(?:\.0+)?"  # a table that lacks a value somewhere has 3.0 for 3
_COLUMN = rf"c(?:ol(?:umn)?)?{_GAP}{_NUMBER}"
_NUMBERED_ROW = rf"r(?:ow)?{_GAP}{_NUMBER}"
_SPELLINGS = (
    re.compile(rf"(?:row{_GAP})?([a-z]{{1,2}}){_GAP}(?:col(?:umn)?{_GAP})?0*(\d{{1,2}})", re.IGNORECASE),
    re.compile(rf"{_NUMBERED_ROW}{_GAP}{_COLUMN}", re.IGNORECASE),
)
_ROW = re.compile(rf"(?:row{_GAP})?([a-z]{{1,2}})|(?:{_NUMBERED_ROW})|{_NUMBER}", re.IGNORECASE)
_COLUMN_ALONE = re.compile(rf"{_COLUMN}|{_NUMBER}", re.IGNORECASE)
_PREFIX = re.compile(rf"well{_GAP}", re.IGNORECASE)
_WORDS = re.compile(r"\d+|[^\W\d_]+|[^\w\s.,:;/-]")


def place(text: str) -> tuple[int, int] | None:
    """Return row and column of a well, from 0: A01 is (0, 0), AF48 is (31, 47); None for what names no well."""
    said = _plain(text)
    said = said[prefix.end() :] if (prefix := _PREFIX.match(said)) else said
    match = next((m for spelling in _SPELLINGS if (m := spelling.fullmatch(said))), None)
    return None if match is None else _within(match[1], match[2])


def name(row: int, column: int) -> str:
    """Return the name of a well, of row and column from 0."""
    letters = chr(ord("A") + row) if row < 26 else "A" + chr(ord("A") + row - 26)
    return f"{letters}{column + 1:02d}"


def same(text: str) -> str:
    """Return the name of a well, which all spellings of it share; what names no well as it is, without outer blanks."""
    found = place(text)
    return text.strip() if found is None else name(*found)


def joined(row: str, column: str) -> str:
    """Return the name of a well from row (A to AF, or 1 to 32) and column (1 to 48), which are told apart.

    Raises
    ------
    ValueError
        When they are not those of a plate of up to 1536 wells.
    """
    rows, columns = _ROW.fullmatch(_plain(row)), _COLUMN_ALONE.fullmatch(_plain(column))
    found = _within(_first(rows), _first(columns)) if rows and columns else None
    if found is None:
        raise ValueError(
            f"row {row!r}, column {column!r} is not a well: rows are A to AF or 1 to {ROWS}, columns 1 to {COLUMNS}"
        )
    return name(*found)


def key(text: str) -> str:
    """Return what all spellings of one name share, be it a well or not: ``slide7``, ``Slide 07`` and ``slide_7`` do.

    The parts of a name stay apart, so that ``1_12`` and ``11_2`` are two.
    """
    if place(text) is not None:
        return same(text)
    return " ".join(word.lstrip("0") or "0" if word.isdecimal() else word.casefold() for word in _WORDS.findall(text))


def site_key(text: str) -> str:
    """Return what all spellings of a site share: ``1`` and ``01`` do, and ``F1`` and ``f01``."""
    return re.sub(r"0*(\d+)", r"\1", text.strip()).casefold()


def named(table: pd.DataFrame, title: str) -> pd.DataFrame:
    """Return a table whose wells are called by one name each, and stand in it under one.

    Parameters
    ----------
    table
        With `schema.WELL` or without it; where it has plates and sites, too, these are looked at.
    title
        What the table is called in a message: its file.

    Raises
    ------
    InputError
        When one name that is not of a well (a slide, say), or the site of one well, is spelt in two ways on a plate.
    """
    if schema.WELL not in table:
        return table
    known = {well: same(str(well)) for well in table[schema.WELL].dropna().unique()}
    if any(str(well) != said for well, said in known.items()):
        table = table.assign(**{schema.WELL: table[schema.WELL].map(known).astype(table[schema.WELL].dtype)})
    _refuse_two_spellings(table, [schema.PLATE, schema.WELL], title)
    _refuse_two_spellings(table, schema.IMAGE_SET_KEY, title)
    return table


def _refuse_two_spellings(table: pd.DataFrame, columns: Sequence[str], title: str) -> None:
    """Refuse two names of one plate, or of one well, that are one name in two spellings."""
    if not set(columns) <= set(table.columns):
        return
    *within, last = columns
    names = table[list(columns)].astype("string").dropna().drop_duplicates()
    read = key if last == schema.WELL else site_key
    keys = names.assign(**{last: names[last].map({n: read(n) for n in names[last].unique()})})
    twice = keys.index[keys.duplicated()]
    if not len(twice):
        return
    first = keys.index[(keys == keys.loc[twice[0]]).all(axis="columns")][0]
    kind = last.removeprefix("Metadata_").lower()
    where = " ".join(names.loc[first, within])
    said = " and ".join(f"{names.loc[row, last]!r}{_file(table.loc[row])}" for row in (first, twice[0]))
    raise InputError(f"{title}: {kind}s {said} of {where} are one name in two spellings; write it in one way")


def _file(row: "pd.Series[str]") -> str:
    """Return the first file of an image set, in brackets; nothing where there is none."""
    for column in (c for c in row.index if str(c).startswith(schema.FILE_PREFIX)):
        folder = row[str(column).replace(schema.FILE_PREFIX, schema.PATH_PREFIX)]
        if row[column]:
            return f" ({folder}/{row[column]})" if folder else f" ({row[column]})"
    return ""


def _plain(text: str) -> str:
    """Return a text without outer blanks, in plain signs: the wide letters of East Asian keyboards are letters."""
    return unicodedata.normalize("NFKC", text).strip()


def _first(match: "re.Match[str]") -> str:
    return next(group for group in match.groups() if group)


def _within(row: str, column: str) -> tuple[int, int] | None:
    """Return row and column from 0, of letters or numbers from 1, or None outside of a plate of 1536 wells."""
    if row.isdecimal():
        down = int(row)
    else:
        down = 0
        for letter in row.upper():
            down = 26 * down + ord(letter) - ord("A") + 1
    across = int(column)
    return (down - 1, across - 1) if 1 <= down <= ROWS and 1 <= across <= COLUMNS else None
