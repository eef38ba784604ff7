"""Images as CellProfiler sees them: float32 in [0, 1], divided by their illumination function."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from morphospace.errors import InputError

# What tifffile logs of a broken file is said by the error that is raised.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

FULL_SCALE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}


def read(path: Path) -> NDArray[np.float32]:
    """Return a grey image (H, W) as float32 of its full scale: 255 or 65535, or the file's own MaxSampleValue.

    The rules are those of CellProfiler's LoadData with "Rescale intensities".

    Raises
    ------
    InputError
        When the file is missing, truncated, or not one grey plane of 8 or 16 bits.
    """
    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
            if not ends or max(ends) > file.filehandle.size or 0 in page.databytecounts:
                raise ValueError("it ends before its pixels do")  # tifffile would read zeros
            pixels: NDArray[Any] = page.asarray()
            tag = getattr(page, "tags", {}).get("MaxSampleValue")
    except FileNotFoundError:
        raise InputError(f"{path} is missing; bring it again") from None
    except (OSError, ValueError, IndexError, tifffile.TiffFileError) as error:
        raise InputError(f"{path} is not a whole TIFF ({' '.join(str(error).split())}); bring it again") from None
    if pixels.ndim != 2 or pixels.dtype.newbyteorder("=") not in FULL_SCALE:
        raise InputError(f"{path} is {pixels.dtype} {pixels.shape}, not one grey plane of 8 or 16 bits")
    scale = float(tag.value) if tag is not None else FULL_SCALE[pixels.dtype.newbyteorder("=")]
    return pixels.astype(np.float32) / np.float32(scale)


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
