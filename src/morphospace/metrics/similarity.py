"""How much a reconstruction resembles its image: S as it should be, S as the thesis computed it, MSE, PSNR, SSIM."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphospace.errors import InputError, TrainingError

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Reconstruct = Callable[[Bytes], Floats]

REGIONS = ("all", "inside")
# The similarity of the thesis, as published, and what it is without some of its steps (000-36): metric -> whether the
# latent is sampled, and what pixels in [0, 1] are multiplied by before they are encoded. All are stretched.
LEGACY = {
    "S_legacy": (True, 255.0),
    "S_stretched": (False, 1.0),
    "S_stretched_sampled": (True, 1.0),
    "S_stretched_unscaled": (False, 255.0),
}
BLOCK = 64  # tiles reconstructed at a time
PIECE = 8  # tiles compared at a time: they stay in the processor's cache, five times faster than 64
SIGMA, RADIUS = 1.5, 5  # of the Gaussian window of SSIM: 11 px
K1, K2 = 0.01, 0.03


class Errors(NamedTuple):
    """What a reconstruction misses, per cell and channel.

    Attributes
    ----------
    mae, mse, legacy
        Shape (n, 2, C): in the whole tile, then inside the cell only (NaN for a cell without a pixel). `legacy` is
        the distance of the thesis for these reconstructions, stretched; how it made its own is in `LEGACY`.
    ssim
        Shape (n, C), or (n, 0) where it was not asked for.
    """

    mae: NDArray[np.float64]
    mse: NDArray[np.float64]
    legacy: NDArray[np.float64]
    ssim: NDArray[np.float64]


def errors(originals: Bytes, reconstructions: Floats, with_ssim: bool = False) -> Errors:
    """Return the errors of reconstructions, cell by cell.

    S = 1 - mean |x - y| over pixels and channels of images in [0, 1] (000-35, with the channels in the denominator,
    which the thesis's formula forgot); y is clipped to [0, 1] first. All numbers are means over pixels of one channel
    of one cell: means over channels, cells and wells come after.

    Parameters
    ----------
    originals
        Tiles (n, C, H, W) uint8, 0 outside the cell.
    reconstructions
        Tiles (n, C, H, W), any finite float; 1 is full intensity.
    with_ssim
        Whether to compute SSIM too, the slowest of them.

    Notes
    -----
    "Inside" is where any channel of the original is above 0. That is the cell's mask for tiles whose scaling keeps
    0 for the outside; a pixel of the cell that is 0 in all channels counts as outside, and a tile that was not masked
    is inside everywhere.
    """
    x = originals.astype(np.float32) / np.float32(255)
    y = np.clip(reconstructions, 0, 1)
    absolute = np.abs(x - y)
    distance = _distance(originals, reconstructions)
    inside: NDArray[np.bool_] = np.any(originals, axis=1)
    return Errors(
        _both_regions(absolute, inside),
        _both_regions(absolute * absolute, inside),
        _both_regions(distance, inside),
        ssim(x, y) if with_ssim else np.empty((len(x), 0)),
    )


def _both_regions(values: Floats, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Means (n, 2, C) over the tile and over the mask (n, H, W)."""
    pixels = inside.sum(axis=(1, 2)).astype(np.float64)[:, None]
    masked = np.where(inside[:, None], values, 0).sum(axis=(2, 3), dtype=np.float64)
    part = np.divide(masked, pixels, out=np.full(masked.shape, np.nan), where=pixels > 0)
    return np.stack([values.mean(axis=(2, 3), dtype=np.float64), part], axis=1)


def legacy_stretch(reconstructions: Floats) -> Bytes:
    """Return reconstructions as the thesis wrote them to PNG: each stretched to its own full range (000-36).

    This is ``array_to_img(scale=True)`` of Keras: minus the minimum, over the maximum, times 255, cast by truncation.
    It undoes a wrong offset or contrast, and spoils a perfect reconstruction of any image that does not itself span
    0 to 255. (Keras before 2019 subtracted the minimum only where it was negative.)

    Parameters
    ----------
    reconstructions
        Tiles (n, C, H, W), any finite float; the range is that of all channels together.
    """
    flat = reconstructions.astype(np.float32)
    flat = flat - flat.min(axis=(1, 2, 3), keepdims=True)
    top = flat.max(axis=(1, 2, 3), keepdims=True)
    scaled: Bytes = (flat / np.where(top > 0, top, 1) * np.float32(255)).astype(np.uint8)
    return scaled


def ssim(x: Floats, y: Floats) -> NDArray[np.float64]:
    """Return the structural similarity of each channel of each tile, shape (n, C) (Wang et al. 2004).

    The same number as scikit-image's ``structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1)``, the margin of half a window left out, for many tiles at once: the
    Gaussian window along an axis is a product with a banded matrix.

    Parameters
    ----------
    x, y
        Tiles (n, C, H, W) in [0, 1].

    Raises
    ------
    InputError
        When a tile is smaller than the window of 11 px.
    """
    if min(x.shape[2:]) <= 2 * RADIUS:
        raise InputError(f"SSIM needs tiles of more than {2 * RADIUS} px, not {x.shape[3]} x {x.shape[2]}")
    n, channels, height, width = x.shape
    down, across = _window(height).T, _window(width).T

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, C, W', H'): transposed, as all are. Two large products: many small ones lose to their threads."""
        rows = (values.reshape(n * channels * height, width) @ across).reshape(n * channels, height, across.shape[1])
        columns = rows.swapaxes(1, 2).reshape(n * channels * across.shape[1], height) @ down
        return columns.reshape(n, channels, across.shape[1], down.shape[1])

    a, b = x.astype(np.float64), y.astype(np.float64)
    mean_a, mean_b = smooth(a), smooth(b)
    both, squares = mean_a * mean_b, mean_a**2 + mean_b**2
    covariance = smooth(a * b) - both
    variances = smooth(a * a + b * b) - squares
    c1, c2 = K1**2, K2**2
    index = (2 * both + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
    mean: NDArray[np.float64] = index.mean(axis=(2, 3))
    return mean


def _window(side: int) -> NDArray[np.float64]:
    """Matrix (side - 10, side) that applies the Gaussian window along one axis, where it fits."""
    weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    matrix = np.zeros((side - 2 * RADIUS, side))
    for row, line in enumerate(matrix):
        line[row : row + 2 * RADIUS + 1] = weights / weights.sum()
    return matrix


def psnr(mse: Any) -> Any:
    """Return the peak signal-to-noise ratio in dB of a mean squared error of images in [0, 1]; infinite at 0."""
    with np.errstate(divide="ignore"):
        return -10 * np.log10(mse)


def blocks(rows: NDArray[np.intp], size: int = BLOCK) -> Iterator[NDArray[np.intp]]:
    """Yield `rows` in pieces of at most `size`, in order."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def evaluate(
    tiles: Bytes, rows: NDArray[np.intp], reconstruct: Reconstruct, name: str, with_ssim: bool = False
) -> Errors:
    """Return the errors of a method on some cells, a block at a time, so that memory does not grow with the cells.

    Parameters
    ----------
    tiles
        All tiles (N, C, H, W) uint8; may be a memory map.
    rows
        Which of them, in this order.
    reconstruct
        Function from a block of tiles to their reconstructions in [0, 1], same shape.
    name
        What the method is called in a message.
    with_ssim
        Whether to compute SSIM too.

    Raises
    ------
    TrainingError
        When a reconstruction is not finite, or not of the shape of its tile.
    """
    parts = [errors(tiles[:0], tiles[:0].astype(np.float32), with_ssim)]
    for block in blocks(rows):
        originals = np.asarray(tiles[block])
        drawn = checked(originals, reconstruct(originals), name)
        for part in blocks(np.arange(len(block)), PIECE):
            parts.append(errors(originals[part], drawn[part], with_ssim))
    return Errors(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def legacy(tiles: Bytes, rows: NDArray[np.intp], reconstruct: Reconstruct) -> NDArray[np.float64]:
    """Return the distance of the thesis, (n, 2, C) as of `Errors`, of reconstructions made in another way.

    A cell whose reconstruction is not finite has NaN: a network may not stand pixels that it was not trained on.
    """
    parts = [np.empty((0, len(REGIONS), tiles.shape[1]))]
    for block in blocks(rows):
        originals = np.asarray(tiles[block])
        drawn = reconstruct(originals)
        wrong = ~np.isfinite(drawn).all(axis=(1, 2, 3))
        drawn[wrong] = 0
        found = _both_regions(_distance(originals, drawn), np.any(originals, axis=1))
        found[wrong] = np.nan
        parts.append(found)
    return np.concatenate(parts)


def _distance(originals: Bytes, reconstructions: Floats) -> Floats:
    """Return the distance of each pixel of the pictures that the thesis wrote."""
    stretched = legacy_stretch(reconstructions)
    distance: Floats = np.abs(stretched.astype(np.int16) - originals).astype(np.float32) / np.float32(256)
    return distance


def checked(originals: Bytes, reconstructions: Floats, name: str) -> Floats:
    """Return the reconstructions when they are finite and of the shape of the originals.

    Raises
    ------
    TrainingError
        Naming the method and how many cells are wrong.
    """
    if reconstructions.shape != originals.shape:
        raise TrainingError(
            f"{name} makes tiles of {reconstructions.shape[1:]} from {originals.shape[1:]}; train it anew"
        )
    wrong: NDArray[np.bool_] = ~np.all(np.isfinite(reconstructions), axis=(1, 2, 3))
    if wrong.any():
        raise TrainingError(
            f"{name} reconstructs {int(wrong.sum())} of {len(wrong)} cells as NaN or infinite; no similarity can be "
            "given: train it anew with a lower train.learning_rate or train.r_loss_factor"
        )
    return reconstructions
