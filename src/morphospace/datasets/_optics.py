"""From the light of cells to what a camera stores."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]

_GAIN = 3.0  # photo-electrons a count
_READ_NOISE = 1.5  # counts


class Optics(NamedTuple):
    """What a plate's microscope does, channels in the order Actin, Tubulin, DNA."""

    gain: Floats  # (3,) factors: the batch
    background: Floats  # (3,) counts
    centre: Floats  # (2,) of the bright spot, as shares of height and width
    fall_off: Floats  # (3,) loss of light in the far corner


def expose(rng: np.random.Generator, light: Floats, optics: Optics) -> NDArray[np.uint16]:
    """Return what the camera stores: blur, haze, fall-off, gain, background, shot and read noise, 12 bits << 4."""
    sides = light.shape[1:]
    yy, xx = np.meshgrid(*(np.linspace(0, 1, n) for n in sides), indexing="ij")
    far = (yy - optics.centre[0]) ** 2 + (xx - optics.centre[1]) ** 2
    stored = np.empty(light.shape, np.uint16)
    for channel, plane in enumerate(light):
        sharp = ndimage.gaussian_filter(plane, 0.9)
        haze = 0.1 * ndimage.gaussian_filter(plane, 12.0, truncate=2.5)
        seen = (0.92 * sharp + haze) * optics.gain[channel] + optics.background[channel]
        seen *= 1 - optics.fall_off[channel] * far / far.max()
        counts = rng.poisson(np.maximum(seen, 0) * _GAIN) / _GAIN + rng.normal(0, _READ_NOISE, sides)
        stored[channel] = np.clip(np.rint(counts), 0, 4095).astype(np.uint16) << 4
    return stored
