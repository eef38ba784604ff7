"""Autoencoders of distance matrices (002-14): small enough for one processor, and two ways to forget the first point.

`circular` forgets it by construction: from lag to lag a matrix is a ring, its convolutions are circular and its
features are pooled over the ring and over both directions, so that the embedding is the same for all 2n matrices of a
shape. `residual` is a ResNet on the square matrix, as in the reference, and must be trained on matrices with drawn
first points (002-16): the first point then is one more thing that the latent has to hold.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate

from morphospace.apps.shapes import ring
from morphospace.errors import InputError

Kind = Literal["circular", "residual"]

STEP = 8  # the number of points must be a multiple of it: the ring is halved three times


def kinds(names: Sequence[str]) -> list[Kind]:
    """Return the kinds of autoencoder of these names, each once.

    Raises
    ------
    InputError
        When there is no such kind.
    """
    known: dict[str, Kind] = {name: name for name in get_args(Kind)}
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"there is no autoencoder {unknown[0]!r} of shapes (there are: {', '.join(known)})")
    return [known[name] for name in dict.fromkeys(names)]


class Autoencoder(nn.Module):
    """An encoder (N, n, n) -> (N, latent) and a decoder back to matrices that nothing forces to be distances.

    `profile` (n,) is the mean distance at each lag and `spread` one number, both of the training matrices: the
    networks see and draw what differs from the mean shape. They too are the same for every first point.

    Parameters
    ----------
    kind
        Of the encoder.
    points
        n, a multiple of 8.
    latent
        How many numbers a shape.
    width
        Filters of the convolutions, a multiple of 4.

    Raises
    ------
    InputError
        When `points` or `width` is no such multiple.
    """

    profile: Tensor
    spread: Tensor

    def __init__(self, kind: Kind, points: int, latent: int, width: int = 32) -> None:
        super().__init__()
        if points < 2 * STEP or points % STEP or width < 4 or width % 4:
            raise InputError(f"{points} points and width {width}: points are a multiple of {STEP} from 16, width of 4")
        self.aligns = kind == "circular"
        self.encoder = (Circular if kind == "circular" else Residual)(points, latent, width)
        self.decoder = Decoder(points, latent, width)
        self.register_buffer("profile", torch.zeros(points))
        self.register_buffer("spread", torch.ones(()))

    def standardise(self, d: Tensor) -> None:
        """Take `profile` and `spread` from training matrices (N, n, n)."""
        self.profile.copy_(ring.lags(d).mean(dim=(0, 1)))
        spread = (d - self._mean()).square().mean().sqrt()
        self.spread.copy_(spread if spread > 0 else torch.ones(()))

    def encode(self, d: Tensor) -> Tensor:
        """Return the latents (N, latent)."""
        latents: Tensor = self.encoder((d - self._mean()) / self.spread)
        return latents

    def forward(self, d: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latents (N, latent) and the reconstructed matrices (N, n, n)."""
        z = self.encode(d)
        return z, self.decoder(z) * self.spread + self._mean()

    def _mean(self) -> Tensor:
        n = len(self.profile)
        return ring.unlag(self.profile.expand(1, n, n))


class Circular(nn.Module):
    """Circular convolutions along the contour; a point's features are its distances to the points 1 .. n/2 further."""

    def __init__(self, points: int, latent: int, width: int) -> None:
        super().__init__()
        self.lags = points // 2
        self.first = _convolution(self.lags, width)
        self.rest = nn.ModuleList(_convolution(width, width) for _ in range(2))
        self.head = nn.Sequential(nn.Linear(2 * width, 4 * width), nn.GELU(), nn.Linear(4 * width, latent))

    def forward(self, d: Tensor) -> Tensor:
        """Return the latents (N, latent), the same for every first point and both directions."""
        both = ring.lags(torch.cat([d, d.flip(1, 2)]))
        x = gelu(self.first(both[:, :, 1 : self.lags + 1].transpose(1, 2)))
        for layer in self.rest:
            x = x + gelu(layer(x))
        pooled = torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)
        latents: Tensor = self.head(pooled.reshape(2, len(d), -1).mean(dim=0))
        return latents


class Residual(nn.Module):
    """A small ResNet on the square matrix, each block half as wide and high as the one before."""

    def __init__(self, points: int, latent: int, width: int) -> None:
        super().__init__()
        filters = [1, width // 4, width // 2, width]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(filters))
        self.same = nn.ModuleList(nn.Conv2d(b, b, 3, padding=1) for b in filters[1:])
        self.head = nn.Linear(width * (points // STEP) ** 2, latent)

    def forward(self, d: Tensor) -> Tensor:
        """Return the latents (N, latent)."""
        x = d.unsqueeze(1)
        for down, same in zip(self.down, self.same, strict=True):
            x = gelu(down(x))
            x = x + gelu(same(x))
        latents: Tensor = self.head(x.flatten(1))
        return latents


class Decoder(nn.Module):
    """From a latent to a ring of points, doubled and convolved three times; the last features are the n distances."""

    def __init__(self, points: int, latent: int, width: int) -> None:
        super().__init__()
        self.first = 8 * width
        dense = nn.Linear(2 * width, self.first * points // STEP)
        self.dense = nn.Sequential(nn.Linear(latent, 2 * width), nn.GELU(), dense, nn.GELU())
        self.up = nn.ModuleList(_convolution(a, b) for a, b in pairwise([self.first, 2 * width, width, width]))
        self.last = nn.Conv1d(width, points, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Return matrices (N, n, n)."""
        x = self.dense(z).reshape(len(z), self.first, -1)
        for layer in self.up:
            x = gelu(layer(interpolate(x, scale_factor=2, mode="linear")))
        return ring.unlag(self.last(x).transpose(1, 2))


def _convolution(before: int, after: int) -> nn.Conv1d:
    """Return a convolution along a closed line that keeps its length."""
    return nn.Conv1d(before, after, 5, padding=2, padding_mode="circular")
