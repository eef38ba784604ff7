"""The parts of the evidence bound and their schedules: pure functions of tensors and of the epoch, from 0."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from morphospace.models._base import STEP_VARIANCE

Likelihood = Literal["gaussian", "gaussian_learned", "bernoulli", "l1", "ssim"]
_WINDOW = 7  # px, of SSIM
_SSIM_SHARE = 0.84  # of SSIM beside L1 (Zhao et al. 2017)


def distortion(
    target: Tensor, drawn: Tensor, likelihood: Likelihood = "gaussian", weight: Tensor | None = None
) -> Tensor:
    """Return how far each image is from its target, (N,): twice the mean negative log-likelihood of a pixel.

    Up to constants, so that H x W x C / 2 times this is the negative log-likelihood of the image (`resolve_r`).

    Parameters
    ----------
    target, drawn
        Tiles (N, C, H, W); `target` lies in [0, 1].
    likelihood
        `gaussian`: unit variance, the mean squared error (000-24) | `gaussian_learned`: the variance of each image is
        the best one, log of the mean squared error (Rybkin et al. 2021, sigma-VAE), no less than that of rounding to
        8 bits | `bernoulli`: twice the cross-entropy of `drawn` in [0, 1] | `l1`: unit-scale Laplace, twice the mean
        absolute error | `ssim`: 0.84 x (1 - SSIM) + 0.16 x mean absolute error (Zhao et al. 2017), no likelihood.
    weight
        Of each pixel in its image's mean, broadcast to (N, C, H, W); None is the plain mean.
    """
    target, drawn = target.float(), drawn.float()
    if likelihood == "bernoulli":
        return 2 * _mean(functional.binary_cross_entropy(drawn.clamp(1e-6, 1 - 1e-6), target, reduction="none"), weight)
    if likelihood == "l1":
        return 2 * _mean((target - drawn).abs(), weight)
    if likelihood == "ssim":
        absolute, unlike = (target - drawn).abs(), 1 - ssim(target, drawn)
        return _mean(_SSIM_SHARE * unlike + (1 - _SSIM_SHARE) * absolute, weight)
    squared = _mean((target - drawn).square(), weight)
    return squared if likelihood == "gaussian" else squared.clamp_min(STEP_VARIANCE).log()


def foreground(target: Tensor, background: float) -> Tensor | None:
    """Return the weight of each pixel, (N, 1, H, W): `background` where all channels are 0, else 1.

    A crop is 0 outside its cell, which is most of a tile: with 1 the error is mostly that of black, with 0 only the
    cell counts. None stands for 1 everywhere.
    """
    if background == 1:
        return None
    outside = (target == 0).all(dim=1, keepdim=True)
    return torch.where(outside, background, 1.0)


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the structural similarity of each pixel of tiles in [0, 1], (N, C, H, W) (Wang et al. 2004).

    Uniform windows of 7 px and unbiased covariances, as scikit-image's default; beyond the border lies nothing.
    """

    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, _WINDOW, stride=1, padding=_WINDOW // 2, count_include_pad=False)

    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = (mean(a * a) - mean_a**2) * unbiased, (mean(b * b) - mean_b**2) * unbiased
    covariance = (mean(a * b) - mean_a * mean_b) * unbiased
    c1, c2 = 0.01**2, 0.03**2
    over = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return over / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))


def kl_per_dimension(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mean, exp(logvar)) || N(0, 1)) of every image and dimension, (N, z_dim), in nats, in float32."""
    mean, logvar = mean.float(), logvar.float()
    return -0.5 * (1 + logvar - mean.square() - logvar.exp())


def with_free_bits(divergence: Tensor, free_bits: float) -> Tensor:
    """Return what of a divergence (N, z_dim) counts in the loss, a sum over dimensions of means over images.

    A dimension costs nothing more below `free_bits` nats (Kingma et al. 2016), so that none collapses for saving less.
    """
    return divergence.mean(dim=0).clamp_min(free_bits).sum()


def resolve_r(r_loss_factor: float | Literal["elbo"], channels: int, size: int) -> float:
    """Return R as a number: `elbo` means size x size x channels / 2, which makes a likelihood of the distortion."""
    return size * size * channels / 2 if r_loss_factor == "elbo" else float(r_loss_factor)


def kl_weight(epoch: int, warmup: int, beta: float, period: int = 0) -> float:
    """Return the weight of the KL term in an epoch.

    It rises from beta / warmup in the first to beta at epoch `warmup`, and stays; with a `period` it does so again
    every `period` epochs (cyclic annealing, Fu et al. 2019). A warm-up of 0 epochs is beta throughout.
    """
    within = epoch % period if period else epoch
    return beta * min(1.0, (within + 1) / warmup) if warmup else beta


def learning_rate(epoch: int, base: float, decay: float, step: int) -> float:
    """Return base x decay^floor(epoch / step) (000-25); a decay of 1 is constant."""
    return float(base * decay ** (epoch // step))


def _mean(error: Tensor, weight: Tensor | None) -> Tensor:
    """Return the weighted mean of each image, (N,); 0 where nothing has a weight."""
    if weight is None:
        return error.flatten(1).mean(dim=1)
    weight = weight.expand_as(error)
    total = weight.flatten(1).sum(dim=1)
    return (weight * error).flatten(1).sum(dim=1) / torch.where(total > 0, total, 1.0)
