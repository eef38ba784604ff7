"""Colour images as planes: each becomes a folder of its own name with one grey TIFF a plane, whole and unchanged."""

import io
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from morphospace import tiffs
from morphospace.errors import InputError

Planes = NDArray[np.uint8] | NDArray[np.uint16]
LETTERS = "RGB"
SUFFIXES = {".png", ".tif", ".tiff"}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SIZE, _PNG_KIND = slice(16, 24), slice(24, 26)  # where a PNG says width and height; bits of a sample and kind
_PNG_DEEP = (b"\x10\x02", b"\x10\x06")  # 16 bits, RGB or RGBA
_DAMAGE: tuple[type[Exception], ...] = (
    *tiffs.DAMAGE,
    SyntaxError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
_SOUND = ("not_colour", "multi_page")  # reasons for which a whole TIFF is refused


class NotColourError(InputError):
    """A sound image that is not red, green and blue of 8 or 16 bits."""


def read(path: Path) -> Planes:
    """Return the red, green and blue plane (3, H, W), uint8 or uint16 as stored, of a PNG or TIFF.

    A fourth plane must be opaque throughout, and is left out.

    Raises
    ------
    NotColourError
        When the image is sound, but grey, a palette, float, partly transparent, of several pages, or a PNG of 16 bits.
    InputError
        When it is missing, truncated or damaged.
    """
    try:
        data = tiffs.load(path)
        pixels = _png(path, data) if data.startswith(_PNG) else tiffs.colour(path, data)
    except NotColourError:
        raise
    except tiffs.UnreadableError as error:
        if error.reason in _SOUND:
            raise NotColourError(str(error)) from None
        raise
    except _DAMAGE as error:
        said = " ".join(str(error).split())[:120]
        raise InputError(f"{path} is no whole PNG ({said}); copy it again") from None
    if len(pixels) == 4 and (pixels[3] != np.iinfo(pixels.dtype).max).any():
        raise NotColourError(f"{path} has transparent pixels, which were not measured; save it without transparency")
    return np.ascontiguousarray(pixels[:3], dtype=pixels.dtype.newbyteorder("="))


def _png(path: Path, data: bytes) -> NDArray[Any]:
    # Pillow would halve the bits of a colour picture without a word.
    if data[_PNG_KIND] in _PNG_DEEP:
        raise NotColourError(f"{path} is a colour PNG of 16 bits, which is not read; save it as TIFF")
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.mode not in ("RGB", "RGBA"):
            raise NotColourError(f"{path} is no colour image (its mode is {image.mode}); save it as RGB")
        return np.asarray(image).transpose(2, 0, 1)


def weight(path: Path) -> int:
    """Return the bytes that an image needs as three planes; for what is no PNG, those of the file."""
    with path.open("rb") as file:
        head = file.read(_PNG_SIZE.stop)
    if head.startswith(_PNG) and len(head) == _PNG_SIZE.stop:
        width, height = struct.unpack(">II", head[_PNG_SIZE])
        return int(len(LETTERS) * width * height)
    return path.stat().st_size


def unpack(source: Path, folder: Path, letters: Iterable[str]) -> None:
    """Write planes of a colour image as ``R.tif``, ``G.tif``, ``B.tif`` to a new folder; equal pixels, equal bytes.

    Raises
    ------
    InputError
        As `read`.
    """
    planes = read(source)
    folder.mkdir(parents=True)
    for letter in letters:
        plane = planes[LETTERS.index(letter)]
        tifffile.imwrite(folder / f"{letter}.tif", plane, photometric="minisblack", metadata=None, software=False)


def packed(file: str) -> tuple[str, str]:
    """Return the name of the image that a file of the raw folder is a plane of, and R, G or B; else itself and ''."""
    folder, _, name = file.rpartition("/")
    letter, _, suffix = name.partition(".")
    if suffix == "tif" and letter in tuple(LETTERS) and Path(folder).suffix.lower() in SUFFIXES:
        return folder, letter
    return file, ""
