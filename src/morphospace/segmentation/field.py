"""No segmentation: the field is one object, for tissue and confluent layers, where cells cannot be told apart.

`synthesize` takes it whole, or cuts it into the squares of a grid. Nothing is corrected for illumination: the mean of
a few fields that are full to their edges shows what is in them, not the lamp.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morphospace.errors import InputError
from morphospace.segmentation import _images, _pool
from morphospace.segmentation._engine import Function, Group, ImageSet, Labels, Outcome, Settings

FINDS_CELLS = False


def illuminate(groups: Sequence[Group], pipeline: Path, scratch: Path, jobs: int) -> Iterator[Function]:
    """Yield a function of ones for each group; `pipeline` is not read."""
    return _pool.functions(even, groups, scratch, jobs)


def segment(
    image_sets: Sequence[ImageSet], settings: Settings, pipeline: Path, scratch: Path, jobs: int
) -> Iterator[Outcome]:
    """Yield labels of one cell without a nucleus, as large as the field; `pipeline` is not read."""
    return _pool.outcomes(label, image_sets, settings, scratch, jobs, thresholded=False)


def even(group: Group) -> Function:
    """Return the illumination function 1 of a group, of the size of its first image."""
    return Function(group.name, np.ones(_images.read(group.images[0]).shape, np.float32))


def label(nuclei: NDArray[np.float32], cells: NDArray[np.float32], settings: Settings) -> Labels:
    """Return label images that are 1 throughout, of the cell and of its cytoplasm; there is no nucleus.

    Raises
    ------
    InputError
        When the images differ in size.
    """
    if nuclei.shape != cells.shape:
        raise InputError(f"one image is {nuclei.shape} px and the other {cells.shape}; sizes must agree")
    whole = np.ones(cells.shape, np.uint16)
    return Labels(np.zeros_like(whole), whole, whole)
