"""What a shape embedding is compared with: region properties and elliptic Fourier descriptors (002-18)."""

from typing import Any

import numpy as np
import pyefd
from numpy.typing import NDArray
from skimage import measure

from morphospace.apps.shapes.contour import Points
from morphospace.apps.shapes.masks import Mask

# What the reference compares with. Centroid and angle say where an object lies, not what shape it has.
PUBLISHED = (
    "area",
    "perimeter",
    "centroid-0",
    "centroid-1",
    "axis_major_length",
    "axis_minor_length",
    "orientation",
)
# The same without place and angle, and with what says most of a bent or a round object.
SHAPE = ("area", "perimeter", "axis_major_length", "axis_minor_length", "eccentricity", "solidity", "extent")
ORDER = 10
_regionprops_table: Any = measure.regionprops_table  # no types


def region(mask: Mask, origin: tuple[int, int] = (0, 0)) -> dict[str, float]:
    """Return scikit-image's properties of a mask by name: those of `PUBLISHED` and of `SHAPE`, px and radians.

    `origin` is the place of the mask's first pixel in its image, which the centroid counts from.
    """
    names = sorted({n.split("-")[0] for n in (*PUBLISHED, *SHAPE)})
    table = _regionprops_table(mask.astype(np.uint8), properties=names)
    found = {name: float(values[0]) for name, values in table.items()}
    for axis, start in enumerate(origin):
        found[f"centroid-{axis}"] += start
    return {name: found[name] for name in dict.fromkeys((*PUBLISHED, *SHAPE))}


def fourier(line: Points, order: int = ORDER) -> NDArray[np.float64]:
    """Return elliptic Fourier descriptors of a closed contour (n, 2): 4 a harmonic, without size, angle and place.

    Kuhl and Giardina (1982), by pyefd, normalised by the first harmonic; its three constants (1, 0, 0) are left out,
    so there are 4 `order` - 3 numbers.
    """
    closed = np.vstack([line, line[:1]])
    coefficients = pyefd.elliptic_fourier_descriptors(closed, order=order, normalize=True)
    return np.asarray(coefficients, dtype=np.float64).ravel()[3:]
