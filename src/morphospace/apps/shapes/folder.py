"""A folder of masks as PNG, and the table of their labels."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from morphospace import schema, tables
from morphospace.apps.shapes.masks import Mask, objects
from morphospace.errors import InputError

FILE = "file"
_LABELS = "_labels"  # how the stem of a label image ends


def masks(paths: Iterable[Path]) -> Iterator[tuple[str, Mask]]:
    """Yield name and mask of every object: a mask is one, a label image ``X_labels.png`` has many.

    A mask is called as its file, an object of a label image as the file, a colon, and its number.

    Raises
    ------
    InputError
        When a file is no grey PNG, or has more than two values and is not called a label image.
    """
    for path in paths:
        pixels = _read(path)
        if path.stem.endswith(_LABELS):
            for number, mask in objects(pixels):
                yield f"{path.name}:{number}", mask
            continue
        values = np.unique(pixels)
        if len(values) > 2 or (len(values) == 2 and values[0]):
            raise InputError(
                f"{path} has {len(values)} values, {values[0]} the smallest; a mask has 0 and one other; call a label "
                f"image {path.stem}{_LABELS}.png"
            )
        yield path.name, pixels > 0


def _read(path: Path) -> NDArray[np.integer[Any]]:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            pixels = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path} is not a readable PNG ({error})") from None
    if pixels.ndim != 2:
        raise InputError(f"{path} has {pixels.ndim} axes, not the two of a mask; save it in grey")
    return pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels


def labels(path: Path, columns: list[str]) -> pd.DataFrame:
    """Return the table of labels, all text, an empty text where there is none: a row a file.

    Raises
    ------
    InputError
        When it is missing or is no table.
    SchemaError
        When it lacks ``file`` or one of `columns`, or names a file twice.
    """
    if not path.exists():
        raise InputError(f"{path} is missing; it needs the columns {', '.join([FILE, *columns])}")
    return schema.check(tables.read_csv(path), columns, str(path), key=[FILE])
