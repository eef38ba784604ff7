"""The real CellProfiler, run without its window as subprocesses in an environment of its own; never imported.

CellProfiler says ``Complete`` of truncated images, of modules it lacks and of empty work. So images are read before
it sees them, its outputs are counted after, and what is missing is run once more alone to learn why.
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphospace import tiffs
from morphospace.errors import EngineError, InputError
from morphospace.segmentation import _cppipe, _engine, _images, _program
from morphospace.segmentation._engine import COMPARTMENTS, Function, Group, ImageSet, Labels, Outcome, Settings, narrow
from morphospace.segmentation._program import Run

LOG_TRANSFORM = True
SHARD = 24  # image sets a process, at most: its memory grows by 5 MB each, and its start costs 2 seconds
HOPELESS = 8  # failures in a row without one success, after which the program itself must be at fault
# What LoadData of CellProfiler 4.2.8.1 was seen to read as we do, in strips and tiles; it fails on LZMA, ZSTD, LERC,
# PNG, JPEGXL, JPEGXR and JPEG_LOSSY, and so on whatever comes next.
COMPRESSIONS = {"NONE", "LZW", "PACKBITS", "DEFLATE", "ADOBE_DEFLATE", "JPEG"}
COMPRESSIONS |= {"JPEG2000", "JPEG_2000_LOSSY", "APERIO_JP2000_RGB", "APERIO_JP2000_YCBC"}

log = logging.getLogger(__name__)


def unreadable(bits: int, compression: str, palette: bool) -> tuple[str, str]:
    """Return why CellProfiler cannot read an image; see `_engine.unreadable`.

    One image that it cannot read would end the illumination of its plate, and with it the run.
    """
    if compression not in COMPRESSIONS:
        what = f"is compressed with {compression}, which CellProfiler does not read; write it uncompressed"
        return "compression", f"{what}, or set segment.engine to native"
    if palette and bits == 16:  # a grey colour map of 8 bits it ignores, as we do
        what = "has a colour map of 16 bits, which CellProfiler takes for colour; save it as greyscale"
        return "palette", f"{what}, or set segment.engine to native"
    return "", ""


def illuminate(groups: Sequence[Group], pipeline: Path, scratch: Path, jobs: int) -> Iterator[Function]:
    """Yield the illumination function of each group, one process a group.

    Raises
    ------
    EngineError
        When CellProfiler is missing, or does not write a function: with the group and the reason.
    InputError
        When an image cannot be read.
    """
    done = set()
    for function in _engine.restored_functions(groups, scratch):
        done.add(function.name)
        yield function
    waiting = {group.name: group for group in groups if group.name not in done}
    if not waiting:
        return
    text = _cppipe.read(pipeline)
    runs = (_illumination_run(group, text, scratch) for group in waiting.values())
    for run in _program.supervise(runs, _program.find(), jobs):
        if run.code is None:
            continue
        function = _illumination(run)
        _engine.store_function(scratch, function)
        shutil.rmtree(run.folder)
        yield function


def _illumination_run(group: Group, text: str, scratch: Path) -> Run:
    if not group.images:
        raise InputError(f"{group.name} has no image to estimate its illumination from")
    for path in group.images:
        _images.read(path)
    rows = [_columns({"Channel": path}) for path in group.images]
    return Run(scratch / f"{group.name}.run", _cppipe.changed(text, _cppipe.illumination(group.smoothing)), rows, False)


def _illumination(run: Run) -> Function:
    """Read the function that a run wrote; its folder is named after the group."""
    path = run.outputs / "Illumination.npy"
    if not (run.complete and path.is_file()):
        raise EngineError(f"no illumination function of {run.folder.stem}: {run.complaint()}")
    values: NDArray[Any] = np.load(path)
    return Function(run.folder.stem, values.astype(np.float32))


def segment(
    image_sets: Sequence[ImageSet], settings: Settings, pipeline: Path, scratch: Path, jobs: int
) -> Iterator[Outcome]:
    """Yield the outcome of each image set: those of an earlier run, then as processes finish them.

    Raises
    ------
    EngineError
        When CellProfiler is missing, the pipeline lacks a setting, or nothing at all succeeds.
    """
    left = {image_set.key: image_set for image_set in image_sets}
    for outcome in _engine.restored(image_sets, scratch):
        del left[outcome.key]
        yield outcome
    succeeded = len(left) < len(image_sets)
    unusable: list[Outcome] = []
    text = _cppipe.changed(_cppipe.read(pipeline), _cppipe.segmentation(settings))
    shards = _shards(list(left.values()), settings, text, scratch, jobs, unusable)
    if left:
        for run in _program.supervise(shards, _program.find(), jobs):
            for outcome in _harvest(run, scratch, left):
                succeeded = True
                yield outcome
        yield from _drain(unusable, left)
        yield from _alone(left, text, scratch, jobs, succeeded)


def _shards(
    image_sets: Sequence[ImageSet], settings: Settings, text: str, scratch: Path, jobs: int, unusable: list[Outcome]
) -> Iterator[Run]:
    """Yield runs of one plate each, small enough to keep all processes busy; what cannot be run goes to `unusable`."""
    size = min(SHARD, max(1, -(-len(image_sets) // jobs)))
    for plate in dict.fromkeys(image_set.plate for image_set in image_sets):
        members = [image_set for image_set in image_sets if image_set.plate == plate]
        for start in range(0, len(members), size):
            good = [i for i in members[start : start + size] if _usable(i, settings, unusable)]
            if good:
                yield Run(scratch / f"run_{good[0].key}", text, [_row(i) for i in good], True)


def _usable(image_set: ImageSet, settings: Settings, unusable: list[Outcome]) -> bool:
    """Whether both images can be read, fit their illumination functions, and are not even."""
    try:
        _images.pair(image_set, settings)
    except InputError as error:
        unusable.append(Outcome(image_set.key, None, f"{image_set.name}: {error}"))
        return False
    return True


def _drain(unusable: list[Outcome], left: dict[int, ImageSet]) -> Iterator[Outcome]:
    for outcome in unusable:
        del left[outcome.key]
        yield outcome


def _alone(left: dict[int, ImageSet], text: str, scratch: Path, jobs: int, succeeded: bool) -> Iterator[Outcome]:
    """Run what gave no result once more, one image set a process, to learn the reason of each."""
    runs = (Run(scratch / f"alone_{key}", text, [_row(image_set)], False) for key, image_set in list(left.items()))
    failed = 0
    for run in _program.supervise(runs, _program.find(), jobs):
        complaint = run.complaint() if run.code is not None else ""
        outcomes = list(_harvest(run, scratch, left))
        succeeded = succeeded or bool(outcomes)
        yield from outcomes
        key = int(run.rows[0]["Metadata_Key"])
        if run.code is None or key not in left:
            continue
        image_set, failed = left.pop(key), failed + 1
        message = f"{image_set.name} ({image_set.nuclei.name}, {image_set.cells.name}): {complaint}"
        if failed >= HOPELESS and not succeeded:
            raise EngineError(f"CellProfiler fails on every image set, last on {message}")
        yield Outcome(key, None, message)


def _harvest(run: Run, scratch: Path, left: dict[int, ImageSet]) -> Iterator[Outcome]:
    """Yield and store what a run has finished: while it works, all before the last image set that has begun."""
    keys = [int(row["Metadata_Key"]) for row in run.rows]
    begun = [i for i, key in enumerate(keys) if _paths(run, key)[0].is_file()]
    finished = keys if run.complete else keys[: begun[-1]] if begun else []
    for key in finished:
        paths = _paths(run, key)
        if key in left and all(path.is_file() for path in paths):
            labels = Labels(*(narrow(tiffs.integers(path, tiffs.load(path))) for path in paths))
            _engine.store(scratch, key, labels)
            for path in paths[1:]:  # the first one stays, as the mark of how far the run has come
                path.unlink()
            del left[key]
            yield Outcome(key, labels)
    if run.code is not None:
        shutil.rmtree(run.folder)


def _paths(run: Run, key: int) -> list[Path]:
    return [run.outputs / f"{key}_{compartment}.tiff" for compartment in COMPARTMENTS]


def _row(image_set: ImageSet) -> dict[str, str]:
    """Return a row of LoadData's table."""
    images = {
        "NucleiImage": image_set.nuclei,
        "CellsImage": image_set.cells,
        "NucleiIllumination": image_set.nuclei_illumination,
        "CellsIllumination": image_set.cells_illumination,
    }
    return {"Metadata_Key": str(image_set.key)} | _columns(images)


def _columns(images: dict[str, Path]) -> dict[str, str]:
    paths = {name: path.absolute() for name, path in images.items()}
    folders = {f"Image_PathName_{name}": str(path.parent) for name, path in paths.items()}
    return folders | {f"Image_FileName_{name}": path.name for name, path in paths.items()}
