"""Convolutions that mend a small picture from its neighbourhood: what makes an outline sharp is local."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from morphospace.models import _views

_KERNEL = 3


class Active(NamedTuple):
    """Where the two hidden layers are above 0, (N, width, grid, grid) each."""

    first: Tensor
    middle: Tensor


class Mend(nn.Module):
    """What three convolutions add to the picture that low cosine frequencies make.

    They see it in patches, a grid of them (Shi et al. 2016): so a kernel reaches far, whatever the size of the tile,
    and products are of larger matrices. Without biases they follow brightness: f(a x) = a f(x) for a > 0.

    Parameters
    ----------
    channels
        Of a tile.
    band
        Frequencies along each side.
    grid
        Patches along each side, about; at most `band`.
    width
        Channels of the hidden convolutions.
    start
        Factor on the last weights: at first next to nothing is added.
    """

    table: Tensor

    def __init__(self, channels: int, band: int, grid: int, width: int, start: float) -> None:
        super().__init__()
        self.patch = max(1, round(band / grid))
        deep = channels * self.patch**2
        self.first, self.middle, self.last = (
            _convolution(deep, width),
            _convolution(width, width),
            _convolution(width, deep),
        )
        with torch.no_grad():
            self.last.weight.mul_(start)
        side = self.patch * math.ceil(band / self.patch)
        self.register_buffer("table", _views.cosines(side, band))

    def forward(self, coefficients: Tensor) -> Tensor:
        """Return what is added to the cosine coefficients (N, C, band, band) of tiles."""
        first = functional.relu(self.first(self._patches(coefficients)))
        return self._coefficients(self.last(functional.relu(self.middle(first))))

    def active(self, coefficients: Tensor) -> Active:
        """Return which hidden units are above 0: with these, what is added is linear."""
        first = self.first(self._patches(coefficients))
        return Active(first > 0, self.middle(functional.relu(first)) > 0)

    def pushed(self, tangent: Tensor, active: Active) -> Tensor:
        """Return the derivative along coefficients (N, C, band, band) of what is added where these units are active."""
        first = self.first(self._patches(tangent)) * active.first
        return self._coefficients(self.last(self.middle(first) * active.middle))

    def pulled(self, gradient: Tensor, active: Active) -> Tensor:
        """Return the transpose of `pushed`: a gradient by what is added as one by the coefficients."""
        middle = _back(self.last, self._patches(gradient)) * active.middle
        return self._coefficients(_back(self.first, _back(self.middle, middle) * active.first))

    def _patches(self, coefficients: Tensor) -> Tensor:
        picture = self.table.T @ coefficients @ self.table
        patches = functional.pixel_unshuffle(picture, self.patch)
        return patches.contiguous(memory_format=torch.channels_last)  # twice as fast on a processor

    def _coefficients(self, patches: Tensor) -> Tensor:
        picture = functional.pixel_shuffle(patches, self.patch)
        return self.table @ picture @ self.table.T


def _convolution(into: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(into, out, _KERNEL, padding=_KERNEL // 2, bias=False)


def _back(layer: nn.Conv2d, gradient: Tensor) -> Tensor:
    return functional.conv_transpose2d(gradient, layer.weight, padding=_KERNEL // 2)
