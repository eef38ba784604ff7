"""What knows nothing about a cell, or only a linear summary of it, scores too: the floors beside every similarity."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphospace.errors import InputError
from morphospace.metrics.similarity import Bytes, Floats, blocks

TRIVIAL = ("black", "constant", "mean", "median")
PCA = "pca"
_OVERSAMPLING = 30  # directions more than wanted: on real crops 7 passes in place of 10
_TOLERANCE = 1e-5  # of the captured variance: on real crops the squared error is then exact to 3 parts in 100,000
_MAX_PASSES = 50
_PIXELS = 1024


class Components(NamedTuple):
    """A linear autoencoder: mean (d,), components (d, k) with orthonormal columns, of tiles (C, H, W) = `shape`."""

    mean: Floats
    components: Floats
    shape: tuple[int, int, int]
    cells: int  # it was fitted on
    passes: int  # over these cells

    @property
    def k(self) -> int:
        """How many numbers it keeps of a cell."""
        return int(self.components.shape[1])

    def reconstruct(self, tiles: Bytes) -> Floats:
        """Return tiles (n, C, H, W) from k numbers each, clipped to [0, 1]."""
        flat = tiles.reshape(len(tiles), -1).astype(np.float32) / np.float32(255) - self.mean
        drawn = flat @ self.components @ self.components.T + self.mean
        return drawn.clip(0, 1).reshape(tiles.shape).astype(np.float32, copy=False)


def trivial(tiles: Bytes, rows: NDArray[np.intp]) -> dict[str, Floats]:
    """Return the pictures (C, H, W) in [0, 1] that each predictor blind to the cell draws for every cell.

    ``black``: 0. ``constant``: one grey a channel, the median of that channel's training pixels, which minimises the
    mean absolute error among constants (of masked tiles it is black, when most pixels are outside). ``mean`` and
    ``median``: of each pixel of each channel over the training cells; they minimise the squared and the absolute
    error among all fixed pictures.

    Parameters
    ----------
    tiles
        All tiles (N, C, H, W) uint8; may be a memory map.
    rows
        The training cells: never those that are scored.

    Raises
    ------
    InputError
        When there is no training cell.
    """
    if not len(rows):
        raise InputError("the training split has no cell, so there are no floors; lower split.validation or split.test")
    shape = tiles.shape[1:]
    histogram = _histogram(tiles, rows).reshape(*shape, 256)
    greys = np.arange(256)
    colours = _median(histogram.sum(axis=(1, 2)))
    pictures = {
        "black": np.zeros(shape),
        "constant": np.broadcast_to(colours[:, None, None], shape),
        "mean": histogram @ greys / len(rows),
        "median": _median(histogram),
    }
    return {name: (picture / 255).astype(np.float32) for name, picture in pictures.items()}


def _histogram(tiles: Bytes, rows: NDArray[np.intp]) -> NDArray[np.int32]:
    """Count the grey values (d, 256) of every pixel and channel, in one pass; 50 MB at 128 x 128 x 3."""
    d = int(np.prod(tiles.shape[1:]))
    counts = np.zeros((d, 256), dtype=np.int32)
    offsets = np.arange(_PIXELS)[:, None] * 256
    for block in blocks(rows, 256):
        flat = np.asarray(tiles[block]).reshape(len(block), d)
        for start in range(0, d, _PIXELS):  # few pixels at a time: their counts stay in the processor's cache
            part = flat[:, start : start + _PIXELS].T
            found = np.bincount((part + offsets[: len(part)]).ravel(), minlength=len(part) * 256)
            counts[start : start + _PIXELS] += found.reshape(-1, 256).astype(np.int32)
    return counts


def _median(histogram: NDArray[np.integer]) -> NDArray[np.float64]:
    """Median of counts (..., 256) of grey values: halfway between the two middle ones, as NumPy's."""
    cumulative = histogram.cumsum(axis=-1)
    total = cumulative[..., -1:]
    lower = (cumulative < (total + 1) // 2).sum(axis=-1)
    upper = (cumulative < total // 2 + 1).sum(axis=-1)
    middle: NDArray[np.float64] = (lower + upper) / 2
    return middle


def pca(tiles: Bytes, rows: NDArray[np.intp], k: int, rng: np.random.Generator) -> Components:
    """Return the k principal components of some tiles: the best linear autoencoder with k numbers a cell.

    Block-wise subspace iteration with Rayleigh-Ritz (Halko, Martinsson and Tropp 2011), so that memory holds
    d x (k + 30) numbers and no floating-point copy of the tiles. It stops when a further pass changes the captured
    variance by less than one part in 100,000.

    Parameters
    ----------
    tiles
        All tiles (N, C, H, W) uint8; may be a memory map.
    rows
        The training cells to fit on.
    k
        Wanted components; capped at ``len(rows) - 1``, more cannot be told from n cells, and at the pixels.
    rng
        Where the first guess comes from.

    Raises
    ------
    InputError
        When there is no training cell.
    """
    if not len(rows):
        raise InputError(
            "the training split has no cell, so there is no PCA floor; lower split.validation or split.test"
        )
    d = int(np.prod(tiles.shape[1:]))
    mean = _mean(tiles, rows)
    k = min(k, len(rows) - 1, d)
    basis = np.linalg.qr(rng.standard_normal((d, min(k + _OVERSAMPLING, len(rows), d)), dtype=np.float32))[0]
    captured, passes = -1.0, 0
    while True:
        passes += 1
        product, scatter = _pass(tiles, rows, mean, basis)
        variances, turn = np.linalg.eigh(scatter)
        now = float(variances[::-1][:k].sum())
        if now - captured <= _TOLERANCE * now or passes == _MAX_PASSES:
            break
        captured, basis = now, np.linalg.qr(product)[0]
    components = basis @ turn[:, ::-1][:, :k].astype(np.float32)
    shape = (int(tiles.shape[1]), int(tiles.shape[2]), int(tiles.shape[3]))
    return Components(mean, components, shape, len(rows), passes)


def _pass(tiles: Bytes, rows: NDArray[np.intp], mean: Floats, basis: Floats) -> tuple[Floats, NDArray[np.float64]]:
    """Covariance times basis (d, p), and the basis's own scatter (p, p), in one pass over the tiles."""
    product = np.zeros_like(basis)
    scatter = np.zeros((basis.shape[1], basis.shape[1]))
    middle = mean @ basis
    for flat in _flat(tiles, rows):
        scores = flat @ basis - middle
        product += flat.T @ scores  # the tiles need no centring: over all rows the scores add up to 0
        scatter += scores.T @ scores
    return product, scatter


def _mean(tiles: Bytes, rows: NDArray[np.intp]) -> Floats:
    total = sum((flat.sum(axis=0, dtype=np.float64) for flat in _flat(tiles, rows)), start=np.zeros(()))
    return (total / len(rows)).astype(np.float32)


def _flat(tiles: Bytes, rows: NDArray[np.intp]) -> Iterator[Floats]:
    """Yield tiles as rows of floats in [0, 1], (at most 128, d)."""
    for block in blocks(rows, 128):
        flat = np.asarray(tiles[block]).reshape(len(block), -1).astype(np.float32)
        flat *= np.float32(1 / 255)
        yield flat
