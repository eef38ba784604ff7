"""The two tables of BBBC021 as the Broad publishes them: one row an image set, and the mechanisms of 103 treatments."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from morphospace import schema, wells
from morphospace.datasets import _agreement, _metadata
from morphospace.errors import InputError

IMAGE_CSV = "BBBC021_v1_image.csv"
MOA_CSV = "BBBC021_v1_moa.csv"
COMPOUND_CSV = "BBBC021_v1_compound.csv"
# Our name of a channel, in our order (R, G, B): the publisher's.
CHANNELS: Mapping[str, str] = {"Actin": "Actin", "Tubulin": "Tubulin", "DNA": "DAPI"}
NAME = r"(?:(?P<prefix>Week\d+_.*)_)?(?P<well>[A-P]\d{2})_s(?P<site>\d+)_w(?P<channel>\d)(?P<guid>[0-9A-F-]{36})\.tif"
"""File names: the channel is one digit; the GUID after it may start with one (``_w16F89C55C…`` is channel 1)."""

_PLATE, _WELL = "Image_Metadata_Plate_DAPI", "Image_Metadata_Well_DAPI"
_COMPOUND, _CONCENTRATION = "Image_Metadata_Compound", "Image_Metadata_Concentration"
COLUMNS = [
    "TableNumber",
    "ImageNumber",
    *[f"Image_{kind}_{channel}" for channel in ("DAPI", "Tubulin", "Actin") for kind in ("FileName", "PathName")],
    _PLATE,
    _WELL,
    "Replicate",
    _COMPOUND,
    _CONCENTRATION,
]


def image_sets(images: Path, moa: Path) -> pd.DataFrame:
    """Return the image sets of the two published tables, folders being the plates.

    Parameters
    ----------
    images
        ``BBBC021_v1_image.csv``, or gzipped: 13,200 rows.
    moa
        ``BBBC021_v1_moa.csv``: 104 rows.

    Returns
    -------
    DataFrame
        `schema.METADATA`, then the folder and the file name of each channel; rows as in `images`, indexed by line.

    Raises
    ------
    InputError
        When a column is missing, a name does not tell its site, or the tables do not match.
    """
    table = _metadata.read_table(images)
    annotations = _metadata.read_table(moa)
    _require(table, COLUMNS, images)
    _require(annotations, ["compound", "concentration", "moa"], moa)
    names = table["Image_FileName_DAPI"].str.extract(f"^{NAME}$", expand=True)
    odd = names.index[names["site"].isna()]
    if len(odd):
        name = table["Image_FileName_DAPI"][odd[0]]
        raise InputError(f"{images.name}, line {odd[0]}: {name!r} is not <week>_<well>_s<site>_w<channel><GUID>.tif")
    result = pd.DataFrame(
        {
            schema.PLATE: table[_PLATE],
            schema.WELL: table[_WELL].map(wells.same),
            schema.SITE: names["site"],
            schema.BATCH: table[_PLATE].str.split("_").str[0],
            schema.COMPOUND: table[_COMPOUND],
            schema.CONCENTRATION: _metadata.numbers(table, _CONCENTRATION, images.name),
            schema.MOA: "",
            schema.PERT_TYPE: [_metadata.pert_type("", compound) for compound in table[_COMPOUND]],
        }
    )
    for ours, theirs in CHANNELS.items():
        # The archives hold <plate>/<file>; the table says Week1/<plate>.
        result[schema.PATH_PREFIX + ours] = table[_PLATE]
        result[schema.FILE_PREFIX + ours] = table[f"Image_FileName_{theirs}"]
    result = _metadata.join_moa(result, annotations, moa.name)
    _agreement.refuse_contradictions(result, [f"{images.name}, line {line}" for line in result.index])
    return result


def _require(table: pd.DataFrame, columns: list[str], path: Path) -> None:
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise InputError(f"{path.name} lacks {', '.join(missing)}; it has {', '.join(table.columns)}")
