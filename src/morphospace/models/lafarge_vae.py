"""A VAE that must also agree with its input in the eyes of a discriminator: VAE+ of Lafarge et al. 2019.

"Capturing Single-Cell Phenotypic Variation via Unsupervised Representation Learning", PMLR 102, 315-325. What its
abstract says is kept: a VAE whose reconstruction is held to the input by an "adversarial-driven similarity constraint",
and "a progressive training procedure". As its public re-implementations have it: the constraint is the squared distance
between the activations of input and reconstruction in every hidden layer of a discriminator that is trained at the same
time to tell the two apart by cross-entropy; the layers begin to count one after the other, layer i with the weight
min(1, max(0, t / T - i)) at time t. Chosen here: encoder and decoder are those of `conv_vae`, so that the two differ
in nothing but the constraint; the discriminator's four layers are those of `_blocks`, without batch normalisation; i
counts from 1, so that in the first T a plain VAE and its discriminator begin to learn; the distances are scaled
(`distances`).
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from morphospace.models._base import VAE, Latent, Output, Plan, VAEOptions, bounded, sample
from morphospace.models._blocks import encoder, initialise, require_divisible
from morphospace.models._convnet import THESIS, flat, upwards

_JUDGED = (32, 64, 64, 64)  # filters of the discriminator
_EVEN = 1e-8  # variance below which activations are all alike


class Options(VAEOptions):
    """What ``params.yaml`` may say of this model.

    `feature_weight` is to the activations what R is to the pixels; `ramp` is how many epochs each layer of the
    discriminator takes to count in full, and how long the first of them waits.

    On 552 real cells, 64 px, R = 50,000, the features cost 397 beside 496 of the pixels after 8 epochs (128 steps). By
    then nothing is gained: the validation MSE is 0.0116 (`conv_vae`: 0.0109), and neighbouring pixels of its drawings
    differ with 4.6 times the variance of the cells' (`conv_vae`: 0.87), which is a pattern that the cells do not have.
    """

    feature_weight: Annotated[float, Field(gt=0, le=1e9)] = 50_000.0
    ramp: Annotated[float, Field(gt=0, le=10_000)] = 1.0


class Discriminator(nn.Module):
    """Tells tiles from reconstructions: four convolutions of stride 2, their mean over the map, one number."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = encoder(channels, _JUDGED, batch_norm=False, dropout=0.0)
        self.head = nn.Linear(_JUDGED[-1], 1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the log-odds that tiles (N, C, H, W) are real, (N,), and the activations of each hidden layer."""
        hidden = []
        for layer in self.layers:
            x = layer(x)
            hidden.append(x)
        return self.head(x.mean(dim=(2, 3))).squeeze(1), hidden


class LafargeVAE(VAE):
    """The VAE of the thesis with a discriminator beside it; each is trained by terms of its own."""

    def __init__(
        self,
        channels: int,
        size: int,
        z_dim: int,
        output_activation: str,
        max_logvar: float,
        feature_weight: float,
        ramp: float,
    ) -> None:
        super().__init__()
        self.max_logvar, self.feature_weight, self.ramp = max_logvar, feature_weight, ramp
        self._time = 0.0  # epochs passed, told before each step
        self.encoder = nn.Sequential(*encoder(channels, THESIS, False, 0.0), nn.Flatten())
        self.mean = nn.Linear(flat(size, THESIS), z_dim)
        self.logvar = nn.Linear(flat(size, THESIS), z_dim)
        self.decoder = upwards(channels, size, z_dim, THESIS, output_activation, False, 0.0)
        self.discriminator = Discriminator(channels)
        initialise(self)

    def encode(self, x: Tensor) -> Latent:
        """Return the posterior of tiles (N, C, H, W) in [0, 1]; its log-variance lies within ±max_logvar."""
        features = self.encoder(x)
        return Latent(self.mean(features), bounded(self.logvar(features), self.max_logvar))

    def decode(self, z: Tensor) -> Tensor:
        """Return the tiles (N, C, H, W) of latent points (N, z_dim)."""
        drawn: Tensor = self.decoder(z)
        return drawn

    def require(self, plan: Plan) -> None:
        """Refuse a training that ends before the last layer of the discriminator counts in full.

        Raises
        ------
        TrainingError
            With the epochs, the patience and the ramp that would do.
        """
        steps = len(_JUDGED) + 1
        plan.require_epochs(
            math.ceil(steps * self.ramp),
            f"lafarge_vae counts all {len(_JUDGED)} layers of its discriminator (ramp {self.ramp:g})",
            f"lafarge_vae.ramp to {plan.certain / steps:g} or less",
        )

    def advance(self, epoch: int, share: float) -> None:
        """Note the time: it decides which layers of the discriminator count."""
        self._time = epoch + share

    def weights(self) -> list[float]:
        """Return how much each hidden layer of the discriminator counts now, from 0 to 1, the first layer first."""
        return [min(1.0, max(0.0, self._time / self.ramp - i)) for i in range(1, len(_JUDGED) + 1)]

    def forward(self, x: Tensor) -> Output:
        """Return reconstruction and posterior; in training also the terms of both trainings, in evaluation none.

        `discriminator` is the cross-entropy of real and reconstructed tiles, and has no slope for encoder and decoder;
        `features` is the weighted distance of activations, and has none for the discriminator. `told_apart` is the
        share of tiles that the discriminator judges right: 0.5 is a guess.
        """
        latent = self.encode(x)
        if not self.training:
            return Output(self.decode(latent.mean), latent)
        drawn = self.decode(sample(latent))
        odds, hidden = self.discriminator(torch.cat([x, drawn.detach()]))
        real = torch.arange(len(odds), device=x.device) < len(x)
        terms = {
            "discriminator": functional.binary_cross_entropy_with_logits(odds, real.to(odds.dtype)),
            "features": self._features(x, drawn, [h[: len(x)].detach() for h in hidden]),
        }
        told_apart = ((odds.detach() > 0) == real).float().mean()
        return Output(drawn, latent, terms=terms, logs={"told_apart": told_apart})

    def _features(self, x: Tensor, drawn: Tensor, wanted: list[Tensor]) -> Tensor:
        """Return what the reconstruction pays for other activations than those of the input; 0 before they count."""
        weights = self.weights()
        if not any(weights):
            return x.new_zeros(())
        fixed = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        _, found = functional_call(self.discriminator, fixed, (drawn,))
        far = distances(x, wanted, found)
        return self.feature_weight / len(far) * sum((w * d for w, d in zip(weights, far, strict=True)), x.new_zeros(()))


def distances(x: Tensor, wanted: list[Tensor], found: list[Tensor]) -> list[Tensor]:
    """Return the mean squared distance of each layer's activations, as if they varied as the pixels do.

    Each is divided by the variance of the wanted activations and multiplied by that of the pixels. So it is as large as
    the mean squared error of a reconstruction that is as wrong in the pixels, whatever the layer, however far the
    discriminator is; and the weight of their mean is on the scale of R.

    Parameters
    ----------
    x
        Tiles (N, C, H, W).
    wanted, found
        Activations of each layer for the tiles and for their reconstructions, (N, filters, h, w) each.
    """
    pixels = x.float().var(correction=0)
    pairs = ((a.float(), b.float()) for a, b in zip(wanted, found, strict=True))
    return [(a - b).square().mean() * pixels / a.var(correction=0).clamp_min(_EVEN) for a, b in pairs]


def build(
    channels: int,
    size: int,
    z_dim: int,
    *,
    output_activation: Literal["linear", "sigmoid"] = "linear",
    max_logvar: float = 10.0,
    feature_weight: float = 50_000.0,
    ramp: float = 1.0,
) -> LafargeVAE:
    """Return the model, its weights drawn from torch's generator.

    Parameters
    ----------
    channels
        Planes of a tile.
    size
        Side of a tile, px, a multiple of 16.
    z_dim
        Latent dimensions.
    output_activation, max_logvar
        As of `conv_vae.build`.
    feature_weight
        Weight of the mean over layers of `distances`: balanced with the pixels when it is R.
    ramp
        Epochs that each layer takes to count in full; layer i of four begins after i times as many.

    Raises
    ------
    TrainingError
        When 16 does not divide `size`.
    """
    require_divisible(size, 2 ** len(_JUDGED), "lafarge_vae")
    model = LafargeVAE(channels, size, z_dim, output_activation, max_logvar, feature_weight, ramp)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
