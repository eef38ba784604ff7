# mypy: allow-untyped-calls
"""A baseline in a few lines of scikit-image: Otsu and a distance watershed, then a watershed in the cell stain."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import feature, filters, measure, segmentation

from morphospace.segmentation import _pool, native
from morphospace.segmentation._engine import Function, Group, ImageSet, Labels, Outcome, Settings, narrow


def illuminate(groups: Sequence[Group], pipeline: Path, scratch: Path, jobs: int) -> Iterator[Function]:
    """Yield the illumination function of each group, estimated as by the native engine."""
    return native.illuminate(groups, pipeline, scratch, jobs)


def segment(
    image_sets: Sequence[ImageSet], settings: Settings, pipeline: Path, scratch: Path, jobs: int
) -> Iterator[Outcome]:
    """Yield the labels of each image set; `pipeline` is CellProfiler's and is not read."""
    return _pool.outcomes(label, image_sets, settings, scratch, jobs)


def label(nuclei: NDArray[np.float32], cells: NDArray[np.float32], settings: Settings) -> Labels:
    """Return the label images of one field; cells on the border go, with their nuclei."""
    seeds = find_nuclei(nuclei, settings)
    foreground = (filters.gaussian(cells, 1) > _otsu(cells) * settings.cells_correction) | (seeds > 0)
    grown = segmentation.watershed(-filters.gaussian(cells, 1), seeds, mask=foreground)
    kept = segmentation.clear_border(grown)
    kept, _, _ = segmentation.relabel_sequential(kept)
    kept_nuclei = np.where(seeds > 0, kept, 0)
    return Labels(narrow(kept_nuclei), narrow(kept), narrow(np.where(kept_nuclei > 0, 0, kept)))


def find_nuclei(image: NDArray[np.float32], settings: Settings) -> NDArray[Any]:
    """Return nuclei of the allowed diameters, numbered from 1, those on the border included."""
    foreground = ndimage.binary_fill_holes(filters.gaussian(image, 1) > _otsu(image) * settings.nuclei_correction)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(foreground), 1)
    apart = max(1, round(settings.min_diameter / 1.5))
    peaks = feature.peak_local_max(depth, min_distance=apart, labels=measure.label(foreground))
    markers = np.zeros(image.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    found = segmentation.watershed(-depth, markers, mask=foreground)
    area = np.bincount(found.ravel())[found]
    smallest, largest = (np.pi * d**2 / 4 for d in (settings.min_diameter, settings.max_diameter))
    within = np.where((area < smallest) | (area > largest), 0, found)
    return np.asarray(segmentation.relabel_sequential(within)[0])


def _otsu(image: NDArray[np.float32]) -> float:
    """Return Otsu's threshold, or the value of an even image, above which there is nothing."""
    return float(image.flat[0]) if np.ptp(image) == 0 else float(filters.threshold_otsu(image))
