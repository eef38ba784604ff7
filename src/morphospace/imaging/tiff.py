"""What a greyscale image of a plate is: its pixels, and the properties by which image sets are judged."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from morphospace import tiffs
from morphospace.errors import InputError
from morphospace.tiffs import Pixels, UnreadableError


class Inspection(NamedTuple):
    """What one image is; when `reason` is not empty, the numbers are zero."""

    digest: str = ""  # MD5 of the file's bytes, hexadecimal
    height: int = 0  # px
    width: int = 0  # px
    bits: int = 0  # 8 or 16
    step: int = 0  # greatest common divisor of the grey values: 16 for 12-bit data shifted by 4; 0 when all are 0
    maximum: int = 0  # grey value
    saturated: float = 0.0  # share of pixels at the highest value that `step` allows
    constant: bool = False  # every pixel has the same value
    compression: str = ""  # as TIFF names it: NONE, LZW, ZSTD …
    palette: bool = False  # whether a (grey) colour map says how bright a value is
    white: int = 0  # grey value that is white: MaxSampleValue, or 255 or 65535
    picture: str = ""  # digest of size, type and pixels: the same for one picture, however it is compressed
    reason: str = ""
    detail: str = ""


def read(path: Path) -> Pixels:
    """Return the pixels of a greyscale TIFF, shape ``(H, W)``, uint8 or uint16 as stored, in native byte order.

    Parameters
    ----------
    path
        A TIFF of one plane and one sample per pixel.

    Raises
    ------
    UnreadableError
        An `InputError` that names the file and the cure: see `tiffs.grey`.
    """
    return tiffs.grey(path, tiffs.load(path)).pixels


def full_scale(dtype: "np.dtype[np.generic]") -> int:
    """Return the largest grey value of an integer type: 255 or 65535.

    Raises
    ------
    InputError
        When the type is neither uint8 nor uint16.
    """
    if dtype not in (np.uint8, np.uint16):
        raise InputError(f"images are uint8 or uint16, not {dtype}")
    return int(2 ** (8 * dtype.itemsize) - 1)


def inspect(path: Path) -> Inspection:
    """Return what one image is, having read every pixel; a refusal is in ``reason`` and ``detail``, not raised."""
    try:
        data = tiffs.load(path)
        found = tiffs.grey(path, data)
    except UnreadableError as error:
        return Inspection(reason=error.reason, detail=error.detail)
    pixels = found.pixels
    counts = np.bincount(pixels.ravel())
    values = np.flatnonzero(counts)
    step = int(np.gcd.reduce(values))
    highest = full_scale(pixels.dtype) // step * step if step else 0
    picture = hashlib.blake2b(f"{pixels.shape} {pixels.dtype.itemsize}".encode(), digest_size=16)
    picture.update(pixels.tobytes())
    return Inspection(
        digest=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        height=pixels.shape[0],
        width=pixels.shape[1],
        bits=8 * pixels.dtype.itemsize,
        step=step,
        maximum=int(values[-1]),
        saturated=float(counts[highest] / pixels.size) if highest and highest < len(counts) else 0.0,
        constant=len(values) == 1,
        compression=found.compression,
        palette=found.palette,
        white=found.white,
        picture=picture.hexdigest(),
    )
