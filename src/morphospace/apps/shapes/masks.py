"""Masks that a contour can be taken of: one part, whole, away from the border, and why another mask cannot be used."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from morphospace.errors import InputError

Mask = NDArray[np.bool_]
Parts = Literal["largest", "refuse"]

MIN_AREA = 16  # px, below which a contour says more of the pixels than of the object
EMPTY, SMALL, BORDER, PARTS = "empty", "too small", "touches the border", "several parts"  # why a mask is refused
LARGEST, HOLES = "largest part taken", "holes filled"  # what was mended


class RefusedError(InputError):
    """A mask has no usable contour; `reason` is one of the few that are counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Whole(NamedTuple):
    """One part of a mask, cut to its box with a margin of one pixel.

    `mask` has no holes, `part` has those of the original; `origin` is the place of their first pixel in it, -1 where
    the margin is outside. `notes` say what was mended.
    """

    mask: Mask
    part: Mask
    origin: tuple[int, int]
    notes: tuple[str, ...]


def whole(mask: Mask, parts: Parts = "largest", keep_border: bool = False, min_area: int = MIN_AREA) -> Whole:
    """Return the one part of a mask whose contour is its shape.

    Parts that touch at a corner are one part. Holes are filled, for the shape is the outer contour alone: a worm that
    bites its tail becomes a disk, and is counted.

    Parameters
    ----------
    mask
        Boolean image (H, W), True inside.
    parts
        With several parts, take the largest or refuse the mask.
    keep_border
        Whether to use a mask that touches the border of the image, where its contour is that of the cut.
    min_area
        Fewest pixels of a mask.

    Raises
    ------
    RefusedError
        When it is empty, smaller than `min_area`, at the border, or of several parts that may not be chosen from.
    """
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        raise RefusedError(EMPTY, "no pixel is inside")
    notes = []
    if count > 1:
        if parts == "refuse":
            raise RefusedError(PARTS, f"{count} of them")
        notes.append(LARGEST)
        mask = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    area = int(np.count_nonzero(mask))
    if area < min_area:
        raise RefusedError(SMALL, f"{area} px, fewer than {min_area}")
    if not keep_border and (mask[[0, -1]].any() or mask[:, [0, -1]].any()):
        raise RefusedError(BORDER, "its contour is not its own")
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    cut = np.pad(mask[box], 1)
    filled = ndimage.binary_fill_holes(cut)
    if np.count_nonzero(filled) > area:
        notes.append(HOLES)
    origin = (box[0].start - 1, box[1].start - 1)
    return Whole(np.asarray(filled, dtype=np.bool_), cut.astype(np.bool_), origin, tuple(notes))


def objects(labels: NDArray[np.integer[Any]]) -> Iterator[tuple[int, Mask]]:
    """Yield the number and the mask of each object of a label image (H, W), 0 is background.

    A mask is cut to the box of its object and one pixel more on each side, but for the sides on the border of the
    image, so that `whole` still sees what touches it.
    """
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            rows, columns = (slice(max(s.start - 1, 0), s.stop + 1) for s in box)
            yield number, labels[rows, columns] == number
