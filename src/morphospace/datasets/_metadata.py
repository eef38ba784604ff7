"""Tables of metadata from anywhere: read whatever their dialect, numbers joined as numbers and wells as wells."""

import csv
import gzip
import io
import logging
import math
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphospace import schema, tables, wells
from morphospace.datasets import _agreement, _columns
from morphospace.errors import InputError

logger = logging.getLogger(__name__)

DMSO = "DMSO"
SEPARATOR = "separator"  # attribute of a table: what stood between its values
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}", re.ASCII)  # 1,000 and 1.000 are one, or a thousand
_PERT_TYPES = {
    **dict.fromkeys(["negcon", "negative", "negative control", "neg", "dmso", "vehicle", "-1"], schema.NEGCON),
    **dict.fromkeys(["poscon", "positive", "positive control", "pos", "1", "+1"], schema.POSCON),
    **dict.fromkeys(["trt", "treated", "treatment", "compound", "0"], schema.TREATED),
}


def read_table(path: Path) -> pd.DataFrame:
    """Return a table of stripped text, whatever its separator, line ends, byte order mark or gzip.

    Parameters
    ----------
    path
        A CSV, also ``.csv.gz``; the separator is whichever of comma, semicolon, tab and bar its first line has most.

    Returns
    -------
    DataFrame
        Indexed by the line each row starts on (the header is line 1). Empty lines are left out.

    Raises
    ------
    InputError
        When it is missing, is not UTF-8 text, has no rows, or a row has another number of values than the header.
    """
    text = _text(path)
    separator = max(tables.SEPARATORS, key=text.split("\n", 1)[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        for row in reader:
            if any(value.strip() for value in row):
                rows.append([tables.unguarded(value.strip()) for value in row])
                lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; save it as CSV in UTF-8") from None
    if len(rows) < 2:
        raise InputError(f"{path} has no rows; a header and at least one row are needed")
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(rows[0]):
            raise InputError(f"{path}, line {line} has {len(row)} values where the header has {len(rows[0])}; mend it")
    table = pd.DataFrame(rows[1:], columns=rows[0], index=lines[1:], dtype=str)
    table.attrs[SEPARATOR] = separator
    return table


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} is missing; correct the path in params.yaml, or fetch it again") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); save it as CSV in UTF-8") from None


def number(text: str, decimal: str = ".") -> float:
    """Return a number from text, with a decimal point or a decimal comma; NaN when the text is empty.

    Parameters
    ----------
    text
        Without a sign between thousands.
    decimal
        The sign that is known to be the decimal one, by which ``1.000`` or ``1,000`` is 1; ``""`` where none is.

    Raises
    ------
    ValueError
        When the text is no finite number, or may be one or a thousand.
    """
    said = text.strip()
    if said.lower() in ("", "na", "nan", "none"):
        return math.nan
    if (either := _EITHER.fullmatch(said)) and either[1] != decimal:
        one, thousand = said.replace(",", "."), re.sub("[.,]", "", said)
        raise ValueError(f"which may be {float(one):g} or {thousand}; write which, without a sign between thousands")
    value = float(said.replace(",", ".")) if _NUMBER.fullmatch(said) else math.inf
    if not math.isfinite(value):
        raise ValueError("which is not a number; write digits and a decimal point, and nothing between thousands")
    return value


def _decimal(texts: Iterable[str], separator: str) -> str:
    """Return the decimal sign of a column, proved by values such as 0.5 or 0,5; '' where both or neither may be it.

    Where nothing proves it, it is the point in a table separated by commas; another separator may stand there because
    the comma was taken, as spreadsheets of many countries do.
    """
    plain = [t for t in texts if _NUMBER.fullmatch(t) and not _EITHER.fullmatch(t)]
    proved = {sign for sign in ".," for t in plain if sign in t}
    if len(proved) == 1:
        return proved.pop()
    return "." if separator == "," and not proved else ""


def numbers(table: pd.DataFrame, column: str, name: str) -> "pd.Series[float]":
    """Return a column of `read_table` as numbers.

    Raises
    ------
    InputError
        Naming the file, the line and the value that is no number, or may be two.
    """
    decimal = _decimal(table[column], table.attrs.get(SEPARATOR, ","))
    values = []
    for line, text in table[column].items():
        try:
            values.append(number(text, decimal))
        except ValueError as error:
            raise InputError(f"{name}, line {line}: {column} is {text!r}, {error}") from None
    return pd.Series(values, index=table.index, dtype=float)


def same_number(values: "pd.Series[float]") -> "pd.Series[str]":
    """Return a text that two numbers share when they agree to nine digits: 0.003 and 3.000e-3 do, NaN is empty."""
    return values.map(lambda value: "" if math.isnan(value) else f"{value:.9g}").astype(str)


def pert_type(text: str, compound: str) -> str:
    """Return negcon, poscon or trt from what people write; an empty text is judged by the compound.

    Raises
    ------
    ValueError
        When the text means none of them.
    """
    if not text:
        return schema.NEGCON if compound.upper() == DMSO else schema.TREATED
    kind = _PERT_TYPES.get(text.lower())
    if kind is None:
        raise ValueError(f"{text!r} is none of negcon, poscon, trt (or -1, 1, 0)")
    return kind


def join_moa(image_sets: pd.DataFrame, moa: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return `image_sets` with its mechanism column filled from a table of compound, concentration and moa.

    Concentrations are compared as numbers: as text, ``0.003`` and ``3.000000e-3`` never meet. Treatments without an
    annotation are ``unknown``; every DMSO well is ``DMSO``, whatever its concentration.

    Parameters
    ----------
    image_sets
        With `schema.COMPOUND` and `schema.CONCENTRATION`.
    moa
        From `read_table`, columns compound, concentration, moa.
    name
        File name of `moa`, for messages.

    Raises
    ------
    InputError
        When two rows of `moa` contradict each other, or not one row matches.
    """
    keys = moa["compound"] + "\0" + same_number(numbers(moa, "concentration", name))
    for line in keys.index[keys.duplicated()]:
        first = keys.index[keys == keys[line]][0]
        if moa["moa"][first] != moa["moa"][line]:
            said = f"{moa['moa'][first]!r} (line {first}) and {moa['moa'][line]!r} (line {line})"
            raise InputError(f"{name} gives {moa['compound'][line]} two mechanisms, {said}; keep one")
    known = dict(zip(keys, moa["moa"], strict=True))
    wanted = image_sets[schema.COMPOUND] + "\0" + same_number(image_sets[schema.CONCENTRATION])
    joined = wanted.map(known)
    if len(image_sets) and joined.isna().all():
        here, there = (key.replace("\0", " at ") for key in (wanted.iloc[0], keys.iloc[0]))
        raise InputError(f"no row of {name} matches an image set: images have {here!r}, it has {there!r}")
    is_dmso = image_sets[schema.COMPOUND].str.upper() == DMSO
    return image_sets.assign(**{schema.MOA: joined.fillna(schema.UNKNOWN).mask(is_dmso, DMSO).astype(str)})


def dropped(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Return a table of what cannot be used: source, reason in one word, and a sentence."""
    return pd.DataFrame(rows, columns=tables.DROPPED, dtype=str)


def canonical(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a user's table under the names of the schema, whatever their case and with or without ``Metadata_``.

    Row and Column become the well; concentrations become numbers; control types become negcon, poscon or trt; DMSO
    wells get the mechanism DMSO. Other columns are left out.

    Parameters
    ----------
    table
        From `read_table`.
    name
        File name, for messages.

    Raises
    ------
    InputError
        When two columns mean the same, one has nearly the name of a column that is not there, a value cannot be
        understood, or in two ways, two rows are of one place, or rows contradict each other.
    """
    named = _columns.known(table, name)
    result = named[[c for c in schema.METADATA if c in named]].copy()
    if {_columns.ROW, _columns.COLUMN} <= set(named):
        result[schema.WELL] = _wells(named, name)
    if schema.CONCENTRATION in named:
        result[schema.CONCENTRATION] = _concentrations(named, name)
    compound = result.get(schema.COMPOUND, pd.Series("", index=table.index))
    given = result.get(schema.PERT_TYPE, pd.Series("", index=table.index))
    kinds = []
    for line in table.index:
        try:
            kinds.append(pert_type(given[line], compound[line]))
        except ValueError as error:
            raise InputError(f"{name}, line {line}: control type {error}") from None
    moa = result.get(schema.MOA, pd.Series("", index=table.index))
    is_dmso = (compound.str.upper() == DMSO) & (moa == "")
    result = result.assign(**{schema.PERT_TYPE: kinds, schema.MOA: moa.mask(is_dmso, DMSO)})
    _refuse_double(result, name)
    return result


def _refuse_double(metadata: pd.DataFrame, name: str) -> None:
    """Refuse two rows of one place, and rows that contradict each other, whether or not there are images of them."""
    keys = [k for k in schema.IMAGE_SET_KEY if k in metadata]
    there = _joined_key(metadata, keys)
    for line in there.index[there.duplicated()]:
        first = there.index[there == there[line]][0]
        raise InputError(f"{name}, lines {first} and {line} are both {_said(metadata.loc[line], keys)}; keep one")
    filled = metadata.replace(dict.fromkeys((schema.COMPOUND, schema.MOA), ""), schema.UNKNOWN)
    if schema.WELL in filled:
        filled[schema.WELL] = filled[schema.WELL].map(wells.same)
    _agreement.refuse_contradictions(filled, [f"{name}, line {line}" for line in filled.index])


def _wells(named: pd.DataFrame, name: str) -> list[str]:
    """Return the well of each row and column; one in a column of its own must be the same."""
    found = []
    for line, row, column in zip(named.index, named[_columns.ROW], named[_columns.COLUMN], strict=True):
        try:
            found.append(wells.joined(row, column))
        except ValueError as error:
            raise InputError(f"{name}, line {line}: {error}; correct it") from None
        said = named[schema.WELL][line] if schema.WELL in named else found[-1]
        if wells.same(said) != found[-1]:
            raise InputError(f"{name}, line {line}: the well is {said}, row and column are {found[-1]}; correct one")
    return found


def _concentrations(named: pd.DataFrame, name: str) -> "pd.Series[float]":
    """Return micromolar numbers; another unit, or a logarithm, is refused."""
    for line, unit in named[_columns.UNIT].items() if _columns.UNIT in named else ():
        if unit and not _columns.is_micromolar(unit):
            raise InputError(f"{name}, line {line}: the unit is {unit!r}, and Concentration is in µM; convert it")
    plain = named[[schema.CONCENTRATION]].set_axis([_columns.plain_name(schema.CONCENTRATION)], axis=1)
    plain.attrs = named.attrs
    found = numbers(plain, str(plain.columns[0]), name)
    for line in found.index[found < 0]:
        raise InputError(f"{name}, line {line}: Concentration is {found[line]:g}, below 0; write µM, not a logarithm")
    return found.map(lambda value: float(f"{value:.9g}"))  # 0.30000000000000004 of a spreadsheet is the dose 0.3


def join(image_sets: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[tuple[str, str, str]]]:
    """Return the image sets with metadata, and the rows of the metadata that have no image set.

    Parameters
    ----------
    image_sets
        With every column of the schema.
    path
        A CSV with some of Plate, Well and Site, by which its rows are found.

    Raises
    ------
    InputError
        As `canonical`; or when no row is of any image set, or wells without a row contradict those that have one.
    """
    table = read_table(path)
    metadata = canonical(table, path.name)
    keys = [k for k in schema.IMAGE_SET_KEY if k in metadata]
    if others := _columns.unused(table):
        logger.warning("%s: not used: %s (read are %s)", path.name, ", ".join(others), ", ".join(_columns.NAMES))
    _warn_of_case(path.name, metadata)
    there = _joined_key(metadata, keys)
    here = _joined_key(image_sets, keys)
    if not here.isin(there).any():
        said = f"images have {_said(image_sets.iloc[0], keys)}, it has {_said(metadata.iloc[0], keys)}"
        raise InputError(f"no row of {path.name} matches an image set by {', '.join(keys)}: {said}")
    rows = metadata.assign(Line=metadata.index).set_axis(there.to_numpy())
    rows = rows.reindex(here.to_numpy()).set_axis(image_sets.index)
    known = here.isin(there)
    result = image_sets.copy()
    for column in (c for c in schema.METADATA if c in metadata and c not in keys):
        given = known & (rows[column].notna() if column == schema.CONCENTRATION else rows[column].fillna("") != "")
        result[column] = result[column].mask(given, rows[column])
    unused = metadata[~there.isin(here)]
    _warn_of_strangers(path.name, metadata, unused, image_sets[~known], len(image_sets), keys)
    lines = [
        f"{path.name}, line {line:.0f}" if found else f"{_said(row)}, without a row"
        for line, found, row in zip(rows["Line"], known, image_sets.to_dict("records"), strict=True)
    ]
    _agreement.refuse_contradictions(result, lines)
    return result, [
        (f"{path.name}, line {line}", "no_images", f"no image set is {_said(row, keys)}")
        for line, row in zip(unused.index, unused.to_dict("records"), strict=True)
    ]


def _warn_of_strangers(
    name: str, metadata: pd.DataFrame, unused: pd.DataFrame, unknown: pd.DataFrame, sets: int, keys: list[str]
) -> None:
    """Say in one line how many rows have no image set and how many image sets no row, with the first of each."""
    said = []
    if len(unused):
        first = f"line {unused.index[0]}: {_said(unused.iloc[0], keys)}"
        verb = "is" if len(unused) == 1 else "are"
        said.append(f"{len(unused)} of {len(metadata)} rows {verb} of no image set ({first})")
    if len(unknown):
        verb = "has" if len(unknown) == 1 else "have"
        said.append(f"{len(unknown)} of {sets} image sets {verb} no row (first: {_said(unknown.iloc[0])})")
    if said:
        logger.warning("%s: %s", name, "; ".join(said))


def _warn_of_case(name: str, metadata: pd.DataFrame) -> None:
    """Say which names differ only in case or blanks: they count as two, and may be meant as one."""
    for column in (c for c in (schema.COMPOUND, schema.MOA, schema.BATCH) if c in metadata):
        names = metadata[column].drop_duplicates()
        folded = names.map(lambda text: "".join(text.casefold().split()))
        twice = folded.index[folded.duplicated()]
        if len(twice):
            first = folded.index[folded == folded[twice[0]]][0]
            said = " and ".join(f"{names[line]!r} (line {line})" for line in (first, twice[0]))
            more = f"; {len(twice) - 1} more such" if len(twice) > 1 else ""
            which = _columns.plain_name(column)
            logger.warning("%s: %s %s differ in case or blanks alone, and count as two%s", name, which, said, more)


def _said(row: "Mapping[Any, Any] | pd.Series[str]", keys: Sequence[str] = tuple(schema.IMAGE_SET_KEY)) -> str:
    """Return the key of a row as a person reads it."""
    return " ".join(wells.same(str(row[k])) if k == schema.WELL else str(row[k]) for k in keys)


def _joined_key(table: pd.DataFrame, keys: list[str]) -> "pd.Series[str]":
    """Return a text by which rows of two tables meet, however their wells and sites are spelt."""
    read: dict[str, Callable[[str], str]] = {
        schema.PLATE: str.strip,
        schema.WELL: wells.key,
        schema.SITE: wells.site_key,
    }
    columns = [table[key].map(read[key]).tolist() for key in keys]
    return pd.Series(["\0".join(values) for values in zip(*columns, strict=True)], index=table.index, dtype=str)
