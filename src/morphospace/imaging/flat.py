"""Flat fields and log ratios: another way from images to tiles (004-05, 004-06).

The flat field of a plate and channel is what its images have in common where no cell is: their mean, cut off at a low
level and smoothed. An image is then the logarithm of how many times brighter than it each pixel is. Every image and
channel is stretched to its own full range, so that how bright one is beside others is lost.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from morphospace.errors import InputError
from morphospace.imaging import composite, tiff

FULL_SCALE = 65_535  # that images of 8 and of 16 bits are counted on
BINS = 100  # of the histogram of an image
CUT = 0.3  # share of the pixels of a mean image below the level at which it is cut off
SMOOTHING = 50.0  # px, standard deviation of the Gaussian filter
TOP = 0.99  # the same share of the pixels of an image
MOST = 5.0  # the largest logarithm: 148 times the flat field


def flat_field(paths: Sequence[Path]) -> NDArray[np.float32]:
    """Return the flat field (H, W) of all images of a plate and channel, as a share of the full scale (004-05).

    It is at least one grey level of 16 bits, so that a black plate divides by no zero.

    Raises
    ------
    InputError
        When an image cannot be read, or differs in size from the first.
    """
    total: NDArray[np.float64] | None = None
    for path in paths:
        image = tiff.read(path)
        if total is not None and image.shape != total.shape:
            raise InputError(f"{path} is {image.shape} px, {paths[0]} is {total.shape} px; a plate has one size")
        # Whole numbers add up exactly: where images are even together, their mean is, without rounding.
        part = image.astype(np.float64) * (FULL_SCALE // tiff.full_scale(image.dtype))
        total = part if total is None else total + part
    if total is None:
        raise InputError("a flat field needs an image")
    return cut_and_smooth(total / (len(paths) * FULL_SCALE))


def cut_and_smooth(mean: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return a mean image (H, W) cut off at the `cutoff` of 30 % of its pixels, and smoothed.

    Beyond the edge the outermost pixel repeats, as in scikit-image's ``gaussian`` (mode ``nearest``).
    """
    smooth = ndimage.gaussian_filter(np.minimum(mean, cutoff(mean, CUT)), SMOOTHING, mode="nearest")
    return np.maximum(smooth, 1 / (composite.LEVELS - 1)).astype(np.float32)


def cutoff(values: NDArray[np.floating[Any]], share: float) -> float:
    """Return the level that brighter pixels of an image (H, W) become (004-05, 004-06).

    It is the middle of a bin of the histogram, of 100 equal bins from the least value to the largest: of the bin after
    the first one with which `share` of the pixels are reached, or of the last bin.
    """
    counts, edges = np.histogram(values, bins=BINS)
    reached = int(np.searchsorted(np.cumsum(counts), share * values.size))
    return float((edges[:-1] + edges[1:])[min(reached + 1, BINS - 1)] / 2)


def log_ratio(image: NDArray[np.unsignedinteger[Any]], flat: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the natural logarithm (H, W) of an image over the flat field, from 0 to 5 (004-06).

    The image is cut off at the `cutoff` of 99 % of its pixels before; what is darker than the flat field is 0.
    """
    shares = image / tiff.full_scale(image.dtype)
    ratio = np.minimum(shares, cutoff(shares, TOP)) / flat
    return np.asarray(np.minimum(np.log(np.maximum(ratio, 1.0)), MOST))


def by_range(values: NDArray[np.float64], brightness: float) -> composite.Scale:
    """Return the scale that stretches one image (H, W) from its least value to its largest."""
    return composite.Scale(float(values.min()), float(values.max()), brightness, floor=1)
