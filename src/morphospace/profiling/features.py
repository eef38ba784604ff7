"""Which columns of a table are features, and the one door to pycytominer."""

import importlib
import warnings
from types import ModuleType

import pandas as pd

from morphospace.errors import SchemaError

COMPARTMENTS = ("Cells", "Nuclei", "Cytoplasm")
METADATA_PREFIX = "Metadata_"


def feature_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the features, in order: columns that start with Cells, Nuclei or Cytoplasm.

    These are the columns that ``pycytominer.cyto_utils.infer_cp_features`` finds; ``Metadata_`` columns, object
    numbers, the split, and measurements of whole images (``Image_``) are none.

    Raises
    ------
    SchemaError
        When there is none, or one does not hold numbers.
    """
    names = [str(c) for c in table.columns if str(c).startswith(COMPARTMENTS)]
    if not names:
        raise SchemaError(
            "the table has no features: no column starts with Cells, Nuclei or Cytoplasm; it has "
            + ", ".join(map(str, table.columns[:8]))
        )
    wrong = [name for name in names if not pd.api.types.is_numeric_dtype(table[name])]
    if wrong:
        raise SchemaError(f"column {wrong[0]} starts like a feature but holds no numbers; rename or drop it")
    return names


def metadata_columns(table: pd.DataFrame) -> list[str]:
    """Return the names of the columns that start with ``Metadata_``, in order."""
    return [str(c) for c in table.columns if str(c).startswith(METADATA_PREFIX)]


def pycytominer() -> ModuleType:
    """Return pycytominer, imported here alone: as it loads, it sets an option of pandas that warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("pycytominer")
