"""What makes a matrix one of distances, as losses (002-15).

All take matrices (N, n, n) of float and return a scalar: the mean over the matrices and over their entries.
"""

import torch
from torch import Tensor
from torch.nn.functional import relu


def diagonal(d: Tensor) -> Tensor:
    """Return the mean of d_ii²: a point is at distance 0 from itself."""
    return d.diagonal(dim1=1, dim2=2).square().mean()


def negative(d: Tensor) -> Tensor:
    """Return the mean of max(0, -d_ij)²: no distance is negative.

    The reference prints max(0, d'_ij - d_ij)², which punishes each distance that is larger than the true one instead.
    """
    return relu(-d).square().mean()


def asymmetry(d: Tensor) -> Tensor:
    """Return the mean of (d_ij - d_ji)²."""
    return (d - d.transpose(1, 2)).square().mean()


def triangle(d: Tensor, over: Tensor | None = None) -> Tensor:
    """Return the mean of max(0, d_ik - d_ij - d_jk) over i, j and k: no way round is shorter than the straight one.

    A *violation* is d_ik - d_ij - d_jk > 0. The printed formula has the other sign, d_ij + d_jk - d_ik, and takes the
    mean before max(0, .): it is positive for every true matrix, and smallest for one of zeros.

    Parameters
    ----------
    d
        Matrices (N, n, n).
    over
        Indices of the points j to go round by; all n of them by default, which needs n³ numbers a matrix.
    """
    points = torch.arange(d.shape[1], device=d.device) if over is None else over
    detour = d[:, :, points].transpose(1, 2).unsqueeze(3) + d[:, points, :].unsqueeze(2)  # (N, j, i, k)
    return relu(d.unsqueeze(1) - detour).mean()
