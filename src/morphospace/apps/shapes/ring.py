"""A contour has no first point: distance matrices (N, n, n) from every first point and in both directions (002-16)."""

import torch
from torch import Tensor


def lags(d: Tensor) -> Tensor:
    """Return l_is = d_i,(i + s) mod n, (N, n, n): another first point then shifts the axis i alone."""
    n = d.shape[1]
    index = torch.arange(n, device=d.device)
    return d.gather(2, ((index[:, None] + index[None, :]) % n).expand_as(d))


def unlag(lagged: Tensor) -> Tensor:
    """Return the matrices (N, n, n) of their lags: the inverse of `lags`."""
    n = lagged.shape[1]
    index = torch.arange(n, device=lagged.device)
    return lagged.gather(2, ((index[None, :] - index[:, None]) % n).expand_as(lagged))


def reindex(d: Tensor, shift: Tensor, backward: Tensor) -> Tensor:
    """Return each matrix from another first point: both axes roll by its `shift` (N,), after reversal if `backward`."""
    n = d.shape[1]
    turned = torch.where(backward[:, None, None], d.flip(1, 2), d)
    rows = (torch.arange(n, device=d.device)[None] - shift[:, None]) % n
    return turned.gather(1, rows[:, :, None].expand_as(d)).gather(2, rows[:, None, :].expand_as(d))


def drawn_index(d: Tensor, generator: torch.Generator) -> Tensor:
    """Return each matrix from a first point and in a direction drawn at random: one of the 2n of its shape."""
    choice = torch.randint(2 * d.shape[1], (len(d),), generator=generator).to(d.device)
    return reindex(d, choice % d.shape[1], choice >= d.shape[1])


def nearest_index(d: Tensor, to: Tensor) -> Tensor:
    """Return each matrix `d` from that first point, and in that direction, which is nearest to its partner in `to`.

    All 2n choices are compared at once: with l the lags of a matrix, the squared error at shift k is
    ‖to‖² + ‖d‖² - 2 Σ_is l_to(i, s) l_d(i - k, s), a circular correlation along i, done by a Fourier transform.
    """
    n = d.shape[1]
    wanted = torch.fft.rfft(lags(to), dim=1)
    both = [torch.fft.rfft(lags(turned), dim=1) for turned in (d, d.flip(1, 2))]
    scores = [torch.fft.irfft((wanted * of.conj()).sum(2), n) for of in both]
    best = torch.cat(scores, dim=1).argmax(dim=1)
    return reindex(d, best % n, best >= n)
