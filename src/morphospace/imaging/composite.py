"""From the intensities of a file to the values of a tile: one rule a plate and channel, or one an image.

Intensities are illumination-corrected and counted as a *share* of what the depth of the file can hold, so that 8-bit
and 16-bit files are told apart by their type and not by a guess. Data of 12 bits stored in the upper bits of 16 (as
the published fields are, every value a multiple of 16) fill the 16 bits and need nothing; 12 bits in the lower bits
reach only 1/16 of the share, which ``percentile`` makes up for and ``bit_depth`` does not.

Three rules, of one formula: ``floor + round((255 - floor) * clip(brightness * (share - low) / (high - low), 0, 1))``.

- ``percentile``: low and high are percentiles of all pixels inside cells of the plate and channel; the floor is 1, so
  that 0 in a tile always means outside the cell.
- ``bit_depth``: low is 0, high is 1, the floor is 0: the thesis with brightness 4 (000-06, 000-12), except that it cut
  to 8 bits before it multiplied, and this rounds once. Here a dark pixel inside the cell may be 0 too.
- ``positive``: low and high lie one standard deviation below and above the mean of all pixels of the *image*, one
  channel of one field: z-score, clipped to -1..1, plus 1, over 2 (003-02). The floor is 1. How bright an image is
  beside others, which may be biology, is lost: the rule is for stained tissue, where it is mostly the stain's.

``log_flat`` uses the same formula on other numbers than shares: see `flat`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = 65_536  # bins of a histogram: each grey level of 16 bits its own


@dataclass(frozen=True)
class Scale:
    """The map of one plate and channel, or of one image, from a share of the full scale to a value of a tile."""

    low: float
    high: float
    brightness: float
    floor: int

    @property
    def constant(self) -> bool:
        """Whether low and high are one, so that every pixel inside a cell becomes the floor."""
        return self.high <= self.low


def share(
    plane: NDArray[np.unsignedinteger[Any]], illumination: NDArray[np.float32], full_scale: int
) -> NDArray[np.float64]:
    """Return the corrected intensities (H, W), the plane divided by its illumination, as a share of the full scale."""
    corrected: NDArray[np.float64] = plane / (illumination.astype(np.float64) * full_scale)
    return corrected


def histogram(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how many shares fall to each of the `LEVELS` from 0 to 1; what lies above 1 counts as 1."""
    levels = np.rint(np.clip(shares, 0, 1) * (LEVELS - 1)).astype(np.int64)
    return np.bincount(levels.ravel(), minlength=LEVELS)


def percentile(counts: NDArray[np.int64], percent: float) -> float:
    """Return the smallest share that `percent` of the counted pixels do not exceed; 0 when none was counted."""
    total = int(counts.sum())
    if not total:
        return 0.0
    rank = max(1, int(np.ceil(percent / 100 * total)))
    return float(np.searchsorted(np.cumsum(counts), rank)) / (LEVELS - 1)


def by_percentile(counts: NDArray[np.int64], low: float, high: float, brightness: float) -> Scale:
    """Return the scale of a plate and channel from the histogram of all its pixels inside cells.

    Parameters
    ----------
    counts
        Histogram (LEVELS,).
    low
        Percentile, 0 to 100, that becomes 1.
    high
        Percentile that becomes 255.
    brightness
        Factor on the distance from `low`.
    """
    return Scale(percentile(counts, low), percentile(counts, high), brightness, floor=1)


def by_bit_depth(brightness: float) -> Scale:
    """Return the scale that maps the whole range of the file to 0..255, times `brightness`."""
    return Scale(0.0, 1.0, brightness, floor=0)


def by_image(shares: NDArray[np.float64], brightness: float) -> Scale:
    """Return the scale of positive standardisation, ``(clip(z, -1, 1) + 1) / 2`` with brightness 1 (003-02).

    Parameters
    ----------
    shares
        Corrected intensities (H, W) of the whole image.
    brightness
        Factor on the distance from one standard deviation below the mean.
    """
    mean, deviation = float(shares.mean()), float(shares.std())
    # An even image has the deviation that rounding leaves, not 0.
    return Scale(mean - deviation, mean + (deviation if np.ptp(shares) else -deviation), brightness, floor=1)


def summary(scales: Sequence[Scale], of: str) -> dict[str, float]:
    """Return the range of the scales of a channel, shares of full scale, and how many are constant.

    `of` is what each scale belongs to: plates or images.
    """
    ranges = {"low": [s.low for s in scales], "high": [s.high for s in scales]}
    found = {f"{end}_{kind.__name__}": round(kind(values), 6) for end, values in ranges.items() for kind in (min, max)}
    return found | {f"constant_{of}": sum(s.constant for s in scales)}


def scaled(shares: NDArray[np.float64], scale: Scale) -> NDArray[np.uint8]:
    """Return shares as values of a tile, saturating at 255."""
    if scale.constant:
        return np.full(shares.shape, scale.floor, dtype=np.uint8)
    part = np.clip(scale.brightness * (shares - scale.low) / (scale.high - scale.low), 0, 1)
    return (scale.floor + np.rint((255 - scale.floor) * part)).astype(np.uint8)


def compose(
    shares: Sequence[NDArray[np.float64]], inside: NDArray[np.bool_], scales: Sequence[Scale]
) -> NDArray[np.uint8]:
    """Return the planes (C, H, W) of a cell, 0 outside of it.

    Parameters
    ----------
    shares
        Corrected intensities (H, W) of each channel.
    inside
        Which pixels belong to the cell (H, W).
    scales
        The scale of each channel.
    """
    return np.stack([np.where(inside, scaled(s, m), np.uint8(0)) for s, m in zip(shares, scales, strict=True)])


def mean(planes: NDArray[np.uint8], inside: NDArray[np.bool_], floor: int) -> float:
    """Return the mean, from 0 (the floor) to 1 (255), of the pixels inside a cell over all planes (C, H, W)."""
    total = float(planes[:, inside].mean(dtype=np.float64))
    return (total - floor) / (255 - floor)
