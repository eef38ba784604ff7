"""Images as CellProfiler sees them: float32 in [0, 1], divided by their illumination function."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from morphospace import tiffs
from morphospace.errors import InputError
from morphospace.segmentation._engine import ImageSet, Settings

Image = NDArray[np.float32]

LEAST_SPAN = 1.5 / 65535  # of the full scale, from the darkest pixel to the brightest: less than two levels of 16 bits


def read(path: Path) -> Image:
    """Return a grey image (H, W) as float32 of its full scale: 255 or 65535, or the file's own MaxSampleValue.

    The rules are those of CellProfiler's LoadData with "Rescale intensities".

    Raises
    ------
    InputError
        When the file is missing, truncated, or not one grey plane of 8 or 16 bits.
    """
    found = tiffs.grey(path, tiffs.load(path))
    return found.pixels.astype(np.float32) / np.float32(found.white)


def corrected(path: Path, illumination: Path) -> Image:
    """Return an image divided by its illumination function and clipped to [0, 1] (CorrectIlluminationApply).

    Raises
    ------
    InputError
        When either file cannot be read, or their sizes differ.
    """
    return _divided(path, read(path), illumination)


def _divided(path: Path, image: Image, illumination: Path) -> Image:
    try:
        function: NDArray[Any] = np.load(illumination)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{illumination} cannot be read: {error}; run `dvc repro illuminate`") from None
    if function.shape != image.shape:
        raise InputError(f"{path} is {image.shape} px but {illumination} is {function.shape}; sizes must agree")
    return np.clip(image / function.astype(np.float32), np.float32(0), np.float32(1))


def pair(image_set: ImageSet, settings: Settings, thresholded: bool = True) -> tuple[Image, Image]:
    """Return the nuclear and the cell stain of an image set, corrected.

    An even image has no threshold, or one that the rounding of its correction decides, and its correction draws the
    lamp. CellProfiler labels that; so every engine that takes a threshold refuses it here.

    Parameters
    ----------
    image_set
        What to read.
    settings
        Of the segmentation; only the opening of the nuclear stain is used.
    thresholded
        Whether an even image is refused.

    Raises
    ------
    InputError
        When a file cannot be read, sizes differ, or an image spans less than two grey levels of 16 bits.
    """
    found = []
    for path, illumination, radius in (
        (image_set.nuclei, image_set.nuclei_illumination, settings.opening_radius),
        (image_set.cells, image_set.cells_illumination, 0),
    ):
        image = read(path)
        plane = _divided(path, image, illumination)
        if thresholded:
            _refuse_even(path, image, plane, radius)
        found.append(plane)
    nuclei, cells = found
    if nuclei.shape != cells.shape:
        raise InputError(
            f"{image_set.nuclei} is {nuclei.shape} px and {image_set.cells} {cells.shape}; sizes must agree"
        )
    return nuclei, cells


def _refuse_even(path: Path, image: Image, plane: Image, radius: int) -> None:
    """Refuse an image (H, W) without contrast: as stored, corrected, or once bright specks are opened away."""
    # A square erosion is quicker than the disk's, and no brighter; the opening keeps the darkest pixel.
    largest = ndimage.minimum_filter(plane, 2 * radius + 1).max() if radius else plane.max()
    for low, high, what in (
        (image.min(), image.max(), ""),
        (plane.min(), plane.max(), " once corrected for illumination"),
        (plane.min(), largest, f" without bright specks (segment.opening_radius {radius})"),
    ):
        if high - low < LEAST_SPAN:
            raise InputError(
                f"{path} is even: its pixels go from {low:.4%} to {high:.4%} of the full scale{what}, so that nothing "
                "stands out; leave the image set out, or bring another image"
            )
