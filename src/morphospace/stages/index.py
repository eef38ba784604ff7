"""List the image sets, joined with what is known of them, and drop what cannot be used."""

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.progress import track

from morphospace import files, params, records, registry, schema, tables, wells
from morphospace.datasets import _colour
from morphospace.errors import InputError
from morphospace.imaging import quality, tiff
from morphospace.reporting.clock import clock
from morphospace.segmentation._engine import unreadable

logger = logging.getLogger(__name__)
_LINES = 20  # dropped image sets that are named in the log; dropped.csv names all
_MISSED = ("no_match", "not_colour")  # images that nobody chose to leave out
_KEY = schema.IMAGE_SET_KEY
_FILES_A_PROCESS = 300  # fewer are read sooner than a process starts
COMPARED = (
    "image_sets",
    "dropped",
    "plates",
    "batches",
    "wells",
    "compounds",
    "treatments",
    "moas",
    "negcon",
)  # by `dvc metrics diff`


def run(
    raw: Annotated[Path, typer.Argument(help="Folder of the data set, from `fetch`.")],
    image_sets: Annotated[
        Path, typer.Argument(help="CSV to write: one row an image set, for CellProfiler's LoadData.")
    ],
    dropped: Annotated[Path, typer.Argument(help="CSV to write: what cannot be used, and why.")],
    identical: Annotated[Path, typer.Argument(help="CSV to write: images that are there more than once.")],
    timings: Annotated[Path, typer.Argument(help="JSON of seconds, memory and bytes.")],
    metrics: Annotated[Path, typer.Argument(help="JSON of counts.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
) -> None:
    """List the image sets with compound, concentration, mechanism, control type and batch.

    Every image is read once, whole: a truncated file, a missing channel, channels of unequal size, another size or
    bit depth than the rest of the plate, or a kind of file that the segmentation engine does not read cost their image
    set and no other one.
    """
    options = params.load()
    with clock("index", timings, image_sets, dropped, identical) as tally:
        found, refused = registry.load("datasets", options.dataset).index(raw, **options.dataset_options)
        found = schema.check(wells.named(found, "the image list"), schema.METADATA, "the image list", _KEY)
        _report_names(found)
        kept, images, bad = _inspect(raw, found, registry.load("segmentation", options.segment.engine))
        _report(bad)
        tables.write_csv(kept, image_sets)
        tables.write_csv(pd.concat([bad, refused]).sort_values(tables.DROPPED), dropped)
        _report_scales(quality.scales(kept, images))
        twice = quality.identical(kept, images)
        _report_identical(twice, identical)
        tables.write_csv(twice, identical)
        counts = {**_counts(kept, images, bad, refused), "identical_images": len(twice)}
        records.write(metrics, record, options.data_set, counts, COMPARED)
        tally.items, tally.unit = len(kept), "image sets"
        _check_enough(len(kept), bad, options.index.max_dropped, dropped)
        _check_files(found, refused, options.index.max_dropped, dropped)


def _inspect(raw: Path, found: pd.DataFrame, engine: ModuleType) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the image sets in use, with digests; their images' properties; and the dropped image sets."""
    names = quality.refuse_names(found)
    opened = found[names["Reason"] == ""]
    images = quality.collect(_usable(engine, _read_all(raw, opened)))
    verdicts = pd.concat([names[names["Reason"] != ""], quality.refuse_images(opened, images)])
    bad = verdicts[verdicts["Reason"] != ""].sort_index()
    bad.insert(0, "Source", [" ".join(key) for key in found.loc[bad.index, _KEY].to_numpy()])
    kept = found.drop(index=bad.index)
    images = images[images["Row"].isin(kept.index)]
    for channel in schema.channels(found):
        digests = images[images["Channel"] == channel].set_index("Row")["digest"]
        kept[schema.DIGEST_PREFIX + channel] = digests.reindex(kept.index)
    return kept.sort_values(_KEY), images, bad


def _read_all(raw: Path, opened: pd.DataFrame) -> Iterable[tuple[int, str, str, tiff.Inspection]]:
    """Inspect every image, in parallel."""
    todo = [
        (row, channel, f"{values[schema.PATH_PREFIX + channel]}/{values[schema.FILE_PREFIX + channel]}".lstrip("/"))
        for row, values in zip(opened.index, opened.to_dict("records"), strict=True)
        for channel in schema.channels(opened)
    ]
    inspect = partial(_inspect_one, raw)
    shown: dict[str, Any] = {"total": len(todo), "console": Console(stderr=True), "transient": True}
    names, workers = [file for _, _, file in todo], min(files.jobs(), 1 + len(todo) // _FILES_A_PROCESS)
    if workers == 1:
        done = list(track(map(inspect, names), "Reading images", **shown))
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            done = list(track(pool.map(inspect, names, chunksize=8), "Reading images", **shown))
    return [(row, channel, file, found) for (row, channel, file), found in zip(todo, done, strict=True)]


def _usable(
    engine: ModuleType, images: Iterable[tuple[int, str, str, tiff.Inspection]]
) -> Iterator[tuple[int, str, str, tiff.Inspection]]:
    """Yield the inspections, with the reason of the segmentation engine where it cannot read an image."""
    for row, channel, file, found in images:
        refused = ("", "") if found.reason else unreadable(engine, found.bits, found.compression, found.palette)
        yield row, channel, file, found._replace(reason=refused[0], detail=refused[1]) if refused[0] else found


def _inspect_one(raw: Path, file: str) -> tiff.Inspection:
    """Inspect one image, unless a link leads out of the raw folder."""
    if not tables.is_inside(raw, raw / file):
        return tiff.Inspection(reason="outside_root", detail=f"is a link that leaves {raw}")
    if not (raw / file).exists():
        return tiff.Inspection(reason="missing_channel", detail="is not there")
    return tiff.inspect(raw / file)


def _report_names(found: pd.DataFrame) -> None:
    """Say which wells are not named as wells; a warning where others of their plate are."""
    names = found[[schema.PLATE, schema.WELL]].drop_duplicates()
    free = names[schema.WELL].map(lambda well: wells.place(well) is None)
    odd = names[free & ~free.groupby(names[schema.PLATE]).transform("all")]
    shown, level = (odd, logging.WARNING) if len(odd) else (names[free], logging.INFO)
    if len(shown):
        said = "%d of %d wells are not named as wells are, A01 to AF48, and keep their names (first: %s)%s"
        cure = "; where a name holds row and column, read them as (?P<row>…) and (?P<column>…)" if len(odd) else ""
        logger.log(level, said, len(shown), len(names), " ".join(shown.iloc[0]), cure)


def _report(bad: pd.DataFrame) -> None:
    for row in bad.head(_LINES).to_dict("records"):
        logger.warning("dropped %s (%s): %s", row["Source"], row["Reason"], row["Detail"])
    if len(bad) > _LINES:
        logger.warning("dropped %d more; all are in dropped.csv", len(bad) - _LINES)


def _report_scales(scales: pd.DataFrame) -> None:
    """Say that images of one channel and plate state several values for white, by which both engines divide."""
    if len(scales):
        plate, channel, low, high = scales.iloc[0][["Plate", "Channel", "min", "max"]]
        logger.warning(
            "%d channels of plates state several largest grey values (tag MaxSampleValue), first %s of %s: %d to %d;"
            " their images are divided by it and no longer comparable: remove the tag",
            *(len(scales), channel, plate, low, high),
        )


def _report_identical(twice: pd.DataFrame, path: Path) -> None:
    """Say that images are there more than once, and what the first two are to each other."""
    if twice.empty:
        return
    first, second = twice[twice["Picture"] == twice["Picture"].iloc[0]].head(2).to_dict("records")
    what = next((c for c in _KEY if first[c] != second[c]), "Channel").removeprefix("Metadata_").lower()
    logger.warning(
        "%d images are the same picture as another, first %s and %s (of two %ss); a copy counts as if it were measured,"
        " and `split` refuses it on two sides: remove one of the two; %s lists all",
        len(twice),
        first["File"],
        second["File"],
        what,
        path,
    )


def _counts(kept: pd.DataFrame, images: pd.DataFrame, bad: pd.DataFrame, refused: pd.DataFrame) -> dict[str, Any]:
    """Return the numbers of record of the index."""
    known = kept[schema.COMPOUND] != schema.UNKNOWN
    treated = kept[kept[schema.PERT_TYPE] != schema.NEGCON]
    return {
        "image_sets": len(kept),
        "fields_found": len(kept) + len(bad),
        "dropped": len(bad),
        "dropped_share": len(bad) / max(1, len(kept) + len(bad)),
        "dropped_by_reason": {str(k): int(n) for k, n in bad["Reason"].value_counts().sort_index().items()},
        "not_used": {str(k): int(n) for k, n in refused["Reason"].value_counts().sort_index().items()},
        "channels": schema.channels(kept),
        "plates": kept[schema.PLATE].nunique(),
        "batches": kept[schema.BATCH].nunique(),
        "wells": len(kept[[schema.PLATE, schema.WELL]].drop_duplicates()),
        "compounds": treated.loc[known, schema.COMPOUND].nunique(),
        "treatments": len(treated.loc[known, [schema.COMPOUND, schema.CONCENTRATION]].drop_duplicates()),
        "moas": treated.loc[treated[schema.MOA] != schema.UNKNOWN, schema.MOA].nunique(),
        "negcon": int((kept[schema.PERT_TYPE] == schema.NEGCON).sum()),
        "compound_known": int(known.sum()),
        "compound_unknown": int((~known).sum()),
        "moa_known": int((kept[schema.MOA] != schema.UNKNOWN).sum()),
        "moa_unknown": int((kept[schema.MOA] == schema.UNKNOWN).sum()),
        "images": quality.summarize(images) if len(images) else {},
    }


def _check_enough(kept: int, bad: pd.DataFrame, limit: float, dropped: Path) -> None:
    """Refuse to go on when nothing, or too little, is left."""
    share = len(bad) / max(1, kept + len(bad))
    why = f"first: {bad.iloc[0]['Source']}: {bad.iloc[0]['Detail']}" if len(bad) else "the data set is empty"
    if not kept:
        raise InputError(f"no image set can be used ({why}); {dropped} lists all {len(bad)}")
    if share > limit:
        raise InputError(
            f"{len(bad)} of {kept + len(bad)} image sets were dropped, more than index.max_dropped allows "
            f"({limit:g}); {why}; {dropped} lists all"
        )


def _check_files(found: pd.DataFrame, refused: pd.DataFrame, limit: float, dropped: Path) -> None:
    """Refuse to go on when too many images are of no image set, because the pattern misses them or they are grey."""
    columns = [(schema.PATH_PREFIX + c, schema.FILE_PREFIX + c) for c in schema.channels(found)]
    pairs = [pair for path, file in columns for pair in zip(found[path], found[file], strict=True)]
    used = {f"{path}/{file}".lstrip("/") for path, file in pairs if file}
    listed = refused[refused["Reason"] != "no_images"]
    images = {_colour.packed(file)[0] for file in used.union(listed["Source"])}
    missed = [s for s, why in zip(listed["Source"], listed["Reason"], strict=True) if why in _MISSED]
    if len(missed) > limit * len(images):
        raise InputError(
            f"{len(missed)} of {len(images)} images are not read by folder.pattern, more than index.max_dropped allows "
            f"({limit:g}); first: {missed[0]}; {dropped} lists all"
        )
