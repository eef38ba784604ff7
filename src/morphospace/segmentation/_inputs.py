"""Image sets in an engine's form, each file checked against the index."""

import hashlib
from pathlib import Path

import pandas as pd

from morphospace import tables
from morphospace.errors import ParameterError
from morphospace.schema import DIGEST_PREFIX, PLATE, SITE, WELL, channels
from morphospace.segmentation._engine import ImageSet, Outcome


def changed(raw: Path, row: "pd.Series[str]", channel: str) -> str:
    """Return why the image of a channel is not the one that was indexed, or nothing when it is."""
    path = tables.image_path(raw, row, channel)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
    except OSError as error:
        return f"{path} cannot be read ({error.strerror}); run `dvc repro fetch`"
    wanted = str(row[DIGEST_PREFIX + channel])
    return "" if digest == wanted else f"{path} is not the file that was indexed; run `dvc repro index`"


def image_sets(
    raw: Path, table: pd.DataFrame, illumination: Path, nuclei_channel: str, cells_channel: str
) -> tuple[list[ImageSet], list[Outcome]]:
    """Return the image sets for an engine, keyed by row number from 1, and a failure for each that has changed.

    Raises
    ------
    ParameterError
        When the images have no such channel.
    """
    used, known = (nuclei_channel, cells_channel), channels(table)
    for key, name in zip(("nuclei_channel", "cells_channel"), used, strict=True):
        if name not in known:
            raise ParameterError(f"params.yaml: segment.{key} is {name!r} (the images have: {', '.join(known)})")
    good, failed = [], []
    for number, (_, row) in enumerate(table.iterrows(), start=1):
        plate = str(row[PLATE])
        name = f"{plate}/{row[WELL]}/{row[SITE]}"
        if reason := next((r for r in (changed(raw, row, c) for c in dict.fromkeys(used)) if r), ""):
            failed.append(Outcome(number, None, f"{name}: {reason}"))
            continue
        nuclei, cells = (tables.image_path(raw, row, channel).absolute() for channel in used)
        functions = [(illumination / f"{plate}_{channel}.npy").absolute() for channel in used]
        good.append(ImageSet(number, name, plate, nuclei, cells, *functions))
    return good, failed
