# mypy: allow-untyped-calls
"""CellProfiler's steps without CellProfiler or Java: the same labels, bit for bit, with Propagation.

Each function names the CellProfiler 4.2.8 module whose behaviour it repeats (000-03 to 000-05). Where the order of
floating-point operations, a tie break or a noise seed decides a pixel, it is kept.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from centrosome import cpmorphology, filter, outline, propagate, smooth
from numpy.typing import NDArray
from scipy import ndimage
from skimage import filters, morphology, segmentation

from morphospace.errors import InputError
from morphospace.segmentation import _images, _pool
from morphospace.segmentation._engine import Function, Group, ImageSet, Labels, Outcome, Settings, narrow

Image = NDArray[np.float32]
LabelImage = NDArray[Any]
Mask = NDArray[np.bool_]

LOG_TRANSFORM = True
EIGHT = np.ones((3, 3), bool)  # neighbours, diagonals included
NUCLEI_SMOOTHING = 1.0  # threshold smoothing scales of the thesis
CELLS_SMOOTHING = 1.3488
ROBUST_MINIMUM = 0.02  # quantile that an illumination function is divided by


class Primary(NamedTuple):
    """Nuclei: those accepted, numbered from 1, and all that were found, which still claim their cells."""

    accepted: LabelImage
    found: LabelImage


def illuminate(groups: Sequence[Group], pipeline: Path, scratch: Path, jobs: int) -> Iterator[Function]:
    """Yield the illumination function of each group; `pipeline` is CellProfiler's and is not read."""
    return _pool.functions(illumination, groups, scratch, jobs)


def segment(
    image_sets: Sequence[ImageSet], settings: Settings, pipeline: Path, scratch: Path, jobs: int
) -> Iterator[Outcome]:
    """Yield the labels of each image set; `pipeline` is CellProfiler's and is not read."""
    return _pool.outcomes(label, image_sets, settings, scratch, jobs)


def illumination(group: Group) -> Function:
    """Return the smoothed mean of a group's images over its second percentile (CorrectIlluminationCalculate).

    Raises
    ------
    InputError
        When an image cannot be read or differs in size from the first.
    """
    total: NDArray[Any] | None = None
    for path in group.images:
        image = _images.read(path)
        if total is not None and total.shape != image.shape:
            raise InputError(f"{path} is {image.shape} px, but the images before it in {group.name} are {total.shape}")
        total = image if total is None else total + image
    if total is None:
        raise InputError(f"{group.name} has no image to estimate its illumination from")
    mean = (total / len(group.images)).astype(np.float32)
    return Function(group.name, _over_robust_minimum(_gaussian(mean, group.smoothing / 2.35).astype(np.float32)))


def _over_robust_minimum(function: Image) -> Image:
    """Divide by the second percentile of the positive pixels, after raising what is below to it."""
    positive = np.sort(function[function > 0])
    if len(positive) == 0:
        return function
    minimum = positive[int(len(positive) * ROBUST_MINIMUM)]
    return np.asarray(np.maximum(function, minimum) / minimum, np.float32)


def label(nuclei: Image, cells: Image, settings: Settings) -> Labels:
    """Return the label images of one field from its two illumination-corrected images, float32 (H, W) in [0, 1].

    Raises
    ------
    InputError
        When the images differ in size, or have too few grey values for a threshold.
    """
    if nuclei.shape != cells.shape:
        raise InputError(f"the nuclei image is {nuclei.shape} px and the cells image {cells.shape}; sizes must agree")
    if settings.opening_radius:
        nuclei = morphology.opening(nuclei, morphology.disk(settings.opening_radius))
    primary = find_nuclei(nuclei, settings)
    grown = grow_cells(cells, primary, settings)
    kept_nuclei, kept_cells = renumber(primary.accepted, grown)
    return Labels(narrow(kept_nuclei), narrow(kept_cells), narrow(subtract(kept_cells, kept_nuclei)))


def find_nuclei(image: Image, settings: Settings) -> Primary:
    """Return the nuclei of an opened image (IdentifyPrimaryObjects; declumping by shape, dividing by shape)."""
    foreground = above(image, otsu(image, 2) * settings.nuclei_correction, NUCLEI_SMOOTHING)
    largest_hole = settings.max_diameter * settings.max_diameter
    foreground = cpmorphology.fill_labeled_holes(foreground, size_fn=lambda size, is_foreground: size < largest_hole)
    clumps, _ = ndimage.label(foreground, EIGHT)
    found = divide_clumps(clumps, settings.min_diameter / 1.5)
    accepted = np.where(np.isin(found, border(found)), 0, found)
    accepted = _within(accepted, settings.min_diameter, settings.max_diameter)
    accepted = cpmorphology.fill_labeled_holes(accepted)
    return Primary(cpmorphology.relabel(accepted)[0], found)


def otsu(image: Image, classes: Literal[2, 3]) -> float:
    """Return the lowest Otsu threshold of 2 or 3 classes (Threshold, global); of an even image, its value.

    Raises
    ------
    InputError
        When there are fewer grey values than classes.
    """
    if (image == image.flat[0]).all():
        return float(image.flat[0])
    try:
        if classes == 2:
            return float(filters.threshold_otsu(image.ravel()))
        return float(filters.threshold_multiotsu(image.ravel(), nbins=128)[0])
    except ValueError as error:
        raise InputError(f"no threshold of {classes} classes: {' '.join(str(error).split())}") from None


def log_otsu(image: Image) -> float:
    """Return the lowest Otsu threshold of three classes of the logarithm, as a grey value (Threshold, log transform).

    What is darker than 1/256 of the range counts as that bright, so that the logarithm has a bottom. The steps are
    those of centrosome's `log_transform` under CellProfiler's numpy 1, where the bottom is summed in 64 bits.

    Raises
    ------
    InputError
        When there are fewer grey values than classes.
    """
    low, high = image.min(), image.max()
    bottom = float(low) + float(high - low) / 256 + float(np.finfo(image.dtype).eps)
    logs = np.log(np.maximum(image, image.dtype.type(bottom)))
    least, most = logs.min(), logs.max()
    return float(np.exp(otsu(filter.stretch(logs), 3) * float(most - least) + float(least)))


def above(image: Image, threshold: float, smoothing: float) -> Mask:
    """Return where the lightly smoothed image reaches the threshold, itself bounded by 0 and 1 (Threshold)."""
    blurred = _gaussian(image, smoothing / 0.6744 / 2.0)
    return np.asarray(blurred >= min(max(threshold, 0.0), 1.0))


def _gaussian(image: Image, sigma: float) -> NDArray[np.float64]:
    """Smooth with a Gaussian that ignores what is beyond the border."""
    kernel = lambda x: ndimage.gaussian_filter(x, sigma, mode="constant", cval=0)  # noqa: E731
    return np.asarray(smooth.smooth_with_function_and_mask(image, kernel, np.ones(image.shape, bool)))


def divide_clumps(clumps: LabelImage, distance: float) -> LabelImage:
    """Divide clumps where the distance to the background has peaks at least `distance` px apart.

    The noise that makes peaks unique is CellProfiler's: its generator, its seed, its amplitude.
    """
    depth = ndimage.distance_transform_edt(clumps > 0)
    depth = depth + np.random.RandomState(0).uniform(0, 0.001, depth.shape)
    footprint = cpmorphology.strel_disk(max(1, distance - 0.5))
    peaks = cpmorphology.binary_shrink(cpmorphology.is_local_maximum(depth, clumps, footprint))
    peaks, _ = ndimage.label(peaks, EIGHT)
    valleys = -depth
    valleys = valleys - valleys.min()
    # Negative markers, as there: they decide which of two basins takes a pixel of equal depth.
    return np.asarray(-segmentation.watershed(valleys, -peaks, connectivity=EIGHT, mask=clumps != 0))


def border(labels: LabelImage) -> NDArray[Any]:
    """Return the labels, 0 not among them, that touch the border of the image."""
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return np.asarray(edge[edge != 0])


def _within(labels: LabelImage, smallest: int, largest: int) -> LabelImage:
    """Drop objects whose area is not between those of the disks of two diameters."""
    area = np.bincount(labels.ravel())[labels]
    outside = (area < np.pi * (smallest * smallest) / 4) | (area > np.pi * (largest * largest) / 4)
    return np.where(outside, 0, labels)


def grow_cells(image: Image, primary: Primary, settings: Settings) -> LabelImage:
    """Return cells that carry the numbers of their accepted nuclei, those on the border left out.

    Nuclei on the border were not accepted, but still claim their cells (IdentifySecondaryObjects).
    """
    foreground = cell_foreground(image, settings)
    on_border = np.isin(primary.found, border(primary.found))
    seeds = np.where((primary.accepted > 0) | on_border, primary.found, 0)
    if settings.method == "propagation":
        grown, _ = propagate.propagate(image, seeds, foreground, settings.regularization)
    else:
        grown = segmentation.watershed(1 - image, seeds, connectivity=EIGHT, mask=foreground | (seeds > 0))
    grown = cpmorphology.fill_labeled_holes(grown, mask=grown == 0)
    cells = _largest(primary.accepted, grown)[grown]
    return np.where(np.isin(cells, border(cells)), 0, cells)


def cell_foreground(image: Image, settings: Settings) -> Mask:
    """Return where a cell stain reaches its threshold, inside which cells grow."""
    threshold = log_otsu(image) if settings.log_transform else otsu(image, 3)
    return above(image, threshold * settings.cells_correction, CELLS_SMOOTHING)


def _largest(values: LabelImage, labels: LabelImage) -> NDArray[Any]:
    """Return a table: for each label, the largest of `values` under it; for the background 0."""
    table = np.zeros(int(labels.max(initial=0)) + 1, int)
    np.maximum.at(table, labels.ravel(), values.ravel())
    table[0] = 0
    return table


def renumber(nuclei: LabelImage, cells: LabelImage) -> tuple[LabelImage, LabelImage]:
    """Drop nuclei without a cell and number both from 1, so that cell n has nucleus n (FilteredNuclei)."""
    table = _largest(cells, nuclei)
    table[table != 0] = np.arange(np.count_nonzero(table)) + 1
    return table[nuclei], np.where(cells < len(table), table[np.minimum(cells, len(table) - 1)], 0)


def subtract(cells: LabelImage, nuclei: LabelImage) -> LabelImage:
    """Return cells less their nuclei shrunk by their outline: no cytoplasm is empty (IdentifyTertiaryObjects)."""
    inside = (nuclei != 0) & (outline.outline(nuclei) == 0)
    return np.where(inside, 0, cells)
