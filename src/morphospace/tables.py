"""Tables of CSV and Parquet, written and read in one way; those of the stages; and the way from a row to its image.

Text is text: a compound called NA, None, 007 or TRUE keeps its name, and a text that is missing is empty. A text that a
spreadsheet would take for a formula is written with an apostrophe before it, which the reader takes away again.
"""

import csv
import gzip
import itertools
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

from morphospace import files, schema
from morphospace.errors import InputError, SchemaError

DROPPED = ["Source", "Reason", "Detail"]  # columns of dropped.csv
IDENTICAL = ["Picture", *schema.IMAGE_SET_KEY, "Channel", "File"]  # columns of identical.csv
SEPARATORS = ",;\t|"  # of a CSV: whichever its first line has most
CSV = (".csv", ".csv.gz")  # how names of such files end
_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")  # with the apostrophes that guard it
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_GUARD = "'"
_MISSING = ["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "-NaN", "-nan", "#NA", "null", "NULL", "None"]


def is_csv(path: Path) -> bool:
    """Whether a file is CSV by its name."""
    return path.name.lower().endswith(CSV)


def write_csv(table: pd.DataFrame, path: Path, float_format: str | None = None) -> None:
    """Write a table as CSV in UTF-8, without its index; gzipped where the name ends in ``.gz``; whole or not at all.

    `read_csv` gives the same values again: texts to the letter (a missing one as an empty one), numbers to the last
    bit. Equal tables give equal bytes.

    Parameters
    ----------
    table
        Numbers and texts.
    path
        File to write.
    float_format
        Of numbers, such as ``%.6g``; every digit where it is not given.
    """
    names = [guarded(str(name)) for name in table.columns]
    columns = [table.iloc[:, i] for i in range(table.shape[1])]
    texts = [i for i, column in enumerate(columns) if not pd.api.types.is_numeric_dtype(column)]
    for i in texts:
        columns[i] = columns[i].astype(object).map(lambda v: guarded(v) if isinstance(v, str) else v)
    found = pd.concat(columns, axis="columns") if columns else table
    found.columns = pd.Index(names)
    whole = any(_needs_quotes(v, len(names) == 1) for i in texts for v in columns[i])
    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if whole else csv.QUOTE_MINIMAL
    text = found.to_csv(index=False, lineterminator="\n", float_format=float_format, quoting=quoting)
    data = text.encode("utf-8", "backslashreplace")  # a file's name need be no text
    with files.replacing(path) as aside:
        aside.write_bytes(gzip.compress(data, mtime=0) if path.suffix.lower() == ".gz" else data)


def _needs_quotes(value: Any, alone: bool) -> bool:
    """Whether the csv module leaves a text without quotes that a reader then takes for the end of a line."""
    return isinstance(value, str) and ("\r" in value or (alone and not value.strip()))


def guarded(text: str) -> str:
    """Return a text that no spreadsheet runs: with an apostrophe where it begins as a formula and is no number."""
    return _GUARD + text if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """Return what `guarded` was given."""
    return text[1:] if text.startswith(_GUARD) and _FORMULA.match(text) else text


def read_csv(path: Path, is_text: Callable[[str], bool] = lambda name: True, stage: str = "") -> pd.DataFrame:
    """Return a CSV in UTF-8, gzipped or not, with or without a byte order mark, whatever its separator.

    Parameters
    ----------
    path
        File to read.
    is_text
        Whether a column of that name is text; by default all are. A column that is not is numbers where all of its
        values are numbers or missing (empty, NA, NaN and the like), and text as it stands in the file where they are
        not. Texts are never missing, but empty.
    stage
        The stage that writes it, for the message.

    Raises
    ------
    InputError
        When it is missing, is no text in UTF-8, has no header, or a row has another number of values than the header.
    SchemaError
        When two columns have one name.
    """
    try:
        names, separator = _header(path)
        texts = [str(i) for i, name in enumerate(names) if is_text(name)]
        found = _parsed(path, separator, names, texts)
        if mixed := [i for i in map(str, found) if i not in texts and not pd.api.types.is_numeric_dtype(found[i])]:
            found = found.drop(columns=mixed).join(_parsed(path, separator, names, mixed)[mixed])
    except FileNotFoundError:
        raise InputError(f"{path} is missing" + (f"; run `dvc repro {stage}`" if stage else "")) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a table: {error}; save it as CSV in UTF-8") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error, EOFError, zlib.error, OSError) as error:
        raise _no_table(path, " ".join(str(error).split()), stage) from None
    for i in [*texts, *mixed]:
        found[i] = found[i].map(unguarded).astype("str")
    # Copied in one piece: pandas warns of each column added to a table of hundreds as it was read.
    return found[list(map(str, range(len(names))))].set_axis(names, axis="columns").copy()


def _no_table(path: Path, why: str, stage: str) -> InputError:
    return InputError(f"{path} is not a table: {why}" + (f"; run `dvc repro -f {stage}`" if stage else ""))


def _header(path: Path) -> tuple[list[str], str]:
    """Return the names of the columns, and the separator; refuse rows of another length, which pandas would fill."""
    opened: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else Path.open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
        lines = (line for line in text if line.strip())
        first = next(lines, "")
        separator = max(SEPARATORS, key=first.count)
        reader = csv.reader(itertools.chain([first], text), delimiter=separator, strict=True)
        header = next(reader, [])
        if not any(header):
            raise pd.errors.ParserError("it has no header")
        for row in reader:
            if len(row) != len(header) and any(value.strip() for value in row):
                raise pd.errors.ParserError(
                    f"line {reader.line_num} has {len(row)} values where the header has {len(header)}"
                )
    names = [unguarded(name) or f"Unnamed: {i}" for i, name in enumerate(header)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SchemaError(f"{path} has two columns {twice}; keep one")
    return names, separator


def _parsed(path: Path, separator: str, names: list[str], texts: list[str]) -> pd.DataFrame:
    """Return the columns by their place: `texts` as they stand in the file, the others as pandas takes them."""
    places = [str(i) for i in range(len(names))]
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # a row is longer than the header
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # a column of both kinds is read again, as text
        return pd.read_csv(
            path,
            sep=separator,
            header=0,
            names=places,
            index_col=False,
            dtype=dict.fromkeys(texts, str),
            keep_default_na=False,
            na_values={i: _MISSING for i in places if i not in texts},
            encoding="utf-8-sig",
        )


def as_text(values: "pd.Series[Any]") -> "pd.Series[str]":
    """Return values as text: a missing one empty, and 12.0 among whole numbers as 12."""
    if isinstance(values.dtype, pd.StringDtype):
        return values.fillna("")
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    found: pd.Series[str] = values.astype("object").where(values.notna(), "").map(str).astype("str")
    return found


def as_number(table: pd.DataFrame, column: str, name: str) -> "pd.Series[float]":
    """Return a column as numbers, NaN where it is empty.

    Raises
    ------
    InputError
        Naming the table, the row and the value that is no number.
    """
    found = pd.to_numeric(table[column], errors="coerce").astype(float)
    wrong = (found.isna() & table[column].notna() & (table[column].astype("str") != "")).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{name}: {column} of row {row + 1} is {table[column].iloc[row]!r}, which is not a number")
    return found


def read(path: Path, is_text: Callable[[str], bool] = schema.is_text, stage: str = "") -> pd.DataFrame:
    """Return a table of Parquet, or of CSV by its name, with text in the columns that are text.

    Raises
    ------
    InputError
        When it is missing or no table.
    """
    return read_csv(path, is_text, stage) if is_csv(path) else read_parquet(path, stage, is_text)


def read_image_sets(path: Path) -> pd.DataFrame:
    """Return the table of image sets: text everywhere but the concentration, which is a number or NaN.

    Parameters
    ----------
    path
        ``data/image_sets.csv``: one row an image set, metadata first, then folder, file name and MD5 of each channel.

    Raises
    ------
    InputError
        When the file is missing, is not a table, or a concentration is not a number.
    SchemaError
        When a column of the schema is missing, or two rows have the same plate, well and site.
    """
    table = read_csv(path, stage="index")
    schema.check(table, schema.METADATA, str(path), key=schema.IMAGE_SET_KEY)
    names = schema.channels(table)
    if not names:
        raise InputError(f"{path} has no channel: no column starts with {schema.FILE_PREFIX}; run `dvc repro -f index`")
    schema.check(table, [p + c for c in names for p in (schema.PATH_PREFIX, schema.DIGEST_PREFIX)], str(path))
    return table.assign(**{schema.CONCENTRATION: as_number(table, schema.CONCENTRATION, str(path))})


def read_identical(path: Path) -> pd.DataFrame:
    """Return the table of images that are there more than once, every column text; rows of one Picture are the same.

    Raises
    ------
    InputError
        When the file is missing or is not a table.
    SchemaError
        When a column is missing.
    """
    return schema.check(read_csv(path, stage="index"), IDENTICAL, str(path))


def read_parquet(path: Path, stage: str, is_text: Callable[[str], bool] = schema.is_text) -> pd.DataFrame:
    """Return a Parquet table, with text in the columns that are text: plate 12 becomes "12", a missing text empty.

    Parameters
    ----------
    path
        ``data/objects/objects.parquet``, ``data/crops.parquet``.
    stage
        The stage that writes it, for the message.
    is_text
        Whether a column of that name is text.

    Raises
    ------
    InputError
        When the file is missing or is no Parquet table.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing" + (f"; run `dvc repro {stage}`" if stage else "")) from None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:  # the last three: pandas's metadata
        again = f"; run `dvc pull` or `dvc repro -f {stage}`" if stage else ""
        raise InputError(f"{path} is not a Parquet table: {error}{again}") from None
    table.columns = table.columns.map(str)
    for name in filter(is_text, table.columns):
        table[name] = as_text(table[name])
    return table


def image_path(raw: Path, row: "pd.Series[str]", channel: str) -> Path:
    """Return the path of one channel of an image set below the raw folder.

    Raises
    ------
    InputError
        When the row points outside the raw folder.
    """
    name = str(row[schema.FILE_PREFIX + channel])
    path = raw / str(row[schema.PATH_PREFIX + channel]) / name
    if not is_inside(raw, path):
        raise InputError(f"image_sets.csv points outside {raw}: {path}; run `dvc repro -f index`")
    return path


def is_inside(root: Path, path: Path) -> bool:
    """Whether `path` lies below `root` once ``..`` and links are resolved; the file need not exist."""
    return path.resolve().is_relative_to(root.resolve())
