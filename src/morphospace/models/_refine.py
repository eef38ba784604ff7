"""Latent points moved to where a decoder draws their tiles better: an encoder is a guess (Cremer et al. 2018)."""

from collections.abc import Callable

import torch
from torch import Tensor

DAMPING, EASIER, HARDER = 1e-3, 0.3, 10.0  # of Levenberg and Marquardt: at first, after a success, after a failure
_TINY = 1e-30
_APART = 1e-2  # of two points between which a slope is taken, in standard deviations of N(0, 1)


def nearest(decode: Callable[[Tensor], Tensor], x: Tensor, z: Tensor, steps: int) -> Tensor:
    """Return latent points (N, d) near `z` whose tiles are nearer to `x` in squared error.

    Steps of Levenberg and Marquardt, with slopes from finite differences: each draws `d` tiles for every tile, which is
    minutes for some hundred cells and a convolutional decoder.

    Parameters
    ----------
    decode
        From latent points (n, d) to tiles (n, C, H, W); any decoder in evaluation mode.
    x
        Tiles (N, C, H, W).
    z
        Where to begin, (N, d).
    steps
        How many.
    """
    return torch.stack([_one(decode, tile.flatten(), at, steps) for tile, at in zip(x, z, strict=True)])


@torch.no_grad()
def _one(decode: Callable[[Tensor], Tensor], wanted: Tensor, z: Tensor, steps: int) -> Tensor:
    """Return the latent point (d,) near `z` whose tile is nearer to the one that is wanted, both flat."""
    damping, missed = DAMPING, wanted - decode(z[None]).flatten()
    for _ in range(steps):
        moved = decode(z + _APART * torch.eye(len(z), dtype=z.dtype, device=z.device)).flatten(1)
        slopes = (moved - (wanted - missed)) / _APART
        curvature = slopes @ slopes.T
        damped = curvature + damping * torch.diag(curvature.diagonal() + 1e-12)
        trial = z + torch.cholesky_solve((slopes @ missed)[:, None], torch.linalg.cholesky_ex(damped).L)[:, 0]
        now = wanted - decode(trial[None]).flatten()
        if now.square().sum() < missed.square().sum():
            z, missed, damping = trial, now, damping * EASIER
        else:
            damping *= HARDER
    return z


def conjugate(curved: Callable[[Tensor], Tensor], descent: Tensor, near: Tensor, steps: int) -> Tensor:
    """Return about the solutions (N, d) of N linear systems by conjugate gradients (Hestenes and Stiefel 1952).

    Parameters
    ----------
    curved
        The symmetric positive matrices as a function of vectors (N, d).
    descent
        Right-hand sides, (N, d).
    near
        Lower triangular roots of matrices like these, (N, d, d), to begin with: where they are the same, one step is
        enough.
    steps
        How many.
    """

    def guess(rest: Tensor) -> Tensor:
        return torch.cholesky_solve(rest[:, :, None], near)[:, :, 0]

    solution, rest = torch.zeros_like(descent), descent
    along = first = guess(rest)
    size = (rest * first).sum(dim=1, keepdim=True)
    for _ in range(steps):
        bent = curved(along)
        length = size / (along * bent).sum(dim=1, keepdim=True).clamp_min(_TINY)
        solution, rest = solution + length * along, rest - length * bent
        better = guess(rest)
        now = (rest * better).sum(dim=1, keepdim=True)
        along, size = better + now / size.clamp_min(_TINY) * along, now
    return solution


def rows(slopes: Tensor, codes: Tensor) -> Tensor:
    """Return the products of slopes (N, d, K) and codes (N, K): (N, d)."""
    return (slopes @ codes[:, :, None])[:, :, 0]


def columns(slopes: Tensor, z: Tensor) -> Tensor:
    """Return the products of slopes (N, d, K), transposed, and latent points (N, d): (N, K)."""
    return (z[:, None] @ slopes)[:, 0]
