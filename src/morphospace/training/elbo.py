"""The loss of the thesis and its schedules: pure functions of tensors and of the epoch, which counts from 0."""

from typing import Literal, NamedTuple

from torch import Tensor


class Loss(NamedTuple):
    """Means over the minibatch: `loss` = `reconstruction` + beta x `kl`; `reconstruction` holds the factor R."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


def elbo(
    x: Tensor, reconstruction: Tensor, mean: Tensor, logvar: Tensor, r_loss_factor: float, beta: float = 1.0
) -> Loss:
    """Return R x mean squared error + beta x KL(q(z|x) || N(0, 1)), averaged over the minibatch (000-24).

    Parameters
    ----------
    x, reconstruction
        Tiles (N, C, H, W). The squared error is averaged over C, H and W: the thesis's code, not its text (a sum).
    mean, logvar
        The posterior (N, z_dim); its divergence is summed over the latent dimensions, in nats.
    r_loss_factor
        R. With H x W x C / 2 the loss is, up to a constant, the negative evidence bound of unit-variance normal pixels.
    beta
        Weight of the divergence.
    """
    error = (x.float() - reconstruction.float()).square().flatten(1).mean(dim=1)
    divergence = kl_per_dimension(mean, logvar).sum(dim=1)
    reconstructed, kl = r_loss_factor * error.mean(), divergence.mean()
    return Loss(reconstructed + beta * kl, reconstructed, kl)


def kl_per_dimension(mean: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mean, exp(logvar)) || N(0, 1)) of every image and dimension, (N, z_dim), in nats, in float32."""
    mean, logvar = mean.float(), logvar.float()
    return -0.5 * (1 + logvar - mean.square() - logvar.exp())


def resolve_r(r_loss_factor: float | Literal["elbo"], channels: int, size: int) -> float:
    """Return R as a number: `elbo` means size x size x channels / 2, as of a unit-variance normal likelihood."""
    return size * size * channels / 2 if r_loss_factor == "elbo" else float(r_loss_factor)


def kl_weight(epoch: int, warmup: int, beta: float) -> float:
    """Return the weight of the KL term in an epoch: it rises from beta / warmup in the first to beta at epoch `warmup`.

    A warm-up of 0 epochs is beta throughout.
    """
    return beta * min(1.0, (epoch + 1) / warmup) if warmup else beta


def learning_rate(epoch: int, base: float, decay: float, step: int) -> float:
    """Return base x decay^floor(epoch / step) (000-25); a decay of 1 is constant."""
    return float(base * decay ** (epoch // step))
