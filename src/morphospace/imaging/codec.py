"""Tiles as PNG and label images as TIFF: the same bytes for the same picture, and back.

A tile is an array (C, H, W) of uint8 in which 0 is outside the cell. As a PNG it is a picture to anyone who opens it:
three channels are red, green and blue, one is grey, any other number is one grey picture with the planes under one
another in channel order.
"""

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from morphospace import tiffs
from morphospace.errors import InputError

MAX_TILE = 2**26  # pixels of a PNG; the largest tile is 1024 x 1024, planes under one another
MAX_LABELS = 2**28  # pixels of a label image


def encode_tile(tile: NDArray[np.uint8]) -> bytes:
    """Return a tile (C, H, W) as a PNG, the same bytes for the same tile.

    Raises
    ------
    InputError
        When the array is not uint8 of three axes.
    """
    if tile.dtype != np.uint8 or tile.ndim != 3 or not tile.size:
        raise InputError(f"a tile is uint8 (C, H, W), not {tile.dtype} {tile.shape}")
    plane = tile.transpose(1, 2, 0) if len(tile) == 3 else tile.reshape(-1, tile.shape[2])
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plane)).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def decode_tile(content: bytes, channels: int) -> NDArray[np.uint8]:
    """Return the tile (C, H, W) of a PNG that `encode_tile` made.

    Raises
    ------
    InputError
        When the content is no PNG, damaged, too large, or has another number of channels.
    """
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            wanted = "RGB" if channels == 3 else "L"
            if image.width * image.height > MAX_TILE:
                raise InputError(f"has {image.width} x {image.height} pixels, more than a tile can have")
            if image.mode != wanted or (channels != 3 and image.height % channels):
                raise InputError(f"is a {image.mode} picture of height {image.height}, not {channels} channel(s)")
            plane = np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"is not a readable PNG ({error})") from None
    if channels == 3:
        return np.ascontiguousarray(plane.transpose(2, 0, 1))
    return plane.reshape(channels, -1, plane.shape[1])


def encode_labels(labels: NDArray[np.integer[Any]]) -> bytes:
    """Return a label image (H, W), 0 the background, as a deflated TIFF: uint16, or uint32 above 65,535 labels.

    Raises
    ------
    InputError
        When the array is not one plane of labels from 0.
    """
    if labels.ndim != 2 or not labels.size or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise InputError(f"a label image is one plane of integers from 0, not {labels.dtype} {labels.shape}")
    depth = np.dtype("<u2" if labels.max() <= np.iinfo(np.uint16).max else "<u4")
    # Deflated here and not by tifffile, whose bytes depend on whether imagecodecs is installed.
    strip = zlib.compress(labels.astype(depth).tobytes(), 6)
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        iter([strip]),
        shape=labels.shape,
        dtype=depth,
        byteorder="<",
        photometric="minisblack",
        compression="zlib",
        rowsperstrip=len(labels),
        metadata=None,
        software=False,
    )
    return buffer.getvalue()


def decode_labels(content: bytes) -> NDArray[np.integer[Any]]:
    """Return the label image (H, W), uint16 or uint32, of a TIFF.

    Raises
    ------
    InputError
        When the content is no TIFF, damaged, too large, or no single plane of unsigned integers.
    """
    try:
        return tiffs.integers(Path("label image"), content, MAX_LABELS)
    except tiffs.UnreadableError as error:
        raise InputError(error.detail) from None
