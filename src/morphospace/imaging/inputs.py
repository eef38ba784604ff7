"""Crops that a person names: PNGs, TIFFs, packs of them, or folders, as tiles of the size that a model wants."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphospace import tiffs
from morphospace.errors import InputError
from morphospace.imaging import codec, crops, packs

Tile = NDArray[np.uint8]

PACK = ".zip"
TIFF = (".tif", ".tiff")
SUFFIXES = (".png", *TIFF, PACK)
_PNG = b"\x89PNG\r\n\x1a\n"
_WIDTH, _HEIGHT, _DEPTH = 16, 20, 24  # where a PNG says its size, and how many bits a sample has
_DEEP = (
    "has {bits} bits a value, a tile has 8: 0 outside the cell, 1 to 255 inside, scaled as the model's README.md says "
    "(`synthesize` in params.yaml); let the pipeline cut it, or scale it so"
)


class Batch(NamedTuple):
    """Some crops: the file or pack and the name of each, the tiles (n, C, size, size), and the bytes read for them."""

    sources: list[str]
    names: list[str]
    tiles: Tile
    weight: int


class _Crop(NamedTuple):
    source: str
    name: str
    tile: Tile
    weight: int


def sources(paths: Sequence[Path]) -> list[Path]:
    """Return the files that are meant: each path itself, or what a folder holds, by name; its folders are left out.

    Raises
    ------
    InputError
        When a path is missing or no PNG, TIFF or pack, or a folder has none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            here = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES)
            if not here:
                raise InputError(f"{path} has no crop in it: no file ends in {', '.join(SUFFIXES)}")
            found += here
        elif not path.is_file():
            raise InputError(f"{path} is missing; name images, packs of them, or folders")
        elif path.suffix.lower() not in SUFFIXES:
            raise InputError(f"{path} is no image that is read here: its name ends in none of {', '.join(SUFFIXES)}")
        else:
            found.append(path)
    return found


def weight(sources: Sequence[Path]) -> int:
    """Return the bytes of all files: what the weights of the batches add up to, nearly."""
    return sum(path.stat().st_size for path in sources)


def batches(sources: Sequence[Path], channels: Sequence[str], size: int, count: int) -> Iterator[Batch]:
    """Yield the crops in order, `count` at a time; a smaller one is set in the middle of a tile, as the pipeline does.

    Parameters
    ----------
    sources
        What `sources` found.
    channels
        Names of the model's channels, in order.
    size
        Side of the model's tile, px.
    count
        Crops a batch.

    Raises
    ------
    InputError
        When a crop cannot be read, has other channels or another depth than the model's tiles, or is larger than one:
        nothing is cut. File and member are named.
    """
    stream = (crop for source in sources for crop in _read(source, channels, size))
    while some := list(islice(stream, count)):
        yield Batch(
            [c.source for c in some], [c.name for c in some], np.stack([c.tile for c in some]), sum(c[3] for c in some)
        )


def picture(content: bytes, channels: Sequence[str], size: int) -> Tile:
    """Return the tile (C, size, size) of a PNG that anyone may have sent; a smaller crop is set in the middle.

    Its size is read from its first bytes: one that is larger than a tile is refused before a pixel of it is decoded.

    Raises
    ------
    InputError
        Saying what it is instead of a crop of the model's channels and size, as the end of a sentence about it.
    """
    if not content.startswith(_PNG) or len(content) < _DEPTH:
        raise InputError("is no PNG, whatever its name says")
    width, height = (int.from_bytes(content[i : i + 4]) for i in (_WIDTH, _HEIGHT))
    planes = 1 if len(channels) in (1, 3) else len(channels)
    if width > size or height > size * planes:
        raise InputError(f"is {width:,} x {height:,} px; the model wants {_form(channels, size)}")
    return _centred(_decode("crop.png", content, channels, size), channels, size)


def _read(source: Path, channels: Sequence[str], size: int) -> Iterator[_Crop]:
    """Yield the crop of a file, or those of a pack."""
    packed = source.suffix.lower() == PACK
    empty = True
    for name, content in packs.members(source) if packed else _alone(source):
        empty = False
        try:
            tile = _centred(_decode(name, content, channels, size), channels, size)
        except InputError as error:
            raise InputError(f"{source}{f': {name}' if packed else ''} {error}") from None
        yield _Crop(str(source), name, tile, len(content))
    if empty:
        raise InputError(f"{source} is an empty pack")


def _alone(source: Path) -> Iterator[tuple[str, bytes]]:
    try:
        yield source.name, source.read_bytes()
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}") from None


def _decode(name: str, content: bytes, channels: Sequence[str], size: int) -> Tile:
    """Return the planes (C, h, w) of a PNG or a TIFF."""
    suffix = Path(name).suffix.lower()
    if suffix in TIFF:
        return _tiff(content, channels)
    if suffix != ".png":
        raise InputError("is no image that is read here; a pack holds PNGs or TIFFs")
    if not content.startswith(_PNG):
        raise InputError("is no PNG, whatever its name says")
    # Pillow would halve the bits of a colour picture without a word.
    if content[_DEPTH : _DEPTH + 1] == b"\x10":
        raise InputError(_DEEP.format(bits=16))
    try:
        tile = codec.decode_tile(content, len(channels))
    except InputError as error:
        raise InputError(f"{error}; the model wants {_form(channels, size)}") from None
    if len(channels) not in (1, 3) and tile.shape[1:] != (size, size):
        # Where one plane ends and the next begins is not in the file: only the whole tile is beyond doubt.
        _, height, width = tile.shape
        raise InputError(f"is {len(channels)} planes of {width} x {height} px; the model wants {_form(channels, size)}")
    return tile


def _tiff(content: bytes, channels: Sequence[str]) -> Tile:
    try:
        planes = tiffs.planes(Path("crop.tif"), content, codec.MAX_TILE)
    except tiffs.UnreadableError as error:
        raise InputError(error.detail) from None
    if planes.dtype != np.uint8:
        raise InputError(_DEEP.format(bits=8 * planes.dtype.itemsize))
    if planes.ndim == 2:
        planes = planes[None]
    if planes.ndim != 3 or len(planes) != len(channels):
        raise InputError(
            f"is a TIFF of {' x '.join(map(str, planes.shape))} values; the model wants {len(channels)} planes "
            f"(C, H, W) of {', '.join(channels)}"
        )
    return planes


def _centred(tile: Tile, channels: Sequence[str], size: int) -> Tile:
    _, height, width = tile.shape
    if max(height, width) > size:
        raise InputError(
            f"is {width} x {height} px, larger than the model's tile of {size} px; nothing is cut or made smaller: "
            f"give a crop of one cell, or train with synthesize.size of at least {max(height, width)}"
        )
    return crops.centre(tile, size)


def _form(channels: Sequence[str], size: int) -> str:
    """Say what a PNG of the model's tiles is."""
    named = ", ".join(channels)
    if len(channels) == 3:
        return f"an RGB PNG of 8 bits ({named}), at most {size} x {size} px"
    if len(channels) == 1:
        return f"a grey PNG of 8 bits ({named}), at most {size} x {size} px"
    return (
        f"a grey PNG of 8 bits, {len(channels)} planes ({named}) of exactly {size} x {size} px under one another, or a "
        "TIFF (C, H, W)"
    )
