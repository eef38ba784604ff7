"""Cut one PNG a cell, packed in a ZIP a plate (000-06, 000-09 to 000-15)."""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, track

from morphospace import files, params, records, registry, schema, tables
from morphospace.errors import InputError, ParameterError
from morphospace.imaging import chunks, composite, crops, flat, nuclei, packs
from morphospace.imaging.fields import Field, Rule, Tiles, cut, locate, measure
from morphospace.reporting.clock import clock
from morphospace.stages import _crop_report as report

logger = logging.getLogger(__name__)

_PIECE = 512  # tiles that a process holds in memory
COMPARED = ("cells", "kept", "kept_share")  # by `dvc metrics diff`


def run(
    raw: Annotated[Path, typer.Argument(help="Folder with the images.")],
    image_sets: Annotated[Path, typer.Argument(help="Table of the image sets.")],
    illumination: Annotated[Path, typer.Argument(help="Folder with the illumination functions.")],
    objects: Annotated[Path, typer.Argument(help="Folder with the label images and objects.parquet.")],
    packs_folder: Annotated[Path, typer.Argument(metavar="CROPS", help="Folder to write, one pack of PNGs a plate.")],
    table: Annotated[Path, typer.Argument(help="Table to write: every cell, kept or why not.")],
    timings: Annotated[Path, typer.Argument(help="What the stage cost, to write.")],
    metrics: Annotated[Path, typer.Argument(help="Counts and scaling, to write.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    pictures: Annotated[Path, typer.Argument(help="Folder for the figures.")],
) -> None:
    """Cut one PNG a cell, packed in a ZIP a plate.

    What lies outside the cell is 0; a cell larger than the tile in either direction is dropped and counted; nothing is
    resampled. With a stride, whole fields are cut into squares; with `center: nucleus`, a square round each nucleus.
    Intensities are scaled by one rule a plate and channel, or an image and channel: see `synthesize` in params.yaml.
    """
    whole = params.load()
    options = whole.synthesize
    with clock("synthesize", timings, packs_folder, table) as tally:
        sets = tables.read_image_sets(image_sets)
        channels = _channels(options.channels, schema.channels(sets))
        found = _objects(objects / "objects.parquet")
        margin = chunks.margin(crops.boxes(found), options.size, options.stride) if options.stride else 0.0
        with tempfile.TemporaryDirectory() as folder:
            lights = illumination
            if options.scaling == "log_flat":
                lights = _flat_fields(sets, found, channels, raw, Path(folder))
            of = (sets, channels, raw, lights, objects, options.stride > 0)
            windows = None
            if options.center == "nucleus":
                uncut = _fields(found.assign(**{schema.CROP_FILE: ""}), *of)
                windows = _windows([field for fields in uncut.values() for field in fields], options)
            cells = _cells(found, options, objects / "objects.parquet", windows)
            fields = _fields(cells, *of, windows)
            scaling, kept_pixels = _write_packs(fields, cells, options, channels, packs_folder)
        with files.replacing(table) as aside:
            cells.to_parquet(aside, index=False)
        summary = report.metrics(cells, options, channels, scaling, kept_pixels)
        summary |= report.chunked(cells, options.stride, margin) if options.stride else {}
        records.write(metrics, record, whole.data_set, summary, COMPARED)
        report.draw(cells, options, channels, packs_folder, pictures)
        tally.items, tally.unit = len(cells), "cells"


def _channels(wanted: Sequence[str], there: list[str]) -> list[str]:
    """Return the channels of a tile in order."""
    for name in wanted:
        if name not in there:
            raise ParameterError(f"synthesize.channels: there is no channel {name!r}{registry.nearest(name, there)}")
    if len(set(wanted)) < len(wanted):
        raise ParameterError(f"synthesize.channels names a channel twice: {', '.join(wanted)}")
    return list(wanted) or there


def _objects(path: Path) -> pd.DataFrame:
    """Return the table of objects, sorted."""
    found = tables.read_parquet(path, "segment")
    schema.check(found, [*schema.METADATA, *crops.BOX, crops.AREA], str(path), schema.OBJECT_KEY)
    if not len(found):
        raise InputError(f"{path} lists no cell; look at reports/figures/segmentation and the segment section")
    return found.sort_values(schema.OBJECT_KEY, ignore_index=True)


def _cells(
    objects: pd.DataFrame, options: params.Synthesize, path: Path, windows: nuclei.Windows | None
) -> pd.DataFrame:
    """Return the table of what is to be cut, cells or chunks, with status and file name."""
    cells = chunks.cut(objects, options.size, options.stride) if options.stride else objects
    if windows:
        cells = nuclei.add(cells, windows)
    boxes = crops.boxes(cells)
    found = (chunks if options.stride else crops).statuses(boxes, options.size)
    cells[schema.CROP_STATUS] = windows.statuses if windows else found
    kept = cells[schema.CROP_STATUS] == schema.KEPT
    if not kept.any() and windows:
        raise InputError(
            f"none of the {len(cells):,} cells of {path} has a nucleus {options.size // 2} px from every edge of its "
            "field; lower synthesize.size"
        )
    if not kept.any() and options.stride:
        raise InputError(
            f"none of the {len(cells):,} fields of {path} holds a square of {options.size} px: the longest is "
            f"{crops.sides(boxes).max()} px; lower synthesize.size"
        )
    if not kept.any():
        raise InputError(
            f"none of the {len(cells):,} cells of {path} fits a tile of {options.size} px: the smallest is "
            f"{crops.sides(boxes).max(axis=1).min()} px; raise synthesize.size, or look at the segmentation"
        )
    key = cells[schema.OBJECT_KEY].astype(str)
    cells[schema.CROP_FILE] = (key.agg("_".join, axis=1) + ".png").where(kept, "")
    return cells


def _flat_fields(sets: pd.DataFrame, cells: pd.DataFrame, channels: list[str], raw: Path, folder: Path) -> Path:
    """Write the flat field of each plate with cells and each channel into a folder, and return it (004-05)."""
    plates = sets[sets[schema.PLATE].isin(cells[schema.PLATE])].groupby(schema.PLATE)
    tasks = [
        (plate, c, [tables.image_path(raw, row, c) for _, row in g.iterrows()]) for plate, g in plates for c in channels
    ]
    found = Parallel(n_jobs=files.jobs(), return_as="generator")(delayed(flat.flat_field)(paths) for *_, paths in tasks)
    shown = track(found, "flat fields", len(tasks), console=Console(stderr=True), transient=True)
    for (plate, channel, _), field in zip(tasks, shown, strict=True):
        np.save(folder / f"{plate}_{channel}.npy", field)
    return folder


def _windows(fields: list[Field], options: params.Synthesize) -> nuclei.Windows:
    """Return the windows round the nuclei of the cells of all image sets, in their order (004-07)."""
    jobs = (delayed(locate)(field, options.size, options.mask) for field in fields)
    found = Parallel(n_jobs=files.jobs(), return_as="generator")(jobs)
    shown = list(track(found, "nuclei", len(fields), console=Console(stderr=True), transient=True))
    return nuclei.Windows(*(np.concatenate(parts) for parts in zip(*shown, strict=True)))


def _fields(
    cells: pd.DataFrame,
    sets: pd.DataFrame,
    channels: list[str],
    raw: Path,
    illumination: Path,
    objects: Path,
    chunked: bool,
    windows: nuclei.Windows | None = None,
) -> dict[str, list[Field]]:
    """Return the image sets that have cells, by plate."""
    places = {key: i for i, key in enumerate(sets[schema.IMAGE_SET_KEY].itertuples(index=False, name=None))}
    plates: dict[str, list[Field]] = {}
    for keys, group in cells.groupby(schema.IMAGE_SET_KEY, sort=False):
        plate, well, site = (str(k) for k in keys)
        if (plate, well, site) not in places:
            raise InputError(
                f"{objects} has cells of {plate} {well} {site}, which the image sets lack; run `dvc repro`"
            )
        row = sets.iloc[places[plate, well, site]]
        field = Field(
            name=f"plate {plate}, well {well}, site {site}",
            well=well,
            site=site,
            images=[tables.image_path(raw, row, c) for c in channels],
            illuminations=[illumination / f"{plate}_{c}.npy" for c in channels],
            labels=objects / f"{plate}.zip",
            # A chunk is a part of the only object of its label image.
            numbers=np.ones_like(group[schema.OBJECT]) if chunked else group[schema.OBJECT].to_numpy(dtype=np.int64),
            boxes=windows.boxes[group.index] if windows else crops.boxes(group),
            areas=windows.areas[group.index] if windows else group[crops.AREA].to_numpy(dtype=np.float64),
            members=group[schema.CROP_FILE].tolist(),
        )
        plates.setdefault(plate, []).append(field)
    return plates


def _write_packs(
    plates: dict[str, list[Field]], cells: pd.DataFrame, options: params.Synthesize, channels: list[str], out: Path
) -> tuple[dict[str, list[composite.Scale]], NDArray[np.int64]]:
    """Write the packs, and into `cells` what the mean drops.

    Returns
    -------
    dict, ndarray
        The scales by plate or by image, and (C, 2): pixels inside kept cells at 255, and all of them.
    """
    scaling: dict[str, list[composite.Scale]] = {}
    done: list[Tiles] = []
    pieces = {plate: [piece for field in fields for piece in field.pieces(_PIECE)] for plate, fields in plates.items()}
    total = sum(len(p) for p in pieces.values())
    with (
        files.replacing_folder(out) as aside,
        Parallel(n_jobs=files.jobs(), return_as="generator") as pool,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        measured = sum(len(f) for f in plates.values()) if options.scaling == "percentile" else 0
        task = progress.add_task("synthesize", total=measured + total)

        def each(work: Callable[..., Any], fields: list[Field], *more: Any) -> Iterator[Any]:
            for result in pool(delayed(work)(field, *more) for field in fields):
                progress.advance(task)
                yield result

        for plate, fields in plates.items():
            scales = _scales(plate, each(measure, fields), options, channels)
            means = options.min_mean, options.max_mean
            rule = Rule(options.size, scales, options.brightness, *means, options.mask, options.scaling == "log_flat")
            packs.write(aside / f"{plate}.zip", _unpack(each(cut, pieces[plate], rule), done))
            names = [plate] * len(pieces[plate]) if scales else [piece.name for piece in pieces[plate]]
            scaling |= dict(zip(names, (tiles.scales for tiles in done[-len(names) :]), strict=True))
        _drop(cells, np.concatenate([tiles.means for tiles in done]), options)
    # The workers end here, so that the clock counts their seconds and their memory.
    get_reusable_executor().shutdown(wait=True)
    return scaling, np.sum([tiles.pixels for tiles in done], axis=0)


def _scales(
    plate: str, counted: Iterator[NDArray[np.int64]], options: params.Synthesize, channels: list[str]
) -> list[composite.Scale] | None:
    """Return the scale of each channel of a plate, or None where each image has its own.

    The histograms are only asked for when they are needed.
    """
    if options.scaling in ("positive", "log_flat"):
        return None
    if options.scaling == "bit_depth":
        return [composite.by_bit_depth(options.brightness)] * len(channels)
    totals = sum(counted, np.zeros((len(channels), composite.LEVELS), dtype=np.int64))
    scales = [composite.by_percentile(t, options.low, options.high, options.brightness) for t in totals]
    for name, scale in zip(channels, scales, strict=True):
        if scale.constant:
            logger.warning("plate %s: %s is constant inside the cells; its tiles are 1 throughout", plate, name)
    return scales


def _unpack(results: Iterator[Tiles], done: list[Tiles]) -> Iterator[tuple[str, bytes]]:
    """Yield the tiles, and keep the rest of each result."""
    for result in results:
        done.append(result._replace(named=[]))
        yield from result.named


def _drop(cells: pd.DataFrame, means: NDArray[np.float64], options: params.Synthesize) -> None:
    """Write status and mean of the tiles that were looked at, in the order of the table, into it."""
    if not options.stride and (options.min_mean, options.max_mean) == (0, 1):
        return
    cells[schema.CROP_MEAN] = means
    for status, beyond in ((report.TOO_DARK, means < options.min_mean), (report.TOO_BRIGHT, means > options.max_mean)):
        cells.loc[beyond, [schema.CROP_STATUS, schema.CROP_FILE]] = [status, ""]
    if not (cells[schema.CROP_STATUS] == schema.KEPT).any():
        raise InputError(
            f"none of {np.count_nonzero(~np.isnan(means)):,} tiles has a mean from {options.min_mean:g} to "
            f"{options.max_mean:g}: they go from {np.nanmin(means):.3g} to {np.nanmax(means):.3g}; "
            "change synthesize.min_mean and max_mean"
        )
