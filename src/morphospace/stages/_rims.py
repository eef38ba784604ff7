"""What the stage ``segment`` says of the threshold of cells, from the image: whether to take its logarithm."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import tables
from morphospace.imaging import packs
from morphospace.schema import IMAGE_SET_KEY, PLATE, SITE, WELL
from morphospace.segmentation import _images, _rim
from morphospace.segmentation._engine import Settings

SHOWN = 4  # fields looked at

log = logging.getLogger(__name__)


def advise(
    raw: Path,
    table: pd.DataFrame,
    cells: pd.DataFrame,
    failed: pd.DataFrame,
    illumination: Path,
    folder: Path,
    channel: str,
    settings: Settings,
) -> dict[str, Any]:
    """Return for how many cells of a few fields the threshold cut the rim; say so, and when its logarithm floods.

    Parameters
    ----------
    raw, table, illumination
        The images, their image sets, and the illumination functions.
    cells, failed, folder
        What the stage found: objects, failures, and the label images.
    channel, settings
        The cell stain, and how it was segmented.
    """

    def stain(row: "pd.Series[Any]") -> NDArray[np.float32]:
        light = illumination / f"{row[PLATE]}_{channel}.npy"
        return _images.corrected(tables.image_path(raw, row, channel), light)

    rings = []
    for _, row in _spread(table, cells).iterrows():
        labels = packs.read_labels(folder / f"{row[PLATE]}.zip", row[WELL], row[SITE])
        rings.append(_rim.brightness(stain(row), labels["Cells"], settings))
    found = np.concatenate(rings)
    few = _sparse(table, cells, failed) if settings.log_transform else table[:0]
    said = _rim.advice(found, [_rim.floods(stain(row), settings) for _, row in few.iterrows()], settings)
    if said:
        log.warning("segment: %s", said)
    cut = float(np.mean(found > _rim.BRIGHT)) if len(found) else None
    return {"cells": len(found), "cut_share": cut, "advice": said or "none"}


def _spread(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a few image sets with cells, spread over the data set."""
    keys = cells[IMAGE_SET_KEY].drop_duplicates()
    chosen = keys.iloc[np.unique(np.linspace(0, len(keys) - 1, SHOWN).round().astype(int))]
    return chosen.merge(table, on=IMAGE_SET_KEY, validate="1:1")


def _sparse(table: pd.DataFrame, cells: pd.DataFrame, failed: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a few segmented image sets with the fewest cells."""
    found = cells.groupby(IMAGE_SET_KEY).size()
    keys = pd.MultiIndex.from_frame(table[IMAGE_SET_KEY])
    counts = found.reindex(keys, fill_value=0).to_numpy()
    worked = ~keys.isin(pd.MultiIndex.from_frame(failed[IMAGE_SET_KEY]))
    return table[worked].iloc[np.argsort(counts[worked], kind="stable")[:SHOWN]]
