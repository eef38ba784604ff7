"""The command ``nuclei``: scores of the engines' nuclei on images with label images beside them."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tifffile
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from morphospace import files, params, places, registry
from morphospace.errors import EngineError, InputError
from morphospace.metrics import bootstrap, matching
from morphospace.segmentation._engine import ImageSet, Settings, alone_in
from morphospace.words import count

THRESHOLDS = (0.5, 0.7)  # intersection over union
RESAMPLES, CONFIDENCE = 2000, 0.95
STREAM = 3  # of the random numbers that resample the fields

log = logging.getLogger(__name__)
Counts = NDArray[np.int64]


def run(
    folder: Annotated[Path, typer.Argument(help="Folder with X.png, grey, and X_labels.png, 0 is background.")],
    engine: Annotated[
        list[str] | None, typer.Option(help="Engine to score; again for another. All by default.")
    ] = None,
    min_diameter: Annotated[int | None, typer.Option(help="px; segment.min_diameter by default.")] = None,
    max_diameter: Annotated[int | None, typer.Option(help="px; segment.max_diameter by default.")] = None,
    opening_radius: Annotated[int | None, typer.Option(help="px; segment.opening_radius by default.")] = None,
    correction: Annotated[float | None, typer.Option(help="segment.nuclei_correction by default.")] = None,
    pipeline: Annotated[Path, typer.Option(help="CellProfiler's pipeline.")] = Path("pipelines/segment.cppipe"),
    output: Annotated[Path | None, places.FILE, typer.Option(help="JSON file to write the scores to, too.")] = None,
) -> None:
    """Score the nuclei of each engine: F1 at an intersection over union of 0.5 and 0.7, with bootstrap intervals.

    The images are not corrected for illumination. The engines leave out what touches the border, so the truth
    leaves it out, too. Fields are resampled, not nuclei.
    """
    options = params.load()
    given = Settings.among(options.segment.model_dump())
    chosen = {"min_diameter": min_diameter, "max_diameter": max_diameter, "opening_radius": opening_radius}
    chosen_values: dict[str, Any] = {k: v for k, v in chosen.items() if v is not None}
    settings = replace(given, **chosen_values, nuclei_correction=correction or given.nuclei_correction)
    with alone_in(files.scratch("nuclei", files.fingerprint(folder, settings))) as scratch:
        image_sets, truths = _prepare(folder, scratch)
        scores = {}
        for name in engine or registry.names("segmentation"):
            counts = _counts(name, image_sets, truths, settings, pipeline, scratch)
            rng = np.random.default_rng([options.seed, STREAM])
            scores[name] = {iou: _estimate(counts[i], rng) for i, iou in enumerate(THRESHOLDS)}
    _show(scores, f"{count(len(truths), 'field')}, {sum(_objects(t) for t in truths)} nuclei away from the border")
    if output:
        rows = {e: {f"f1_{round(100 * i)}": s._asdict() for i, s in by.items()} for e, by in scores.items()}
        files.write_json(output, {"fields": len(truths), "settings": vars(settings), "engines": rows})


def _prepare(folder: Path, scratch: Path) -> tuple[list[ImageSet], list[NDArray[Any]]]:
    """Write each image as a TIFF with an even illumination function; return them with their truth."""
    paths = sorted(p for p in folder.glob("*.png") if not p.stem.endswith("_labels"))
    if not paths:
        raise InputError(f"{folder} has no PNG; it needs X.png and X_labels.png for every field")
    image_sets, truths = [], []
    for key, path in enumerate(paths, start=1):
        pixels, truth = _read(path), _read(path.with_name(f"{path.stem}_labels.png"))
        if pixels.shape != truth.shape:
            raise InputError(f"{path} is {pixels.shape} px and its labels are {truth.shape}; sizes must agree")
        image, dark, even = (scratch / f"{key}{suffix}" for suffix in (".tiff", "_dark.tiff", "_even.npy"))
        tifffile.imwrite(image, pixels, photometric="minisblack")
        tifffile.imwrite(dark, _dark(pixels.shape), photometric="minisblack")
        np.save(even, np.ones(pixels.shape, np.float32))
        image_sets.append(ImageSet(key, path.stem, "nuclei", image, dark, even, even))
        truths.append(_inside(truth))
    return image_sets, truths


def _dark(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a cell stain that is dark but for a corner: no cell grows beyond its nucleus, and none is lost."""
    stain = np.zeros(shape, np.uint8)
    stain[:3, :3], stain[:3, 3:6] = 128, 255
    return stain


def _read(path: Path) -> NDArray[Any]:
    """Return a grey PNG (H, W) of 8 or 16 bits."""
    try:
        with Image.open(path) as file:
            pixels = np.asarray(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); every X.png needs X_labels.png, both whole") from None
    if pixels.ndim != 2:
        raise InputError(f"{path} has {pixels.ndim} axes, not the two of a grey picture")
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint16)


def _inside(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the label image without the objects that touch the border."""
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.where(np.isin(labels, edge), 0, labels)


def _counts(
    name: str, image_sets: list[ImageSet], truths: list[NDArray[Any]], settings: Settings, pipeline: Path, scratch: Path
) -> Counts:
    """Return tp, fp and fn for each threshold and field, (2, F, 3)."""
    engine = registry.load("segmentation", name)
    counts = np.zeros((len(THRESHOLDS), len(truths), 3), np.int64)
    work = scratch / name
    work.mkdir(exist_ok=True)
    outcomes = engine.segment(image_sets, settings, pipeline, work, files.jobs())
    for outcome in track(outcomes, name, len(image_sets), console=Console(stderr=True), transient=True):
        truth = truths[outcome.key - 1]
        if outcome.labels is None:
            log.warning("failed: %s", outcome.error)
            if len(truths) == 1:
                raise EngineError(outcome.error)
        found = np.zeros_like(truth) if outcome.labels is None else _inside(outcome.labels.nuclei)
        for i, iou in enumerate(THRESHOLDS):
            counts[i, outcome.key - 1] = matching.match(found, truth, iou)[:3]
    return counts


def _estimate(counts: Counts, rng: np.random.Generator) -> bootstrap.Estimate:
    """Return F1 over all fields, with its interval over resampled fields."""

    def f1(means: NDArray[np.float64]) -> NDArray[np.float64]:
        tp, fp, fn = means[..., 0], means[..., 1], means[..., 2]
        return np.asarray(2 * tp / np.maximum(2 * tp + fp + fn, 1e-12))

    return bootstrap.resample(range(len(counts)), RESAMPLES, CONFIDENCE, rng).estimate(counts, f1)


def _objects(labels: NDArray[Any]) -> int:
    return int(np.count_nonzero(np.unique(labels)))


def _show(scores: dict[str, dict[float, bootstrap.Estimate]], title: str) -> None:
    """Show the scores as a table on the terminal."""
    table = Table("engine", *(f"F1 at IoU {iou}" for iou in THRESHOLDS), title=title)
    for name, by in scores.items():
        table.add_row(name, *(f"{s.value:.3f} ({s.low:.3f} to {s.high:.3f})" for s in by.values()))
    Console().print(table)
