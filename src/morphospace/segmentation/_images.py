"""Images as CellProfiler sees them: float32 in [0, 1], divided by their illumination function."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphospace import tiffs
from morphospace.errors import InputError


def read(path: Path) -> NDArray[np.float32]:
    """Return a grey image (H, W) as float32 of its full scale: 255 or 65535, or the file's own MaxSampleValue.

    The rules are those of CellProfiler's LoadData with "Rescale intensities".

    Raises
    ------
    InputError
        When the file is missing, truncated, or not one grey plane of 8 or 16 bits.
    """
    found = tiffs.grey(path, tiffs.load(path))
    return found.pixels.astype(np.float32) / np.float32(found.white)


def corrected(path: Path, illumination: Path) -> NDArray[np.float32]:
    """Return an image divided by its illumination function and clipped to [0, 1] (CorrectIlluminationApply).

    Raises
    ------
    InputError
        When either file cannot be read, or their sizes differ.
    """
    image = read(path)
    try:
        function: NDArray[Any] = np.load(illumination)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{illumination} cannot be read: {error}; run `dvc repro illuminate`") from None
    if function.shape != image.shape:
        raise InputError(f"{path} is {image.shape} px but {illumination} is {function.shape}; sizes must agree")
    return np.clip(image / function.astype(np.float32), np.float32(0), np.float32(1))
