"""What can be measured of a cell without learning: size and shape of the nucleus, intensities, textures."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import feature, filters, measure

SHAPES = ("area", "eccentricity", "solidity", "extent", "perimeter", "axis_major_length", "axis_minor_length")
PERCENTILES = (5, 50, 95)
TEXTURES = ("contrast", "homogeneity", "energy", "correlation")
_LEVELS = 16  # grey values that textures tell apart
_DISTANCES = (1, 3)  # px between the two pixels of a pair


def names(channels: int) -> list[str]:
    """Return the names of the features of tiles with so many channels."""
    of = [f"Nuclei_AreaShape_{s}" for s in SHAPES]
    for c in range(channels):
        of += [f"Cells_Intensity_{kind}_{c}" for kind in ("mean", "std", *(f"p{p}" for p in PERCENTILES))]
        of += [f"Cells_Texture_{kind}_{c}" for kind in TEXTURES]
    return of


def features(tiles: NDArray[np.uint8], nuclei: int) -> NDArray[np.float64]:
    """Return 7 numbers of the nucleus and 9 of each channel of tiles (N, C, H, W), (N, 7 + 9 C).

    The nucleus is the object nearest to the centre of the channel `nuclei` above Otsu's threshold; where a tile has
    none, its numbers are 0. Intensities are mean, standard deviation and three percentiles of the whole tile; textures
    are of its grey-level co-occurrence (Haralick et al. 1973), means over four directions and two distances.
    """
    return np.array([_cell(np.asarray(tile), nuclei) for tile in tiles], dtype=np.float64).reshape(len(tiles), -1)


def _cell(tile: NDArray[np.uint8], nuclei: int) -> list[float]:
    found = _nucleus(tile[nuclei])
    for plane in tile:
        found += [float(plane.mean()), float(plane.std()), *map(float, np.percentile(plane, PERCENTILES))]
        found += _textures(plane)
    return found


def _nucleus(plane: NDArray[np.uint8]) -> list[float]:
    """Numbers of the object nearest to the centre; zeros where there is none."""
    if plane.min() == plane.max():
        return [0.0] * len(SHAPES)
    threshold: Any = filters.threshold_otsu
    label: Any = measure.label
    properties: Any = measure.regionprops
    objects = properties(label(plane > threshold(plane)))
    middle = (np.array(plane.shape) - 1) / 2
    nearest = min(objects, key=lambda o: float(np.linalg.norm(np.array(o.centroid) - middle) - o.axis_major_length / 2))
    return [float(getattr(nearest, name)) for name in SHAPES]


def _textures(plane: NDArray[np.uint8]) -> list[float]:
    grey = (plane // (256 // _LEVELS)).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    matrix: Any = feature.graycomatrix
    properties: Any = feature.graycoprops
    pairs = matrix(grey, _DISTANCES, angles, levels=_LEVELS, symmetric=True, normed=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the correlation of one grey value
        return [float(np.nan_to_num(properties(pairs, kind)).mean()) for kind in TEXTURES]
