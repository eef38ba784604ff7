"""Reading greyscale TIFFs without mercy: what is truncated, or not one plane of 8 or 16 bits, is refused by name."""

import hashlib
import io
import logging
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from morphospace.errors import InputError

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
# What tifffile and its decoders raise on damaged files.
_DAMAGE: tuple[type[Exception], ...] = (
    tifffile.TiffFileError,
    zlib.error,
    struct.error,
    ValueError,
    TypeError,
    LookupError,
    OSError,
    EOFError,
    RuntimeError,
    ArithmeticError,
    AttributeError,
    MemoryError,
)
_MINISBLACK = 1
_MAX_PIXELS = 2**30  # a header that promises more is damaged, or a bomb


class UnreadableError(InputError):
    """A TIFF is refused; `reason` is one word for a table, `detail` the sentence."""

    def __init__(self, path: Path, reason: str, detail: str) -> None:
        super().__init__(f"{path} {detail}")
        self.reason = reason
        self.detail = detail


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
    reason: str = ""
    detail: str = ""


def read(path: Path) -> Pixels:
    """Return the pixels of a greyscale TIFF, shape ``(H, W)``, uint8 or uint16 as stored, in native byte order.

    Parameters
    ----------
    path
        A TIFF of one page and one sample per pixel.

    Raises
    ------
    UnreadableError
        An `InputError` that names the file: missing, zero bytes, truncated, RGB, float, of several pages, inverted.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableError(path, "unreadable", f"cannot be read: {error.strerror}") from None
    return _decode(path, data)


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
        data = path.read_bytes()
        pixels = _decode(path, data)
    except UnreadableError as error:
        return Inspection(reason=error.reason, detail=error.detail)
    except OSError as error:
        return Inspection(reason="unreadable", detail=f"cannot be read: {error.strerror}")
    counts = np.bincount(pixels.ravel())
    values = np.flatnonzero(counts)
    step = int(np.gcd.reduce(values))
    highest = full_scale(pixels.dtype) // step * step if step else 0
    return Inspection(
        digest=hashlib.md5(data, usedforsecurity=False).hexdigest(),
        height=pixels.shape[0],
        width=pixels.shape[1],
        bits=8 * pixels.dtype.itemsize,
        step=step,
        maximum=int(values[-1]),
        saturated=float(counts[highest] / pixels.size) if highest and highest < len(counts) else 0.0,
        constant=len(values) == 1,
    )


def _decode(path: Path, data: bytes) -> Pixels:
    """Return the pixels of a TIFF held in memory; `path` is for messages."""
    if not data:
        raise UnreadableError(path, "zero_bytes", "has zero bytes; copy it again")
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # what it logs becomes our one line
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = _only_page(path, file)
            _check_kind(path, page)
            _check_strips(path, page, len(data))
            pixels = page.asarray()
    except UnreadableError:
        raise
    except _DAMAGE as error:
        said = " ".join(str(error).split())[:120]
        raise UnreadableError(path, "damaged", f"is truncated or not a TIFF ({said}); copy it again") from None
    finally:
        logger.setLevel(level)
    if pixels.ndim != 2 or pixels.size == 0:
        raise UnreadableError(path, "wrong_kind", f"has shape {pixels.shape}; one plane (height, width) is needed")
    native: Pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))
    return native


def _only_page(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPage:
    pages = len(file.pages)
    if pages != 1:
        raise UnreadableError(path, "multi_page", f"has {pages} pages; write one file a plane")
    return file.pages.first


def _check_kind(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse anything but one greyscale plane of 8 or 16 bits."""
    if page.samplesperpixel != 1 or page.photometric in (2, 3, 6):
        raise UnreadableError(path, "rgb", "is a colour image; write one greyscale file a channel")
    if page.dtype not in (np.uint8, np.uint16) or page.bitspersample not in (8, 16):
        kind = page.dtype if page.dtype is not None else f"{page.bitspersample}-bit"
        raise UnreadableError(path, "wrong_type", f"holds {kind} pixels; 8- or 16-bit unsigned integers are needed")
    if page.photometric != _MINISBLACK:
        raise UnreadableError(path, "inverted", "stores white as 0; invert it, so that 0 is black")
    if page.imagelength * page.imagewidth > _MAX_PIXELS:
        raise UnreadableError(path, "damaged", f"claims {page.imagewidth} x {page.imagelength} pixels; copy it again")


def _check_strips(path: Path, page: tifffile.TiffPage, size: int) -> None:
    """Refuse a file that ends before its pixels do: tifffile reads absent strips as zeros."""
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or min(page.databytecounts) <= 0 or min(page.dataoffsets) <= 0:
        raise UnreadableError(path, "damaged", "lacks some of its strips; copy it again")
    if max(ends) > size:
        raise UnreadableError(path, "truncated", f"is truncated: {size} of {max(ends)} bytes; copy it again")
    rows = page.rowsperstrip if page.rowsperstrip and not page.is_tiled else 0
    if rows and len(ends) < -(-page.imagelength // rows):
        raise UnreadableError(path, "damaged", "lacks some of its strips; copy it again")
