"""What every engine takes and gives, and how finished work is kept in the scratch folder.

An engine is a module with two functions::

    illuminate(groups, pipeline, scratch, jobs) -> Iterator[Function]
    segment(image_sets, settings, pipeline, scratch, jobs) -> Iterator[Outcome]

Both yield results as they are ready, in any order, and find what an interrupted run left in `scratch`. An engine that
says ``FINDS_CELLS = False`` looks at no stain: it takes each field for one object, and there is nothing to compare.
One that cannot read every greyscale TIFF that the project can has a third, ``unreadable(bits, compression, palette)``.
One that says ``LOG_TRANSFORM = True`` obeys that setting.
"""

import fcntl
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphospace import seals

log = logging.getLogger(__name__)

COMPARTMENTS = ("Nuclei", "Cells", "Cytoplasm")


class Group(NamedTuple):
    """The images that share an illumination function: one channel of one plate."""

    name: str
    images: list[Path]
    smoothing: int  # px, size of the Gaussian filter; its sigma is size / 2.35


class Function(NamedTuple):
    """An illumination function, float32 (H, W), to divide by."""

    name: str
    values: NDArray[np.float32]


class ImageSet(NamedTuple):
    """One field, as an engine needs it; paths are absolute."""

    key: int
    name: str  # plate/well/site, for messages
    plate: str
    nuclei: Path
    cells: Path
    nuclei_illumination: Path  # float32 (H, W) .npy
    cells_illumination: Path


class Labels(NamedTuple):
    """Label images (H, W) of one field, 0 is background; object n is the same cell in all three."""

    nuclei: NDArray[Any]
    cells: NDArray[Any]
    cytoplasm: NDArray[Any]


class Outcome(NamedTuple):
    """What became of one image set: its labels, or one line that says why there are none."""

    key: int
    labels: Labels | None
    error: str = ""


@dataclass(frozen=True)
class Settings:
    """How to segment (000-04): lengths in px, corrections are factors on the Otsu thresholds."""

    method: Literal["propagation", "watershed"] = "propagation"
    min_diameter: int = 15
    max_diameter: int = 115
    opening_radius: int = 5
    nuclei_correction: float = 1.0
    cells_correction: float = 1.0
    regularization: float = 0.05
    log_transform: bool = False  # threshold of the cells from the logarithm of their stain

    @classmethod
    def among(cls, values: Mapping[str, Any]) -> "Settings":
        """Return the settings among the values of the section ``segment`` of ``params.yaml``."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})


def finds_cells(engine: ModuleType) -> bool:
    """Whether an engine tells cells apart, by the stains that the parameters name."""
    return bool(getattr(engine, "FINDS_CELLS", True))


def unreadable(engine: ModuleType, bits: int, compression: str, palette: bool) -> tuple[str, str]:
    """Return in a word and in a sentence why an engine cannot read an image that others can; '' where it can.

    Parameters
    ----------
    engine
        A module of this folder.
    bits
        Of a pixel: 8 or 16.
    compression
        As TIFF names it: NONE, LZW, ZSTD.
    palette
        Whether the image has a (grey) colour map.
    """
    refuse = getattr(engine, "unreadable", None)
    return refuse(bits, compression, palette) if refuse else ("", "")


def has_log_transform(engine: ModuleType) -> bool:
    """Whether an engine can threshold the cell stain by its logarithm."""
    return bool(getattr(engine, "LOG_TRANSFORM", False))


@contextmanager
def alone_in(scratch: Path) -> Iterator[Path]:
    """Give a scratch folder to one process at a time; it is removed when the block ends well, kept when it fails.

    Two experiments that start at once ask for the same work: the second waits for the first.
    """
    with scratch.with_name(f"{scratch.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting: another run is at the same work in %s", scratch)
            fcntl.flock(lock, fcntl.LOCK_EX)
        scratch.mkdir(parents=True, exist_ok=True)
        yield scratch
        shutil.rmtree(scratch)


def narrow(labels: NDArray[Any]) -> NDArray[Any]:
    """Return a label image as uint16, or as uint32 when it has more than 65,535 objects."""
    top = int(labels.max(initial=0))
    return labels.astype(np.uint16 if top <= np.iinfo(np.uint16).max else np.uint32)


def store(scratch: Path, key: int, labels: Labels) -> None:
    """Keep finished labels, so that an interrupted run goes on from here."""
    with seals.keeping(scratch / f"{key}.npz") as aside:
        np.savez_compressed(aside, nuclei=labels.nuclei, cells=labels.cells, cytoplasm=labels.cytoplasm)


def restored(image_sets: Iterable[ImageSet], scratch: Path) -> Iterator[Outcome]:
    """Yield what an earlier run finished; a file that is not as it was written counts as not finished."""
    for image_set in image_sets:
        path = scratch / f"{image_set.key}.npz"
        if seals.intact(path):
            with np.load(path) as stored:
                yield Outcome(image_set.key, Labels(*(stored[name] for name in Labels._fields)))


def store_function(scratch: Path, function: Function) -> None:
    """Keep a finished illumination function."""
    with seals.keeping(scratch / f"{function.name}.npy") as aside:
        np.save(aside, function.values)


def restored_functions(groups: Iterable[Group], scratch: Path) -> Iterator[Function]:
    """Yield the illumination functions that an earlier run finished."""
    for group in groups:
        path = scratch / f"{group.name}.npy"
        if seals.intact(path):
            yield Function(group.name, np.load(path))
