"""PCA of the views that it is trained on, whose pictures convolutions touch up.

A network that starts from random weights needs long to draw as well as PCA, and often does not get there. Here the
latent point is PCA's, fitted before the first step and then fixed. What is learnt is what a picture of few components
lacks: pixel by pixel from its neighbours, the same everywhere, and so from few cells.
"""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from morphospace.models._base import Autoencoder, Latent, Shown
from morphospace.models._blocks import initialise
from morphospace.options import Options as BaseOptions

_GAIN = 0.05  # of the last convolution, so that the start is PCA, and yet has a slope
_CHUNK = 256  # tiles that the components are updated by at a time
_OVERSAMPLING = 30  # directions kept beyond those wanted, so that what is dropped early is no loss
_FLAT = 1e-4  # share of the largest deviation below which a direction counts as empty
Views = Annotated[int, Field(ge=2, le=1_000_000)]


class Options(BaseOptions):
    """What ``params.yaml`` may say of this model.

    `views`: training tiles, as they are augmented, that the components are fitted on; `width`: channels between the
    convolutions.
    """

    views: Views = 8192
    width: Annotated[int, Field(ge=1, le=1024)] = 24


class PCAAutoencoder(Autoencoder):
    """Latent point = whitened principal components; tile = their picture + what three convolutions make of it."""

    mean: Tensor
    components: Tensor
    deviations: Tensor

    def __init__(self, channels: int, size: int, z_dim: int, views: int, width: int) -> None:
        super().__init__()
        pixels = channels * size * size
        self.views, self.shape = views, (channels, size, size)
        last = nn.Conv2d(width, channels, kernel_size=3, padding=1)
        self.refine = nn.Sequential(
            nn.Conv2d(channels, width, kernel_size=5, padding=2),
            nn.GELU(),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
            nn.GELU(),
            last,
        )
        initialise(self)
        with torch.no_grad():
            last.weight.mul_(_GAIN)
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("components", torch.linalg.qr(torch.randn(pixels, z_dim))[0])
        self.register_buffer("deviations", torch.ones(z_dim))

    def prepare(self, shown: Shown) -> None:
        """Fit the components on the first `views` tiles, as they are augmented."""
        mean, components, deviations = principal(shown.views, self.components.shape[1], self.views)
        self.mean.copy_(mean)
        self.components.copy_(components)
        self.deviations.copy_(deviations)

    def encode(self, x: Tensor) -> Latent:
        """Return where tiles (N, C, H, W) lie, (N, z_dim)."""
        return Latent((x.contiguous().flatten(1) - self.mean) @ self.components / self.deviations, None)

    def decode(self, z: Tensor) -> Tensor:
        """Return the tiles (N, C, H, W) of latent points (N, z_dim)."""
        linear = ((z * self.deviations) @ self.components.T + self.mean).view(-1, *self.shape)
        linear = linear.contiguous(memory_format=torch.channels_last)
        drawn: Tensor = linear + self.refine(linear)
        return drawn


@torch.no_grad()
def principal(minibatches: Iterator[Tensor], k: int, views: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (d,), components (d, k) and standard deviations (k,) along them of tiles, in one pass.

    Incremental PCA (Ross et al. 2008): what is known, k + 30 scaled directions, is decomposed together with each chunk
    of 256 tiles. A direction that the tiles do not have is 0, with a deviation of 1.

    Parameters
    ----------
    minibatches
        Tiles (n, C, H, W); only as many are drawn as needed.
    k
        How many components.
    views
        Tiles to take, at least.
    """
    mean, basis, seen = torch.zeros(()), None, 0
    for chunk in _chunks(minibatches, views):
        n, middle = len(chunk), chunk.mean(dim=0)
        rows = chunk - middle
        if basis is not None:
            shift = (seen * n / (seen + n)) ** 0.5 * (mean - middle)
            rows = torch.cat([basis, rows, shift[None]])
        mean = middle if basis is None else (seen * mean + n * middle) / (seen + n)
        _, vectors = torch.linalg.eigh((rows @ rows.T).double())
        basis, seen = vectors.flip(1)[:, : k + _OVERSAMPLING].T.to(rows.dtype) @ rows, seen + n
    assert basis is not None
    scales = basis[:k].norm(dim=1)
    real = scales > _FLAT * scales.max()
    components = torch.zeros(basis.shape[1], k, device=basis.device)
    deviations = torch.ones(k, device=basis.device)
    components[:, : len(scales)] = torch.where(real, basis[:k].T / torch.where(real, scales, 1.0), 0.0)
    deviations[: len(scales)] = torch.where(real, scales / seen**0.5, 1.0)
    return mean, components, deviations


def _chunks(minibatches: Iterator[Tensor], views: int) -> Iterator[Tensor]:
    """Yield flat tiles (n, d), at least `_CHUNK` at a time but for the last."""
    taken, waiting = 0, []
    while taken < views:
        waiting.append(next(minibatches).flatten(1))
        taken += len(waiting[-1])
        if sum(map(len, waiting)) >= _CHUNK or taken >= views:
            yield torch.cat(waiting)
            waiting = []


def build(channels: int, size: int, z_dim: int, *, views: int = 8192, width: int = 24) -> PCAAutoencoder:
    """Return the model, its weights drawn from torch's generator; before training, its components are random ones.

    Parameters
    ----------
    channels
        Planes of a tile.
    size
        Side of a tile, px.
    z_dim
        Latent dimensions: components.
    views
        Training tiles, as they are augmented, that the components are fitted on.
    width
        Channels between the convolutions.
    """
    model = PCAAutoencoder(channels, size, z_dim, views, width)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
