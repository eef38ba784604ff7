"""What commands that take crops and a column of classes share."""

from pathlib import Path
from typing import Any

import pandas as pd

from morphospace import schema
from morphospace.errors import InputError
from morphospace.imaging import packs


def labels(table: pd.DataFrame, by: str) -> list[Any]:
    """Return the class of each row; a mechanism that is not annotated is none."""
    found = table[by].astype("string")
    return list(found.mask(found == schema.UNKNOWN) if by == schema.MOA else found)


def shape(crops: Path, rows: pd.DataFrame) -> tuple[int, int]:
    """Return channels and side of the first tile: a picture in colour has three, a grey one stacks squares.

    Raises
    ------
    InputError
        When it is no tile: pack and member are named.
    """
    plate, file = rows[schema.PLATE].iloc[0], rows[schema.CROP_FILE].iloc[0]
    content = packs.read(crops / f"{plate}.zip", [file])[0]
    try:
        tile = packs.decode_tile(content, 3)
    except InputError:
        try:
            tile = packs.decode_tile(content, 1)
        except InputError as error:
            raise InputError(f"{crops / plate}.zip: {file} {error}") from None
    _, height, width = tile.shape
    return (3 if len(tile) == 3 else height // width), width
