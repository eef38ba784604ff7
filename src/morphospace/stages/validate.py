"""The stage ``validate``: other engines on the same fields, and all of them against the truth where there is one."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from morphospace import files, params, records, registry, tables
from morphospace.imaging import packs, tiff
from morphospace.metrics import matching
from morphospace.params import Segment
from morphospace.reporting.clock import clock
from morphospace.schema import IMAGE_SET_KEY, PLATE, SITE, WELL
from morphospace.segmentation import _inputs
from morphospace.segmentation._engine import ImageSet, Labels, Settings, alone_in, finds_cells

TWIN, BASELINE = "native", "plain"
THRESHOLDS = (0.5, 0.7)  # intersection over union
STREAM = 2  # of the random numbers that draw the fields

log = logging.getLogger(__name__)
COMPARED = ("fields", "truth_cells", "agreement.identical_fields", "scores.*.*.f1_50")  # by `dvc metrics diff`


def run(
    raw: Annotated[Path, typer.Argument(help="Folder of the images as published, with truth/ where there is one.")],
    image_sets: Annotated[Path, typer.Argument(help="Table of image sets.")],
    illumination: Annotated[Path, typer.Argument(help="Folder of the illumination functions.")],
    objects: Annotated[Path, typer.Argument(help="Folder of the label images of the stage segment.")],
    timings: Annotated[Path, typer.Argument(help="JSON file to write what the stage cost to.")],
    metrics: Annotated[Path, typer.Argument(help="JSON file to write the comparison to.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
) -> None:
    """Segment some fields again with the native engine and the baseline, and compare pixel by pixel.

    Where the data set brings its truth, each engine's nuclei and cells are matched with it at an intersection over
    union of 0.5 and 0.7. The engines leave out cells that touch the border, so these are left out of the truth, too.
    Where the engine takes fields whole there is nothing to compare, and the metrics say so.
    """
    options = params.load()
    with clock("validate", timings) as tally:
        if not finds_cells(registry.load("segmentation", options.segment.engine)):
            said = f"nothing to compare: the engine {options.segment.engine} takes each field whole and finds no cells"
            found = {"fields": 0, "engine": options.segment.engine, "truth": False, "note": said}
            records.write(metrics, record, options.data_set, found, COMPARED)
            tally.unit = "image sets"
            log.info("validate: %s", said)
            return
        table = tables.read_image_sets(image_sets)
        rng = np.random.default_rng([options.seed, STREAM])
        drawn = _draw(table, objects, options.validate_.fields, rng)
        segmented = _segmented(raw, drawn, illumination, objects, options.segment)
        found = _compare(raw / "truth", drawn, segmented, options.segment.engine)
        records.write(metrics, record, options.data_set, found, COMPARED)
        tally.items, tally.unit = len(drawn), "image sets"
    log.info("validate: %d image sets compared", len(drawn))


def _draw(table: pd.DataFrame, objects: Path, fields: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return the rows of at most `fields` image sets that were segmented, in the order of the table."""
    failed = tables.read_csv(objects / "failed.csv", stage="segment")
    bad = pd.MultiIndex.from_frame(failed[IMAGE_SET_KEY])
    worked = table[~pd.MultiIndex.from_frame(table[IMAGE_SET_KEY]).isin(bad)]
    chosen = rng.choice(len(worked), size=min(fields, len(worked)), replace=False)
    return worked.iloc[np.sort(chosen)].reset_index(drop=True)


def _segmented(
    raw: Path, drawn: pd.DataFrame, illumination: Path, objects: Path, segment: Segment
) -> dict[str, list[Labels | None]]:
    """Return the labels of the drawn image sets by engine; None where an engine failed."""
    settings = Settings.among(segment.model_dump())
    good, _ = _inputs.image_sets(raw, drawn, illumination, segment.nuclei_channel, segment.cells_channel)
    found: dict[str, list[Labels | None]] = {segment.engine: [_stored(objects, row) for _, row in drawn.iterrows()]}
    for name in (TWIN, BASELINE):
        if name not in found:
            found[name] = _labels(name, good, drawn, settings)
    return found


def _labels(name: str, good: list[ImageSet], drawn: pd.DataFrame, settings: Settings) -> list[Labels | None]:
    """Segment with an engine that needs no pipeline."""
    engine = registry.load("segmentation", name)
    labels: list[Labels | None] = [None] * len(drawn)
    digests = [files.fingerprint(i.nuclei_illumination, i.cells_illumination) for i in good]
    with alone_in(
        files.scratch("validate", files.fingerprint(name, drawn.to_dict("list"), settings, digests))
    ) as scratch:
        outcomes = engine.segment(good, settings, Path(), scratch, files.jobs())
        for outcome in track(outcomes, f"validate {name}", len(good), console=Console(stderr=True), transient=True):
            labels[outcome.key - 1] = outcome.labels
    return labels


def _stored(objects: Path, row: "pd.Series[Any]") -> Labels:
    images = packs.read_labels(objects / f"{row[PLATE]}.zip", row[WELL], row[SITE])
    return Labels(images["Nuclei"], images["Cells"], images["Cytoplasm"])


def _compare(
    truth: Path, drawn: pd.DataFrame, segmented: dict[str, list[Labels | None]], engine: str
) -> dict[str, Any]:
    """Return agreement with the twin, counts, and scores against the truth where it is there for every field."""
    summary: dict[str, Any] = {"fields": len(drawn), "engine": engine, "agreement": {}}
    summary["agreement"] = {"with": TWIN, **_agreement(segmented[engine], segmented[TWIN])}
    summary["cells"] = {name: sum(_count(s) for s in labels if s) for name, labels in segmented.items()}
    paths = [truth / row[PLATE] / f"{row[WELL]}_{row[SITE]}" for _, row in drawn.iterrows()]
    summary["truth"] = all(path.with_name(f"{path.name}_Cells.tiff").is_file() for path in paths)
    if summary["truth"]:
        truths = [_truth(path) for path in paths]
        summary["truth_cells"] = sum(_count(t) for t in truths)
        summary["scores"] = {name: _scores(labels, truths) for name, labels in segmented.items()}
    return summary


def _count(labels: Labels) -> int:
    return int(np.count_nonzero(np.unique(labels.cells)))


def _agreement(first: list[Labels | None], second: list[Labels | None]) -> dict[str, float]:
    """Return the share of fields that are equal in all three label images, and of pixels that differ in any."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a and b]
    differ = [np.mean(np.any([x != y for x, y in zip(a, b, strict=True)], axis=0)) for a, b in pairs]
    equal = sum(d == 0 for d in differ) / len(first)
    return {"identical_fields": equal, "differing_pixels": float(np.mean(differ)) if differ else float("nan")}


def _truth(path: Path) -> Labels:
    """Return true nuclei and cells, without the cells (and their nuclei) that touch the border."""
    nuclei, cells = (tiff.read(path.with_name(f"{path.name}_{kind}.tiff")) for kind in ("Nuclei", "Cells"))
    edge = np.unique(np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]]))
    nuclei, cells = (np.where(np.isin(image, edge), 0, image) for image in (nuclei, cells))
    return Labels(nuclei, cells, np.where(nuclei > 0, 0, cells))


def _scores(labels: list[Labels | None], truths: list[Labels]) -> dict[str, dict[str, float]]:
    """Return F1, precision and recall of nuclei and cells over all fields; a field that failed has found nothing."""
    return {
        kind: dict(
            _score(((getattr(s, kind) if s else None, getattr(t, kind)) for s, t in zip(labels, truths, strict=True)))
        )
        for kind in ("nuclei", "cells")
    }


def _score(pairs: Iterator[tuple[NDArray[Any] | None, NDArray[Any]]]) -> Iterator[tuple[str, float]]:
    images = [(np.zeros_like(truth) if found is None else found, truth) for found, truth in pairs]
    for iou in THRESHOLDS:
        counts = np.sum([matching.match(found, truth, iou)[:3] for found, truth in images], axis=0)
        total = matching.counted(*(int(n) for n in counts))
        suffix = f"{round(100 * iou)}"
        yield from (
            (f"f1_{suffix}", total.f1),
            (f"precision_{suffix}", total.precision),
            (f"recall_{suffix}", total.recall),
        )
