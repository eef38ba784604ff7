"""What the stage ``segment`` says of channels whose names look exchanged; it warns and stops nothing."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from morphospace import files, schema, tables, tiffs
from morphospace.errors import InputError
from morphospace.imaging import stains, tiff
from morphospace.params import Segment
from morphospace.reporting import figures
from morphospace.reporting import stains as drawing

FIELDS = 8  # of each plate that are looked at, those of the negative controls first
COLUMNS = [schema.PLATE, "First", "Second", "Value", "Share", "Nuclei", "Verdict"]
SHOWN = 8  # nuclei drawn

log = logging.getLogger(__name__)


def audit(raw: Path, table: pd.DataFrame, options: Segment) -> pd.DataFrame:
    """Return a row a plate and pair of stains, and warn of pairs that look exchanged.

    Where no two channels have names that are known to be DNA, actin or tubulin, the table is empty.
    """
    names = stains.recognise(schema.channels(table), options.nuclei_channel)
    rows: list[list[Any]] = []
    if stains.DNA in names and len(names) > 1:
        for plate, fields in table.groupby(schema.PLATE, sort=True):
            jobs = (delayed(_look)(raw, row, names, options) for _, row in _spread(fields).iterrows())
            signs = [found for found in Parallel(n_jobs=files.jobs())(jobs) if found]
            for pair in stains.judge(signs):
                rows.append(
                    [plate, names[pair.first], names[pair.second], pair.value, pair.share, pair.nuclei, pair.verdict]
                )
    found = pd.DataFrame(rows, columns=COLUMNS)
    _warn(found)
    return found


def counts(found: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of record for each pair of channels: the median share of what is asked, plates by verdict."""
    verdicts = (stains.AS_NAMED, stains.SWAPPED, stains.UNCLEAR, stains.TOO_FEW)
    return {
        f"{first} and {second}": {
            "median": float(rows["Share"].median()),
            **{verdict.replace(" ", "_"): int((rows["Verdict"] == verdict).sum()) for verdict in verdicts},
        }
        for (first, second), rows in found.groupby(["First", "Second"], sort=False)
    }


def _spread(fields: pd.DataFrame) -> pd.DataFrame:
    """Return some fields of a plate, spread over it; negative controls first: no poison changes their look."""
    control = fields[schema.PERT_TYPE] == schema.NEGCON
    parts = [fields[control], fields[~control]]
    chosen = [_evenly(parts[0], FIELDS)]
    chosen.append(_evenly(parts[1], FIELDS - len(chosen[0])))
    return pd.concat(chosen)


def _evenly(fields: pd.DataFrame, count: int) -> pd.DataFrame:
    return fields.iloc[np.unique(np.linspace(0, len(fields) - 1, min(count, len(fields))).round().astype(int))]


def _look(raw: Path, row: "pd.Series[Any]", names: dict[str, str], options: Segment) -> stains.Signs | None:
    planes = _planes(raw, row, names)
    return stains.look(planes, options.min_diameter, options.max_diameter) if planes else None


def _planes(raw: Path, row: "pd.Series[Any]", names: dict[str, str]) -> dict[str, tiffs.Pixels]:
    """Return the planes of a field by stain; none when a file cannot be used, which is the engine's to report."""
    try:
        planes = {stain: tiff.read(tables.image_path(raw, row, name)) for stain, name in names.items()}
    except InputError:
        return {}
    return planes if len({plane.shape for plane in planes.values()}) == 1 else {}


def _warn(found: pd.DataFrame) -> None:
    """Say once for each pair of stains on how many plates it looks exchanged, and what to do."""
    for (first, second), rows in found.groupby(["First", "Second"], sort=False):
        swapped = rows[rows["Verdict"] == stains.SWAPPED]
        if len(swapped):
            worst = swapped.sort_values("Share").iloc[0]
            log.warning(
                "channels %s and %s look exchanged on %d of %d plates (plate %s, by %d nuclei): look at "
                "reports/figures/segmentation/stains.png; if they are, exchange the two names in folder.channels of "
                "params.yaml, or in the table of images, and run `dvc repro`",
                first,
                second,
                len(swapped),
                len(rows),
                worst[schema.PLATE],
                worst["Nuclei"],
            )


def draw(raw: Path, table: pd.DataFrame, options: Segment, found: pd.DataFrame, pictures: Path) -> None:
    """Draw the verdicts, and nuclei of the plate that looks least as named; nothing where nothing was judged."""
    judged = found[found["Share"].notna()]
    if judged.empty:
        return
    plate = str(judged.sort_values("Share")[schema.PLATE].iloc[0])
    names = stains.recognise(schema.channels(table), options.nuclei_channel)
    cells: dict[str, list[Any]] = {name: [] for name in names.values()}
    for _, row in _spread(table[table[schema.PLATE] == plate]).iterrows():
        planes = _planes(raw, row, names)
        some = stains.examples(planes, options.min_diameter, options.max_diameter, SHOWN) if planes else {}
        if some and len(some[stains.DNA]) > len(cells[names[stains.DNA]]):
            cells = {names[stain]: windows for stain, windows in some.items()}
    points = pd.DataFrame({"Plate": judged[schema.PLATE], "Share": judged["Share"]})
    points["Pair"] = judged["First"] + " and " + judged["Second"]
    figures.save(drawing.draw(cells, plate, points), pictures / "stains.png")
