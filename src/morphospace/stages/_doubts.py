"""What the stage ``segment`` says of fields whose outlines the stains do not have; it warns and drops nothing."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed

from morphospace import files, tables
from morphospace.imaging import doubts, packs, tiff
from morphospace.reporting import doubts as drawing
from morphospace.reporting import figures
from morphospace.schema import IMAGE_SET_KEY, METADATA

SHOWN = 3  # doubtful fields whose outlines are drawn, one of each doubt first
COLUMNS = [
    *METADATA,
    *("Count_Cells", "Median_CellOverNucleusArea", "Share_Covered", "Share_CellsWithoutCytoplasm"),
    *("Contrast_CellEdge", "Contrast_NucleusEdge", "Doubts"),
]
_DOUBTS = COLUMNS[-1]

log = logging.getLogger(__name__)


def examine(
    raw: Path, table: pd.DataFrame, failed: pd.DataFrame, folder: Path, channels: tuple[str, str] | None
) -> pd.DataFrame:
    """Return a row a segmented field with its signs and doubts, and warn of doubtful ones.

    Parameters
    ----------
    channels
        Of the nuclei and of the cells; without them, as with fields that are taken whole, there is nothing to doubt.
    """
    rows: list[list[Any]] = []
    if channels:
        lost = set(failed[IMAGE_SET_KEY].itertuples(index=False, name=None))
        whole = [row for _, row in table.iterrows() if tuple(row[IMAGE_SET_KEY]) not in lost]
        signs = Parallel(n_jobs=files.jobs())(delayed(_signs)(raw, row, folder, channels) for row in whole)
        rows = [[*row[METADATA], *s, "; ".join(s.doubts)] for row, s in zip(whole, signs, strict=True)]
    found = pd.DataFrame(rows, columns=COLUMNS)
    doubtful = found[found[_DOUBTS] != ""]
    if len(doubtful):
        log.warning(
            "the segmentation of %d of %d fields is doubtful (%s; the first: %s): look at doubtful_*.png in "
            "reports/figures/segmentation and at data/objects/fields.csv; check segment.nuclei_channel and "
            "cells_channel, the stain of these fields, their focus, and the threshold corrections",
            len(doubtful),
            len(found),
            ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in counts(found)["doubts"].items() if n),
            "/".join(doubtful.iloc[0][IMAGE_SET_KEY]),
        )
    return found


def counts(found: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of record: doubtful fields, in all, by doubt and by plate, and the ratio of areas."""
    doubtful = found[found[_DOUBTS] != ""]
    ratio = found["Median_CellOverNucleusArea"].dropna().astype(float)
    return {
        "examined": len(found),
        "doubtful": len(doubtful),
        "doubts": {
            name.replace(" ", "_"): int(found[_DOUBTS].str.contains(name, regex=False).sum()) for name in doubts.DOUBTS
        },
        "plates": {str(plate): int(n) for plate, n in doubtful.groupby(IMAGE_SET_KEY[0]).size().items()},
        "cell_over_nucleus_area": {f"p{q}": float(ratio.quantile(q / 100)) for q in (5, 50, 95)} if len(ratio) else {},
    }


def chosen(found: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """Return the doubtful fields to draw and their doubts: the first with each, then others."""
    doubtful = found[found[_DOUBTS] != ""]
    first = doubtful.drop_duplicates(_DOUBTS)
    picked = pd.concat([first, doubtful.drop(first.index)]).head(SHOWN)
    return {tuple(key): why for key, why in zip(picked[IMAGE_SET_KEY].to_numpy(), picked[_DOUBTS], strict=True)}


def draw(found: pd.DataFrame, pictures: Path) -> None:
    """Draw on which wells the doubtful fields lie; nothing where there is none."""
    if (found[_DOUBTS] != "").any():
        wells = found.assign(Doubtful=found[_DOUBTS] != "").groupby(IMAGE_SET_KEY[:2])["Doubtful"].mean()
        figures.save(drawing.wells(wells.rename("Share").reset_index()), pictures / "doubtful.png")


def _signs(raw: Path, row: "pd.Series[Any]", folder: Path, channels: tuple[str, str]) -> doubts.Signs:
    labels = packs.read_labels(folder / f"{row[IMAGE_SET_KEY[0]]}.zip", row[IMAGE_SET_KEY[1]], row[IMAGE_SET_KEY[2]])
    stains = [tiff.read(tables.image_path(raw, row, channel)) for channel in channels]
    return doubts.examine(labels["Nuclei"], labels["Cells"], *stains)
