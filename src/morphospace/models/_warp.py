"""Tiles turned by any angle, moved and scaled, by bilinear interpolation; beyond the edge they are reflected."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def warped(tiles: Tensor, rotation: float, shift: float, scale: float, chance: torch.Generator) -> Tensor:
    """Return tiles (N, C, H, H), each turned, moved and scaled at random.

    Parameters
    ----------
    tiles
        Any floating type.
    rotation
        Degrees, at most, either way.
    shift
        Of the side, at most, along each axis.
    scale
        Factor, at most; as often its inverse.
    chance
        Where the numbers come from, on the host, so that they are the same on every device.
    """

    def uniform(*shape: int) -> Tensor:
        return (2 * torch.rand(*shape, generator=chance) - 1).to(tiles)

    n = len(tiles)
    angle = uniform(n) * math.radians(rotation)
    grow = torch.exp(-uniform(n) * math.log(scale))
    cos, sin = torch.cos(angle) * grow, torch.sin(angle) * grow
    move = uniform(n, 2) * 2 * shift
    rows = [torch.stack([cos, -sin, move[:, 0]], dim=1), torch.stack([sin, cos, move[:, 1]], dim=1)]
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(tiles.shape), align_corners=False)
    return functional.grid_sample(tiles, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
