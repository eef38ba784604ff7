"""The stage ``illuminate``: an illumination function for each plate and channel."""

import logging
from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from morphospace import files, params, registry, tables
from morphospace.errors import EngineError
from morphospace.imaging import tiff
from morphospace.reporting import figures, overlays
from morphospace.reporting.clock import clock
from morphospace.schema import PLATE, channels
from morphospace.segmentation import _inputs
from morphospace.segmentation._engine import Function, Group, alone_in

SHOWN = 8  # plates on the figure

log = logging.getLogger(__name__)


def run(
    raw: Annotated[Path, typer.Argument(help="Folder of the images as published.")],
    image_sets: Annotated[Path, typer.Argument(help="Table of image sets.")],
    pipeline: Annotated[Path, typer.Argument(help="CellProfiler's pipeline, for the engine cellprofiler.")],
    illumination: Annotated[Path, typer.Argument(help="Folder to write <plate>_<channel>.npy to.")],
    timings: Annotated[Path, typer.Argument(help="JSON file to write what the stage cost to.")],
    pictures: Annotated[Path, typer.Argument(help="Folder to write the figure to.")],
) -> None:
    """Estimate the illumination function of each plate and channel: the smoothed mean of its images.

    A lamp lights the middle of a field more than its corners. The mean of many fields, smoothed until no cell is
    left, shows how; images are divided by it before anything is found in them. Its smallest value is 1.
    """
    options = params.load()
    engine = registry.load("segmentation", options.segment.engine)
    with clock("illuminate", timings, illumination) as tally, files.replacing_folder(illumination) as folder:
        table = tables.read_image_sets(image_sets)
        groups = _groups(raw, table, options.illuminate.smoothing)
        key = files.fingerprint(options.segment.engine, pipeline, [g.smoothing for g in groups], table.to_dict("list"))
        work = alone_in(files.scratch("illuminate", key))
        with work as scratch, closing(engine.illuminate(groups, pipeline, scratch, files.jobs())) as functions:
            bar = track(functions, "illuminate", len(groups), console=Console(stderr=True), transient=True)
            for function in bar:
                with files.replacing(folder / f"{function.name}.npy") as aside:
                    np.save(aside, _usable(function))
        _draw(folder, table, pictures)
        tally.items, tally.unit = sum(len(g.images) for g in groups), "images"
    log.info("illuminate: %d functions, one a plate and channel, by %s", len(groups), options.segment.engine)


def _groups(raw: Path, table: pd.DataFrame, smoothing: float) -> list[Group]:
    """Return one group a plate and channel; an image that changed since it was indexed is left out and named."""
    groups = []
    for plate, rows in table.groupby(PLATE, sort=True):
        for channel in channels(table):
            images = []
            for _, row in rows.iterrows():
                if reason := _inputs.changed(raw, row, channel):
                    log.warning("left out: %s", reason)
                else:
                    images.append(tables.image_path(raw, row, channel).absolute())
            if not images:
                raise EngineError(f"no image of plate {plate}, channel {channel} is as indexed; run `dvc repro index`")
            size = round(smoothing * max(tiff.read(images[0]).shape))
            groups.append(Group(f"{plate}_{channel}", images, max(1, size)))
    return groups


def _usable(function: Function) -> NDArray[np.float32]:
    """Return the values of a function that images can be divided by: ones where no image of the group has any light."""
    if np.isfinite(function.values).all() and function.values.min() > 0:
        return function.values
    log.warning("%s: its images are black, so its illumination is taken for even", function.name)
    return np.ones_like(function.values)


def _draw(folder: Path, table: pd.DataFrame, pictures: Path) -> None:
    plates = sorted(table[PLATE].unique())[:SHOWN]
    names = channels(table)
    values = {(p, c): np.load(folder / f"{p}_{c}.npy", mmap_mode="r") for p in plates for c in names}
    with files.replacing_folder(pictures) as aside:
        figures.save(overlays.illumination(values, plates, names), aside / "functions.png")
