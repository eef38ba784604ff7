"""The convolutional VAE of the thesis, layer by layer (000-20 to 000-24), for any channels and sides that 8 divides."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from morphospace.models._base import VAE, Latent, VAEOptions, bounded
from morphospace.models._blocks import encoder, initialise, require_divisible
from morphospace.models._convnet import THESIS, flat, upwards


class Options(VAEOptions):
    """What ``params.yaml`` may say of this model.

    Batch normalisation and dropout are as optional as in the thesis, and off by default: on 1,198 real cells, 64 px,
    R = 10,000, the validation loss after 12 epochs (420 steps) is 72 without both and 194 with both. `refine`: steps
    that a latent point gets after the encoder, each as dear as drawing `z_dim` tiles.
    """

    batch_norm: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    refine: Annotated[int, Field(ge=0, le=100)] = 0


class ConvVAE(VAE):
    """Three convolutions down to a normal posterior, three transposed ones up and one to the channels."""

    def __init__(
        self,
        channels: int,
        size: int,
        z_dim: int,
        output_activation: str,
        batch_norm: bool,
        dropout: float,
        max_logvar: float,
    ) -> None:
        super().__init__()
        self.max_logvar = max_logvar
        self.encoder = nn.Sequential(*encoder(channels, THESIS, batch_norm, dropout), nn.Flatten())
        self.mean = nn.Linear(flat(size, THESIS), z_dim)
        self.logvar = nn.Linear(flat(size, THESIS), z_dim)
        self.decoder = upwards(channels, size, z_dim, THESIS, output_activation, batch_norm, dropout)
        initialise(self)

    def encode(self, x: Tensor) -> Latent:
        """Return the posterior of tiles (N, C, H, W) in [0, 1]; its log-variance lies within ±max_logvar."""
        features = self.encoder(x)
        return Latent(self.mean(features), bounded(self.logvar(features), self.max_logvar))

    def decode(self, z: Tensor) -> Tensor:
        """Return the tiles (N, C, H, W) of latent points (N, z_dim)."""
        drawn: Tensor = self.decoder(z)
        return drawn


def build(
    channels: int,
    size: int,
    z_dim: int,
    *,
    output_activation: Literal["linear", "sigmoid"] = "linear",
    batch_norm: bool = False,
    dropout: float = 0.0,
    max_logvar: float = 10.0,
    refine: int = 0,
) -> ConvVAE:
    """Return the model, its weights drawn from torch's generator.

    Parameters
    ----------
    channels
        Planes of a tile.
    size
        Side of a tile, px, a multiple of 8; the thesis's is 128.
    z_dim
        Latent dimensions.
    output_activation
        `linear` (models A, B and C of the thesis) or `sigmoid` (its model 3) (000-22).
    batch_norm
        Whether each hidden convolution is followed by batch normalisation.
    dropout
        Share of the values dropped after each hidden convolution; 0 for none.
    max_logvar
        Bound on the absolute log-variance (`bounded`).
    refine
        Steps that a latent point gets after the encoder (`_refine`).

    Raises
    ------
    TrainingError
        When 8 does not divide `size`.
    """
    require_divisible(size, 2 ** len(THESIS), "conv_vae")
    model = ConvVAE(channels, size, z_dim, output_activation, batch_norm, dropout, max_logvar)
    model.refinements = refine
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
