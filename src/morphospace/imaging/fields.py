"""One image set and what is cut from it: reading, counting intensities, cutting tiles. All that a worker does."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphospace import tiffs
from morphospace.errors import InputError
from morphospace.imaging import codec, composite, crops, flat, nuclei, packs, tiff


@dataclass(frozen=True)
class Field:
    """An image set with its cells, or some of them."""

    name: str  # for messages
    well: str
    site: str
    images: list[Path]  # one a channel
    illuminations: list[Path]  # or flat fields, where the rule takes logarithms
    labels: Path  # the pack of the plate
    numbers: NDArray[np.int64]  # in the label image
    boxes: NDArray[np.int64]
    areas: NDArray[np.float64]
    members: list[str]  # name of each cell's PNG, empty when it is dropped

    def pieces(self, count: int) -> Iterator["Field"]:
        """Yield the field with at most `count` of its cells at a time, in order: their tiles are held in memory."""
        for start in range(0, len(self.members), count):
            some = slice(start, start + count)
            yield replace(
                self,
                numbers=self.numbers[some],
                boxes=self.boxes[some],
                areas=self.areas[some],
                members=self.members[some],
            )


@dataclass(frozen=True)
class Rule:
    """How to cut: scales are those of the plate, or None for those of each image by itself."""

    size: int  # px, side of the tile
    scales: list[composite.Scale] | None
    brightness: float
    min_mean: float  # a tile whose mean inside the cell, 0 to 1, is lower is not made
    max_mean: float
    mask: bool = True  # whether a tile shows its cell alone
    log: bool = False  # of the image over the flat field of its plate, each image by its own range (004-06)


class Tiles(NamedTuple):
    """What was cut from a field."""

    named: list[tuple[str, bytes]]  # member and PNG of each tile
    pixels: NDArray[np.int64]  # (C, 2): pixels inside the cells of tiles at 255, pixels inside them
    means: NDArray[np.float64]  # of each cell (N,), 0 to 1; NaN for one that was not to be cut
    scales: list[composite.Scale]


def measure(field: Field) -> NDArray[np.int64]:
    """Return the histogram (C, LEVELS) of all pixels inside the cells of an image set, of dropped cells too."""
    images, illuminations, labels = _read(field)
    inside = labels > 0
    return np.stack(
        [
            composite.histogram(composite.share(image[inside], light[inside], tiff.full_scale(image.dtype)))
            for image, light in zip(images, illuminations, strict=True)
        ]
    )


def locate(field: Field, size: int, mask: bool) -> nuclei.Windows:
    """Return the windows of `size` px round the nuclei of an image set, from its label images alone.

    Raises
    ------
    InputError
        When the labels cannot be read, or a cell has another number of pixels than the table says.
    """
    labels = packs.read_labels(field.labels, field.well, field.site)
    counts = np.bincount(labels["Cells"].ravel(), minlength=int(field.numbers.max()) + 1)[field.numbers]
    for number, count, area in zip(field.numbers, counts, field.areas, strict=True):
        if count != np.nan_to_num(area).round():
            raise InputError(
                f"{field.name}: cell {number} has {count} px, the table says {area:g} px; the label image and the "
                "table are of different runs"
            )
    return nuclei.windows(labels["Cells"], labels["Nuclei"], field.numbers, size, mask)


def cut(field: Field, rule: Rule) -> Tiles:
    """Return the tiles of the cells of an image set, those left out whose mean is not within the rule's.

    Raises
    ------
    InputError
        When an image, an illumination function or the labels cannot be read or do not fit each other and the table.
    """
    images, lights, labels = _read(field)
    if rule.log:
        logs = [flat.log_ratio(image, np.asarray(light)) for image, light in zip(images, lights, strict=True)]
        scales = [flat.by_range(values, rule.brightness) for values in logs]
    else:
        scales = rule.scales or [composite.by_image(shares, rule.brightness) for shares in _shares(images, lights)]
    named = []
    counted = np.zeros((len(images), 2), dtype=np.int64)
    means = np.full(len(field.members), np.nan)
    for i in (i for i, member in enumerate(field.members) if member):
        where = crops.window(field.boxes[i])
        try:
            inside = _inside(field, i, labels, rule.mask)
        except InputError as error:
            raise InputError(f"{field.name}: {error}") from None
        shares = [values[where] for values in logs] if rule.log else _shares(images, lights, where)
        planes = composite.compose(shares, inside, scales)
        means[i] = composite.mean(planes, inside, scales[0].floor)
        if not rule.min_mean <= means[i] <= rule.max_mean:
            continue
        counted[:, 0] += np.count_nonzero(planes == 255, axis=(1, 2))
        counted[:, 1] += np.count_nonzero(inside)
        named.append((field.members[i], codec.encode_tile(crops.centre(planes, rule.size))))
    return Tiles(named, counted, means, scales)


def _inside(field: Field, i: int, labels: NDArray[np.integer[Any]], mask: bool) -> NDArray[np.bool_]:
    """Return which pixels of its box or window a tile shows: the cell's, or all."""
    if not mask:
        return np.ones(tuple(crops.sides(field.boxes[i : i + 1])[0]), dtype=np.bool_)
    return crops.inside(labels, int(field.numbers[i]), field.boxes[i], field.areas[i])


def _shares(
    images: list[tiffs.Pixels],
    lights: list[NDArray[np.float32]],
    where: tuple[slice, slice] = (slice(None), slice(None)),
) -> list[NDArray[np.float64]]:
    """Return the corrected intensities of each channel in a window, as shares of the full scale."""
    return [
        composite.share(image[where], light[where], tiff.full_scale(image.dtype))
        for image, light in zip(images, lights, strict=True)
    ]


def _read(field: Field) -> tuple[list[tiffs.Pixels], list[NDArray[np.float32]], NDArray[np.integer[Any]]]:
    """Return the images and illumination functions of an image set, and the labels of its cells, of one size."""
    labels = packs.read_labels(field.labels, field.well, field.site)["Cells"]
    images = [tiff.read(path) for path in field.images]
    lights = []
    for path in field.illuminations:
        try:
            lights.append(np.load(path, mmap_mode="r"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not a readable illumination function ({error}); run `dvc repro`") from None
    for path, plane in zip([*field.images, *field.illuminations], [*images, *lights], strict=True):
        if plane.shape != labels.shape:
            raise InputError(f"{path} is {plane.shape} px, the label images of {field.name} are {labels.shape} px")
    return images, lights, labels
