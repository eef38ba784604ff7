"""The tables that pass between stages, read with the right types, and the way from a row to its image."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from morphospace import schema
from morphospace.errors import InputError

DROPPED = ["Source", "Reason", "Detail"]  # columns of dropped.csv
IDENTICAL = ["Picture", *schema.IMAGE_SET_KEY, "Channel", "File"]  # columns of identical.csv


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
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run `dvc repro index`") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a table: {error}; run `dvc repro -f index`") from None
    schema.check(table, schema.METADATA, str(path), key=schema.IMAGE_SET_KEY)
    names = schema.channels(table)
    if not names:
        raise InputError(f"{path} has no channel: no column starts with {schema.FILE_PREFIX}; run `dvc repro -f index`")
    schema.check(table, [p + c for c in names for p in (schema.PATH_PREFIX, schema.DIGEST_PREFIX)], str(path))
    number = pd.to_numeric(table[schema.CONCENTRATION], errors="coerce").astype(float)
    wrong = table.index[number.isna() & (table[schema.CONCENTRATION] != "")]
    if len(wrong):
        value = table[schema.CONCENTRATION][wrong[0]]
        raise InputError(f"{path}, line {wrong[0] + 2}: concentration {value!r} is not a number")
    table[schema.CONCENTRATION] = number
    return table


def read_identical(path: Path) -> pd.DataFrame:
    """Return the table of images that are there more than once, every column text; rows of one Picture are the same.

    Raises
    ------
    InputError
        When the file is missing or is not a table.
    SchemaError
        When a column is missing.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run `dvc repro index`") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a table: {error}; run `dvc repro -f index`") from None
    return schema.check(table, IDENTICAL, str(path))


def read_parquet(path: Path, stage: str) -> pd.DataFrame:
    """Return a table of objects or of crops.

    Parameters
    ----------
    path
        ``data/objects/objects.parquet``, ``data/crops.parquet``.
    stage
        The stage that writes it, for the message.

    Raises
    ------
    InputError
        When the file is missing or is no Parquet table.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{path} is missing; run `dvc repro {stage}`") from None
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is not a Parquet table: {error}; run `dvc pull` or `dvc repro -f {stage}`") from None


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
