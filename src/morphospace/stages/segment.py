"""The stage ``segment``: nuclei, cells and cytoplasm of every image set, by the engine of the parameters."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from rich.console import Console
from rich.progress import track

from morphospace import files, params, records, registry, tables
from morphospace.errors import EngineError
from morphospace.imaging import packs, tiff
from morphospace.params import Segment
from morphospace.reporting import figures, overlays
from morphospace.reporting.clock import clock
from morphospace.schema import METADATA, OBJECT, OBJECT_KEY, PLATE, SITE, WELL, channels
from morphospace.segmentation import _inputs
from morphospace.segmentation._engine import (
    COMPARTMENTS,
    Labels,
    Outcome,
    Settings,
    alone_in,
    finds_cells,
    has_log_transform,
)
from morphospace.segmentation._measure import CELL, COLUMNS, NUCLEUS_AREA, measure
from morphospace.stages import _doubts, _rims, _stains

SHOWN = 4  # fields drawn
FAILED = [PLATE, WELL, SITE, "Reason"]  # columns of failed.csv

log = logging.getLogger(__name__)
COMPARED = ("image_sets", "failed", "without_cells", "cells", "fields.doubtful")  # by `dvc metrics diff`


def run(
    raw: Annotated[Path, typer.Argument(help="Folder of the images as published.")],
    image_sets: Annotated[Path, typer.Argument(help="Table of image sets.")],
    illumination: Annotated[Path, typer.Argument(help="Folder of the illumination functions.")],
    pipeline: Annotated[Path, typer.Argument(help="CellProfiler's pipeline, for the engine cellprofiler.")],
    objects: Annotated[Path, typer.Argument(help="Folder to write <plate>.zip, objects.parquet, failed.csv to.")],
    timings: Annotated[Path, typer.Argument(help="JSON file to write what the stage cost to.")],
    metrics: Annotated[Path, typer.Argument(help="JSON file to write counts to.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    pictures: Annotated[Path, typer.Argument(help="Folder to write outlines on fields to.")],
) -> None:
    """Find nuclei in one channel, grow a cell from each in another, and write their label images.

    Cells that touch the border are left out. Cell n, nucleus n and cytoplasm n are the same ObjectNumber. An image
    set that fails is listed in failed.csv and stops no other; too many failures, or no cell at all, stop the stage.
    """
    whole = params.load()
    options = whole.segment
    engine = registry.load("segmentation", options.engine)
    with clock("segment", timings, objects) as tally, files.replacing_folder(objects) as folder:
        table = tables.read_image_sets(image_sets)
        named = _stains.audit(raw, table, options)
        used = (options.nuclei_channel, options.cells_channel)
        # An engine that looks at no stain is given any, for the size of the field.
        stains = used if finds_cells(engine) else (channels(table)[0],) * 2
        good, unusable = _inputs.image_sets(raw, table, illumination, *stains)
        settings = Settings.among(options.model_dump())
        key = files.fingerprint(options.engine, pipeline, asdict(settings), table.to_dict("list"), illumination)
        work = alone_in(files.scratch("segment", key))
        with work as scratch, closing(engine.segment(good, settings, pipeline, scratch, files.jobs())) as results:
            bar = track(results, "segment", len(good), console=Console(stderr=True), transient=True)
            cells, failed = _pack(folder, table, unusable, bar)
        _judge(options, table, cells, failed)
        with files.replacing(folder / "objects.parquet") as aside:
            cells.to_parquet(aside, index=False)
        tables.write_csv(failed, folder / "failed.csv")
        used_stains = stains if finds_cells(engine) else None
        fields = _doubts.examine(raw, table, failed, folder, used_stains)
        for name, found in (("stains", named), ("fields", fields)):
            tables.write_csv(found, folder / f"{name}.csv")
        audited = {"stains": _stains.counts(named), "fields": _doubts.counts(fields)}
        if has_log_transform(engine):
            audited["rim"] = _rims.advise(
                raw, table, cells, failed, illumination, folder, options.cells_channel, settings
            )
        counted = _summary(options, table, cells, failed) | audited
        records.write(metrics, record, whole.data_set, counted, COMPARED)
        _draw(raw, table, folder, cells, used_stains, pictures, _doubts.chosen(fields))
        _stains.draw(raw, table, options, named, pictures)
        _doubts.draw(fields, pictures)
        tally.items, tally.unit = len(table), "image sets"
    log.info("segment: %d cells in %d image sets, %d failed", len(cells), len(table), len(failed))


def _pack(
    folder: Path, table: pd.DataFrame, early: list[Outcome], results: Iterable[Outcome]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write a pack as soon as all of a plate is there; return the table of objects and that of failures."""
    missing = Counter(table[PLATE])
    members: dict[str, dict[int, list[tuple[str, bytes]]]] = defaultdict(dict)
    found: dict[int, pd.DataFrame] = {}
    failed: dict[int, str] = {}
    for outcome in chain(early, results):
        row = table.iloc[outcome.key - 1]
        plate = str(row[PLATE])
        if outcome.labels is None:
            log.warning("failed: %s", outcome.error)
            failed[outcome.key] = outcome.error
        else:
            members[plate][outcome.key] = _members(row, outcome.labels)
            found[outcome.key] = _rows(row, measure(outcome.labels))
        missing[plate] -= 1
        if not missing[plate]:
            done = members.pop(plate, {})
            packs.write(folder / f"{plate}.zip", (member for key in sorted(done) for member in done[key]))
    empty = pd.DataFrame(columns=[*METADATA, *COLUMNS])
    cells = pd.concat([found[key] for key in sorted(found)], ignore_index=True) if found else empty
    rows = [[*table.iloc[key - 1][[PLATE, WELL, SITE]], reason] for key, reason in sorted(failed.items())]
    return cells.sort_values(OBJECT_KEY, ignore_index=True), pd.DataFrame(rows, columns=FAILED)


def _members(row: "pd.Series[Any]", labels: Labels) -> list[tuple[str, bytes]]:
    stem = f"{row[WELL]}_{row[SITE]}"
    return [
        (f"{stem}_{compartment}.tiff", packs.encode_labels(image))
        for compartment, image in zip(COMPARTMENTS, labels, strict=True)
    ]


def _rows(row: "pd.Series[Any]", measured: pd.DataFrame) -> pd.DataFrame:
    """Put the metadata of the image set before the measurements of its objects."""
    metadata = pd.DataFrame({name: [row[name]] * len(measured) for name in METADATA}, index=measured.index)
    text = [name for name in METADATA if isinstance(row[name], str)]
    typed = metadata.astype({name: "str" if name in text else float for name in METADATA})
    return pd.concat([typed, measured], axis=1)


def _judge(options: Segment, table: pd.DataFrame, cells: pd.DataFrame, failed: pd.DataFrame) -> None:
    """Refuse a result that would be meaningless.

    Raises
    ------
    EngineError
        When more image sets failed than allowed, or no cell was found anywhere.
    """
    if len(failed) > options.max_failed * len(table):
        raise EngineError(
            f"{len(failed)} of {len(table)} image sets failed, more than segment.max_failed {options.max_failed:g} "
            f"allows; the first: {failed['Reason'].iloc[0]}"
        )
    if cells.empty:
        raise EngineError(
            f"no cell in {len(table)} image sets; check segment.nuclei_channel, cells_channel and the diameters"
        )


def _summary(options: Segment, table: pd.DataFrame, cells: pd.DataFrame, failed: pd.DataFrame) -> dict[str, Any]:
    """Return the counts; image sets without a cell count as 0 in the median."""
    worked = table.merge(failed[FAILED[:3]], how="left", on=FAILED[:3], indicator=True)
    worked = worked[worked["_merge"] == "left_only"]
    per_field = cells.groupby(FAILED[:3])[OBJECT].size().reindex(pd.MultiIndex.from_frame(worked[FAILED[:3]]))
    per_field = per_field.fillna(0).astype(int)
    plates = per_field.groupby(level=0)
    return {
        "engine": options.engine,
        "method": options.method,
        "log_transform": options.log_transform,
        "image_sets": len(table),
        "failed": len(failed),
        "without_cells": int((per_field == 0).sum()),
        "cells": len(cells),
        "nuclei": int((cells[NUCLEUS_AREA] > 0).sum()),
        "cells_per_field": {"median": per_field.median(), "min": per_field.min(), "max": per_field.max()},
        "cell_area_px": {f"p{q}": cells[f"{CELL}Area"].quantile(q / 100) for q in (5, 50, 95)},
        "nucleus_area_px": {f"p{q}": cells[NUCLEUS_AREA].quantile(q / 100) for q in (5, 50, 95)},
        "plates": {str(p): {"image_sets": len(v), "cells": int(v.sum())} for p, v in plates},
    }


def _draw(
    raw: Path,
    table: pd.DataFrame,
    folder: Path,
    cells: pd.DataFrame,
    stains: tuple[str, str] | None,
    pictures: Path,
    doubtful: dict[tuple[str, str, str], str],
) -> None:
    """Draw outlines on the doubtful fields and a few others with cells, spread over the data set.

    Without stains, the fields alone.
    """
    keys = cells[[PLATE, WELL, SITE]].drop_duplicates().to_numpy()
    chosen = keys[np.unique(np.linspace(0, len(keys) - 1, SHOWN).round().astype(int))]
    drawn = [(*key, "doubtful_") for key in doubtful]
    drawn += [(*key, "") for key in chosen if tuple(key) not in doubtful]
    with files.replacing_folder(pictures) as aside:
        for plate, well, site, kind in drawn:
            row = table[(table[PLATE] == plate) & (table[WELL] == well) & (table[SITE] == site)].iloc[0]
            planes = [tiff.read(tables.image_path(raw, row, channel)) for channel in stains or channels(table)]
            title = f"{plate}, {well}, site {site}"
            title += f" ({doubtful[plate, well, site]})" if kind else ""
            if stains:
                labels = packs.read_labels(folder / f"{plate}.zip", well, site)
                figure = overlays.outlines(planes[0], planes[1], labels["Nuclei"], labels["Cells"], title)
            else:
                figure = overlays.whole(planes, title)
            figures.save(figure, aside / f"{kind}{plate}_{well}_{site}.png")
