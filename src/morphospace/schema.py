"""Column names, in one place, and the check that a table has them."""

from collections.abc import Sequence

import pandas as pd

from morphospace.errors import SchemaError

PLATE = "Metadata_Plate"
WELL = "Metadata_Well"
SITE = "Metadata_Site"
BATCH = "Metadata_Batch"
COMPOUND = "Metadata_Compound"
CONCENTRATION = "Metadata_Concentration"  # micromolar, a number
MOA = "Metadata_MoA"
PERT_TYPE = "Metadata_PertType"  # negcon, poscon or trt
OBJECT = "ObjectNumber"  # from 1 within an image set

OBJECT_COUNT = "Metadata_Object_Count"  # cells in a site, a well or a treatment, as pycytominer calls it

NEGCON = "negcon"
TREATED = "trt"
POSCON = "poscon"
UNKNOWN = "unknown"  # what nobody annotated: a mechanism, a compound

IMAGE_SET_KEY = [PLATE, WELL, SITE]
OBJECT_KEY = [*IMAGE_SET_KEY, OBJECT]
METADATA = [PLATE, WELL, SITE, BATCH, COMPOUND, CONCENTRATION, MOA, PERT_TYPE]

PATH_PREFIX = "Image_PathName_"  # CellProfiler's LoadData: the folder, here relative to the raw data
FILE_PREFIX = "Image_FileName_"
DIGEST_PREFIX = "Image_MD5Digest_"

CROP_FILE = "Crop_File"  # name of the PNG inside its plate's pack; empty when the object was dropped
CROP_STATUS = "Crop_Status"  # kept, or why not
CROP_MEAN = "Crop_Mean"  # of the pixels inside the object, 0 to 1; only where the mean may drop a crop, and of chunks
KEPT = "kept"
SPLIT = "Split"  # train, validation or test
TRAIN, VALIDATION, TEST = "train", "validation", "test"
LATENT_PREFIX = "Cells_Latent_"

MODEL, WEIGHTS = "model", "weights"  # attributes of an embedding table: the model's fingerprint, SHA-256 of its weights

SOURCE = "Source"  # file or pack that a person named
RECONSTRUCTION = "Reconstruction"  # file that was drawn of it
KL = "KL"  # of an image's posterior from the prior, nats

_TEXT = {*METADATA, CROP_FILE, CROP_STATUS, SPLIT, SOURCE, RECONSTRUCTION} - {CONCENTRATION}


def channels(image_sets: pd.DataFrame) -> list[str]:
    """Channel names of a table of image sets, in the order of its columns: the order of every array."""
    return [c.removeprefix(FILE_PREFIX) for c in image_sets.columns if c.startswith(FILE_PREFIX)]


def latent_columns(table: pd.DataFrame) -> list[str]:
    """Names of the latent columns of an embedding table, in order."""
    return [c for c in table.columns if c.startswith(LATENT_PREFIX)]


def latent_names(z_dim: int) -> list[str]:
    """Names of the latent columns of `z_dim` dimensions, as long as each other, so that they sort by number."""
    digits = max(3, len(str(z_dim - 1)))
    return [f"{LATENT_PREFIX}{i:0{digits}d}" for i in range(z_dim)]


def is_text(column: str) -> bool:
    """Whether a column of that name holds text, whatever its values look like: plate 0012, compound NA."""
    return column.removeprefix("Image_") in _TEXT


def is_named(compounds: "pd.Series[str]") -> "pd.Series[bool]":
    """Whether each well's compound is known: wells without one are no replicates of each other."""
    return ~compounds.isin(["", UNKNOWN]) & compounds.notna()


def check(table: pd.DataFrame, columns: Sequence[str], name: str, key: Sequence[str] = ()) -> pd.DataFrame:
    """Return `table` when it has `columns` and `key` is unique.

    Parameters
    ----------
    table
        Any table.
    columns
        Names that must be there; others may be.
    name
        What the table is called in a message: its file name.
    key
        Columns that together name one row.

    Raises
    ------
    SchemaError
        Naming the missing columns, or the first two rows with the same key.
    """
    missing = [c for c in [*columns, *key] if c not in table.columns]
    if missing:
        raise SchemaError(f"{name} lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if key:
        twice = table[table.duplicated(list(key), keep=False)]
        if len(twice):
            first = twice.iloc[0]
            which = ", ".join(f"{k}={first[k]}" for k in key)
            rows = [int(i) for i in twice.index[(twice[list(key)] == first[list(key)]).all(axis=1)]]
            raise SchemaError(f"{name} has {which} more than once (rows {rows[0]} and {rows[1]}); keep one of them")
    return table
