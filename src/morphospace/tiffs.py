"""The one reader of TIFFs: a file is read whole, every plane and sample of it, or refused by name with the cure.

Everyone who opens a TIFF comes here: images of plates, colour images, label images, crops. What tifffile reads in part
or fills with zeros (a stack under one directory, strips that are not there) is found before a pixel is used.
"""

import io
import logging
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from morphospace.errors import InputError

Pixels = NDArray[np.uint8] | NDArray[np.uint16]
# What tifffile and its decoders raise on damaged files.
DAMAGE: tuple[type[Exception], ...] = (
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
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE = 0, 1, 2, 3  # photometric interpretations
_COLOURS = {2: "RGB", 5: "CMYK", 6: "YCbCr", 8: "CIELab", 9: "ICCLab", 10: "ITULab"}
_NONE = 1  # compression
_PHOTOMETRIC, _BITS, _MAX_SAMPLE, _COLOUR_MAP, _UIC2 = 262, 258, 281, 320, 33629  # tags
_MAX_PIXELS = 2**30  # a header that promises more is damaged, or a bomb
_WHOLE = (np.dtype(np.uint8), np.dtype(np.uint16))
_SAVE_GREY = "save it as 8- or 16-bit greyscale, where 0 is black"


class UnreadableError(InputError):
    """A TIFF is refused; `reason` is one word for a table, `detail` the sentence."""

    def __init__(self, path: Path, reason: str, detail: str) -> None:
        super().__init__(f"{path} {detail}")
        self.reason = reason
        self.detail = detail


class Grey(NamedTuple):
    """One greyscale image and how its file stores it."""

    pixels: Pixels  # (H, W), native byte order
    compression: str  # as TIFF names it: NONE, LZW, ZSTD …
    palette: bool  # whether a (grey) colour map says how bright a value is
    white: int  # grey value that is white: the file's MaxSampleValue, or 255 or 65535


def load(path: Path) -> bytes:
    """Return the content of an ordinary file; a named pipe or a device, which may never end, is not opened.

    Raises
    ------
    UnreadableError
        When it is missing, not an ordinary file, unreadable or empty.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):
            what = "a folder" if stat.S_ISDIR(kind) else "not a file but a named pipe, a socket or a device"
            raise UnreadableError(path, "unreadable", f"cannot be read: it is {what}; bring the file itself")
        data = path.read_bytes()
    except (OSError, RuntimeError) as error:  # a circle of links is a RuntimeError in Python 3.11 and 3.12
        said = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise UnreadableError(path, "unreadable", f"cannot be read: {said}") from None
    if not data:
        raise UnreadableError(path, "zero_bytes", "has zero bytes; copy it again")
    return data


def grey(path: Path, data: bytes) -> Grey:
    """Return a greyscale image of 8 or 16 bits, as stored.

    A grey colour map that maps each value to itself is no colour: the values are the brightness. Smaller copies of the
    image that are marked as such (thumbnails, pyramids) are left out.

    Parameters
    ----------
    path
        For messages.
    data
        The whole file, from `load`.

    Raises
    ------
    UnreadableError
        When the file is damaged, holds more than this one plane, or anything but unsigned grey values.
    """
    with _opened(path, data) as file:
        page = _only_page(path, file)
        _refuse_samples(path, page)
        _refuse_type(path, page)
        _refuse_photometric(path, page)
        pixels: Pixels = _whole(path, page, len(data))
        white = _white(path, page, pixels)
        return Grey(pixels, tifffile.COMPRESSION(page.compression).name, page.photometric == _PALETTE, white)


def integers(path: Path, data: bytes, most: int = _MAX_PIXELS) -> NDArray[Any]:
    """Return the one plane (H, W) of unsigned integers of a TIFF, a label image say, of at most `most` pixels.

    Raises
    ------
    UnreadableError
        When the file is damaged, holds more than one plane, or another type than uint8, uint16 or uint32.
    """
    with _opened(path, data) as file:
        page = _only_page(path, file)
        if page.samplesperpixel != 1 or page.dtype not in (np.uint8, np.uint16, np.uint32) or page.size > most:
            what = f"{page.dtype} {page.shape}"
            raise UnreadableError(path, "wrong_type", f"is a picture of {what}, not one plane of unsigned integers")
        return _whole(path, page, len(data))


def colour(path: Path, data: bytes) -> NDArray[Any]:
    """Return the samples (3 or 4, H, W), uint8 or uint16, of a colour image of one page.

    Raises
    ------
    UnreadableError
        With reason ``not_colour`` when it is sound but something else; otherwise it is damaged.
    """
    with _opened(path, data) as file:
        page = _only_page(path, file)
        if page.photometric != _RGB or page.dtype not in _WHOLE or page.samplesperpixel not in (3, 4):
            said = "is not a colour image of one page, RGB, 8 or 16 bits; save it so"
            raise UnreadableError(path, "not_colour", said)
        pixels = _whole(path, page, len(data))
        return pixels if page.planarconfig == 2 else pixels.transpose(2, 0, 1)  # 2: each plane on its own


def planes(path: Path, data: bytes, most: int) -> NDArray[Any]:
    """Return all planes of a TIFF whose planes are of one size, (C, H, W) or (H, W), of at most `most` values.

    Raises
    ------
    UnreadableError
        When the file is damaged, too large, or its pages are of several sizes.
    """
    with _opened(path, data) as file:
        _refuse_chain(path, file)
        sizes = {page.shape for page in file.pages}  # tifffile takes a second, smaller page for a copy of the first
        if len(file.series) != 1 or len(sizes) > 1 or any(page.pages for page in file.pages):
            raise UnreadableError(path, "multi_page", "has pages of several sizes; write one TIFF (C, H, W) a crop")
        series = file.series[0]
        if series.size > most:
            raise UnreadableError(path, "damaged", f"has {series.size:,} values, more than a tile can have")
        for page in file.pages:
            _refuse_segments(path, page.aspage(), len(data))
        return np.asarray(series.asarray())


@contextmanager
def _opened(path: Path, data: bytes) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF held in memory; whatever tifffile raises or logs of a damaged one becomes one line."""
    if not data:
        raise UnreadableError(path, "zero_bytes", "has zero bytes; copy it again")
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        # Without OME: its XML may speak of other files, of which this one holds one plane.
        with tifffile.TiffFile(io.BytesIO(data), is_ome=False) as file:
            yield file
    except UnreadableError:
        raise
    except DAMAGE as error:
        said = " ".join(str(error).split())[:120]
        raise UnreadableError(path, "damaged", f"is truncated or not a TIFF ({said}); copy it again") from None
    finally:
        logger.setLevel(level)


def _only_page(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPage:
    """Return the page that is all there is to read of a file: one plane, and smaller copies of it at most."""
    _refuse_chain(path, file)
    first = file.pages.first
    others = [p for p in (*file.pages[1:], *(first.pages or ())) if not (p.is_reduced and p.size < first.size)]
    if others:
        what = "starts with a smaller copy of its image" if first.is_reduced else f"has {1 + len(others)} pages"
        raise UnreadableError(path, "multi_page", f"{what}; write one file a plane")
    if (planes := _described(file, first)) > 1:
        raise UnreadableError(path, "multi_page", f"is a stack of {planes} planes in one page; write one file a plane")
    return first


def _refuse_chain(path: Path, file: tifffile.TiffFile) -> None:
    """Refuse a file without a page, or whose last page names a next one that is not there, or is itself again.

    tifffile ends there and says nothing, CellProfiler goes round for ever.
    """
    if not len(file.pages):
        raise UnreadableError(path, "damaged", "holds no image; copy it again")
    form, handle = file.tiff, file.filehandle
    handle.seek(file.pages[-1].offset)
    (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
    handle.seek(tags * form.tagsize, os.SEEK_CUR)
    pointer = handle.read(form.offsetsize)
    if len(pointer) == form.offsetsize and struct.unpack(form.offsetformat, pointer)[0]:
        said = f"names a page after its {len(file.pages)} that is not there: it is truncated or damaged; copy it again"
        raise UnreadableError(path, "truncated", said)


def _described(file: tifffile.TiffFile, page: tifffile.TiffPage) -> int:
    """Return how many planes the first page stands for: some programs write a stack as one page and a note."""
    counts = [1, page.imagedepth]
    if file.is_imagej:
        said = file.imagej_metadata or {}
        sizes = [int(said.get(axis, 1)) for axis in ("channels", "slices", "frames")]
        counts += [int(said.get("images", 1)), int(np.prod(sizes))]
    if file.is_shaped:
        counts += [int(np.prod(m.get("shape", ()))) // page.size for m in file.shaped_metadata or ()]
    if _UIC2 in page.tags:  # of MetaMorph: one entry a plane
        counts.append(page.tags[_UIC2].count)
    return max(counts)


def _refuse_samples(path: Path, page: tifffile.TiffPage) -> None:
    name = _COLOURS.get(page.photometric)
    if name:
        reason = "rgb" if page.photometric == _RGB else "colour"
        raise UnreadableError(path, reason, f"is a colour image ({name}); write one greyscale file a channel")
    if page.samplesperpixel != 1:
        also = " (one is transparency)" if page.extrasamples and page.samplesperpixel == 2 else ""
        said = f"has {page.samplesperpixel} values a pixel{also}; write one greyscale file a channel"
        raise UnreadableError(path, "samples", said)


def _refuse_type(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse all but unsigned integers of 8 or 16 whole bits."""
    bits = page.bitspersample
    if page.dtype in _WHOLE and bits in (8, 16) and bits == 8 * page.dtype.itemsize:
        return
    if bits == 1:
        missing = "" if _BITS in page.tags else " (the tag BitsPerSample is missing, which means 1)"
        said = f"holds black and white only, 1 bit a pixel{missing}; {_SAVE_GREY}"
    elif bits not in (8, 16, 32, 64):
        said = f"packs a pixel in {bits} bits; write 16 bits a pixel, unsigned (ImageJ and Bio-Formats do)"
    else:
        kind = page.dtype if page.dtype is not None else f"{bits}-bit"
        said = f"holds {kind} pixels; 8- or 16-bit unsigned integers are needed: scale and save it so"
    raise UnreadableError(path, "wrong_type", said)


def _refuse_photometric(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse an image whose larger values are not, or may not be, brighter ones."""
    kind = page.photometric
    if _PHOTOMETRIC not in page.tags:
        said = f"does not say whether 0 is black or white (its photometric tag is missing); {_SAVE_GREY}"
        raise UnreadableError(path, "photometric", said)
    if kind == _WHITE_IS_ZERO:
        raise UnreadableError(path, "inverted", "stores white as 0; invert it, so that 0 is black")
    if kind == _PALETTE:
        _refuse_colour_map(path, page)
    elif kind != _BLACK_IS_ZERO:
        name = getattr(kind, "name", str(kind))
        raise UnreadableError(path, "photometric", f"is of the kind {name}, not greyscale; {_SAVE_GREY}")


def _refuse_colour_map(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse a colour map unless it shows value i as grey i, which programs write as i, 256 i or 257 i."""
    tag = page.tags.get(_COLOUR_MAP)
    entries = np.asarray(tag.value if tag else [], dtype=np.int64).ravel()
    identity = np.arange(2**page.bitspersample)
    if len(entries) != 3 * len(identity):
        raise UnreadableError(path, "palette", f"lacks the colour map that it needs; {_SAVE_GREY}")
    red, green, blue = entries.reshape(3, -1)
    grey_map = (red == green).all() and (red == blue).all()
    even = [identity] if page.bitspersample == 16 else [identity, 256 * identity, 257 * identity]
    if grey_map and any((red == line).all() for line in even):
        return
    if grey_map and any((red == line[::-1]).all() for line in even):
        raise UnreadableError(path, "inverted", "stores white as 0 by its colour map; invert it, so that 0 is black")
    what = "a grey colour map that is not even" if grey_map else "pseudocolours (a colour map)"
    said = f"is shown through {what}, so that a value is no brightness; {_SAVE_GREY} (ImageJ: Lookup Tables, Grays)"
    raise UnreadableError(path, "palette", said)


def _white(path: Path, page: tifffile.TiffPage, pixels: Pixels) -> int:
    """Return the grey value that is white: the file's own MaxSampleValue, which CellProfiler divides by, or the type's.

    A value that is below the pixels' own, or not a number, would clip or blow up what is divided by it.
    """
    tag, brightest = page.tags.get(_MAX_SAMPLE), int(pixels.max())
    if tag is None:
        return int(np.iinfo(pixels.dtype).max)
    # Integers only: CellProfiler reads bytes as 65535, text not at all and fractions otherwise than we do.
    value = tag.value if tag.dtype in (3, 4) and isinstance(tag.value, int) else None
    if value is None or not max(brightest, 1) <= value < 2**31:
        said = f"says that its largest grey value (the tag MaxSampleValue) is {tag.value!r:.40}, its pixels reach "
        said += f"{brightest}; remove the tag or correct it"
        raise UnreadableError(path, "max_sample_value", said)
    return value


def _whole(path: Path, page: tifffile.TiffPage, size: int) -> NDArray[Any]:
    """Return the pixels of a page of which every strip and tile is in the file, in native byte order."""
    if page.imagelength * page.imagewidth > _MAX_PIXELS:
        raise UnreadableError(path, "damaged", f"claims {page.imagewidth} x {page.imagelength} pixels; copy it again")
    _refuse_segments(path, page, size)
    pixels: NDArray[Any] = page.asarray()
    if pixels.ndim != 2 + (page.samplesperpixel > 1) or pixels.size == 0:
        raise UnreadableError(path, "wrong_kind", f"has shape {pixels.shape}; one plane (height, width) is needed")
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))


def _refuse_segments(path: Path, page: tifffile.TiffPage, size: int) -> None:
    """Refuse what cannot be decoded, and a file that ends before its pixels do, which tifffile reads as zeros."""
    for what, codecs in ((page.compression, tifffile.TIFF.DECOMPRESSORS), (page.predictor, tifffile.TIFF.UNPREDICTORS)):
        try:
            codecs[what]
        except KeyError:
            said = f"is compressed with {getattr(what, 'name', what)}, which is not read here; write it uncompressed"
            raise UnreadableError(path, "compression", said) from None
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if not ends or min(page.databytecounts) <= 0 or min(page.dataoffsets) <= 0:
        raise UnreadableError(path, "damaged", "lacks some of its strips; copy it again")
    if max(ends) > size:
        raise UnreadableError(path, "truncated", f"is truncated: {size} of {max(ends)} bytes; copy it again")
    if len(ends) < np.prod(page.chunked):
        raise UnreadableError(path, "damaged", "lacks some of its strips; copy it again")
    if page.compression == _NONE and sum(page.databytecounts) < page.size * page.bitspersample // 8:
        said = f"says that its pixels take {sum(page.databytecounts)} bytes, which are too few; save it again"
        raise UnreadableError(path, "damaged", said)
