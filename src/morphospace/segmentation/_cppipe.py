"""Changes named settings of named modules in the text of a CellProfiler pipeline, and refuses to guess."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from morphospace.errors import EngineError, InputError
from morphospace.segmentation._engine import Settings

_MODULE = re.compile(r"^(?P<name>[A-Za-z]+):\[module_num:\d+\|")


class Change(NamedTuple):
    """A new value for one setting of one module."""

    module: str
    setting: str
    value: str


def read(path: Path) -> str:
    """Return the text of a pipeline.

    Raises
    ------
    InputError
        When the file is missing or is not a CellProfiler pipeline in text form.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        raise InputError(
            f"{path} is missing or is not text; export the pipeline from CellProfiler as .cppipe"
        ) from None
    if not text.startswith("CellProfiler Pipeline:"):
        raise InputError(f"{path} does not start with 'CellProfiler Pipeline:'; export it from CellProfiler as .cppipe")
    return text


def changed(text: str, changes: Iterable[Change]) -> str:
    """Return the pipeline with other values for some settings; all else stays as it was.

    Raises
    ------
    EngineError
        When a module, or a setting within it, is not there exactly once.
    """
    lines = text.splitlines()
    for change in changes:
        lines[_line(lines, change)] = f"    {change.setting}:{change.value}"
    return "\n".join(lines) + "\n"


def _line(lines: list[str], change: Change) -> int:
    """Number of the one line that holds a setting."""
    starts = [i for i, line in enumerate(lines) if (found := _MODULE.match(line)) and found["name"] == change.module]
    if len(starts) != 1:
        raise EngineError(f"the pipeline has {len(starts)} modules {change.module}, not 1; see docs/segmentation.md")
    end = next((i for i in range(starts[0] + 1, len(lines)) if not lines[i].strip()), len(lines))
    hits = [i for i in range(starts[0] + 1, end) if lines[i].strip().startswith(f"{change.setting}:")]
    if len(hits) != 1:
        raise EngineError(
            f"module {change.module} of the pipeline has {len(hits)} settings {change.setting!r}, not 1; "
            "it needs the form of CellProfiler 4.2.8 (see docs/segmentation.md)"
        )
    return hits[0]


def illumination(smoothing: int) -> list[Change]:
    """Return what `illuminate.cppipe` is told: the size of its Gaussian filter in px."""
    return [Change("CorrectIlluminationCalculate", "Smoothing filter size", str(smoothing))]


def segmentation(settings: Settings) -> list[Change]:
    """Return what `segment.cppipe` is told: the settings of ``params.yaml``."""
    primary, secondary = "IdentifyPrimaryObjects", "IdentifySecondaryObjects"
    method = {"propagation": "Propagation", "watershed": "Watershed - Image"}[settings.method]
    diameters = f"{settings.min_diameter},{settings.max_diameter}"
    changes = [
        Change(primary, "Typical diameter of objects, in pixel units (Min,Max)", diameters),
        Change(primary, "Threshold correction factor", repr(settings.nuclei_correction)),
        Change(secondary, "Select the method to identify the secondary objects", method),
        Change(secondary, "Threshold correction factor", repr(settings.cells_correction)),
        Change(secondary, "Regularization factor", repr(settings.regularization)),
        Change(secondary, "Log transform before thresholding?", "Yes" if settings.log_transform else "No"),
    ]
    if settings.opening_radius:
        return [*changes, Change("Opening", "Structuring element", f"Disk,{settings.opening_radius}")]
    return [*changes, Change(primary, "Select the input image", "NucleiCorrected")]
