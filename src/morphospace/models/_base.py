"""What every model is to the rest: it encodes; most of them decode; training asks it for an `Output`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from morphospace.errors import TrainingError
from morphospace.models import _refine
from morphospace.options import Options

STEP_VARIANCE = 1 / (12 * 255**2)  # of rounding a pixel to 8 bits: none is known better
MaxLogvar = Annotated[float, Field(gt=0, le=40)]


class VAEOptions(Options):
    """What ``params.yaml`` may say of every variational autoencoder.

    `output_activation` is `linear` (models A, B and C of the thesis) or `sigmoid` (its model 3) (000-22); `max_logvar`
    bounds the absolute log-variance, so that its exponential cannot overflow (000-29).
    """

    output_activation: Literal["linear", "sigmoid"] = "linear"
    max_logvar: MaxLogvar = 10.0


class Latent(NamedTuple):
    """Where images lie: `mean` (N, z_dim), and the `logvar` of the posterior, or None for a model that has none."""

    mean: Tensor
    logvar: Tensor | None


@dataclass(frozen=True)
class Output:
    """What a model says of its input, (N, C, H, W).

    Attributes
    ----------
    reconstruction
        Of `target`, or None when the model draws nothing.
    latent
        What the images went through.
    target
        What is to be reconstructed; None is the input itself.
    weight
        Weight of each pixel in the reconstruction's error, broadcast to it; None weighs all alike.
    terms
        Further parts of the loss by name, means over the minibatch, added as they are.
    logs
        What is only to be logged, by name.
    """

    reconstruction: Tensor | None
    latent: Latent
    target: Tensor | None = None
    weight: Tensor | None = None
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    logs: Mapping[str, Tensor] = field(default_factory=dict)


class Plan(NamedTuple):
    """A training as a model is told of it before it begins.

    Attributes
    ----------
    images
        Training tiles.
    epochs
        Epochs at most.
    patience
        Epochs without a better validation loss that end it; 0: none do.
    """

    images: int
    epochs: int
    patience: int = 0

    @property
    def certain(self) -> int:
        """Epochs that are trained whatever the losses are."""
        return min(self.epochs, 1 + self.patience) if self.patience else self.epochs

    def require_epochs(self, needed: int, what: str, cure: str = "") -> None:
        """Refuse a training that ends, or that its patience may end, before a schedule does.

        Parameters
        ----------
        needed
            Epochs that the schedule takes.
        what
            What it does in them, as in "progressive_vae grows to 64 px".
        cure
            What else may be set to do with the epochs that are certain.

        Raises
        ------
        TrainingError
            With the numbers that would do.
        """
        also = f", or {cure}" if cure else ""
        if self.epochs < needed:
            raise TrainingError(
                f"{what} in {needed} epochs, train.epochs is {self.epochs}: set it to at least {needed}{also}"
            )
        if self.certain < needed:
            raise TrainingError(
                f"{what} in {needed} epochs, and train.patience {self.patience} may stop it after epoch "
                f"{self.certain}: set it to 0, or to at least {needed - 1}{also}"
            )


class Shown(NamedTuple):
    """What a model may look at before its first step, in minibatches (n, C, H, W).

    Attributes
    ----------
    tiles
        Returns all training tiles, each once, as they are; may be called again.
    views
        Tiles as training sees them, augmented, without end.
    """

    tiles: Callable[[], Iterator[Tensor]]
    views: Iterator[Tensor]


class Group(NamedTuple):
    """Parameters that learn alike: factors on the learning rate and on the weight decay."""

    parameters: Sequence[nn.Parameter]
    rate: float = 1.0
    decay: float = 1.0


class Masked(NamedTuple):
    """Tiles as a model that hides a part of them sees them, `seen`, and with the hidden part as it is `drawn`."""

    seen: Tensor
    drawn: Tensor


class Model(nn.Module):
    """A model of tiles (N, C, H, W) in [0, 1].

    All chance comes from torch's generator, and there is none in evaluation mode. A model says what it cannot do by
    the attributes below.

    Attributes
    ----------
    decodes
        Whether `decode` makes tiles of latent points.
    reconstructs
        Whether `reconstruct` makes tiles of tiles.
    pairs
        Whether it is trained on labelled pairs: minibatches of an anchor of every class, then a positive of each
        (004-11).
    remembers
        Whether it learns from copies of the training tiles that it makes in `prepare`: it is asked to `recall` them.
    refinements
        Steps by which `locate` moves the latent points that the encoder finds; they cost time, and training has none.
    """

    decodes = True
    reconstructs = True
    pairs = False
    remembers = False
    refinements = 0

    def encode(self, x: Tensor) -> Latent:
        """Return where tiles lie in the latent space, by the encoder alone."""
        raise NotImplementedError

    def refined(self, x: Tensor, latent: Latent) -> Latent:
        """Return latent points of tiles, moved by `refinements` steps to where they are drawn better."""
        raise NotImplementedError

    def locate(self, x: Tensor) -> Latent:
        """Return where tiles lie in the latent space: encoded, then refined if this model does."""
        latent = self.encode(x)
        return self.refined(x, latent) if self.refinements else latent

    def decode(self, z: Tensor) -> Tensor:
        """Return the tiles (N, C, H, W) of latent points (N, z_dim)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Output:
        """Return what training needs."""
        raise NotImplementedError

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the tiles as the model draws them, (N, C, H, W)."""
        return self.decode(self.locate(x).mean)

    def masked(self, x: Tensor) -> Masked | None:
        """Return tiles with a part hidden, and that part as the model draws it; None if the model hides nothing."""
        return None

    def require(self, plan: Plan) -> None:
        """Refuse, with a TrainingError, a training that cannot work: too few tiles, a schedule that would not end."""

    def copies(self, images: int) -> int:
        """Return how many tiles an epoch has when there are so many to train on."""
        return images

    def prepare(self, shown: Shown) -> None:
        """Look at the training tiles before the first step; one that remembers does so again on resuming."""

    def recall(self, rows: Tensor) -> Output:
        """Return what training needs of its copies (n,), numbered from 0."""
        raise NotImplementedError

    def groups(self) -> list[Group]:
        """Return all parameters by how fast they learn."""
        return [Group(list(self.parameters()))]

    def advance(self, epoch: int, share: float) -> None:
        """Be told, before each training step, of the epoch (from 0) and how much of it has passed, [0, 1)."""


class VAE(Model):
    """A variational autoencoder: in training, what is decoded is a sample of the posterior; else it is its mean."""

    def forward(self, x: Tensor) -> Output:
        """Return the reconstruction of tiles and their posterior."""
        latent = self.encode(x)
        return Output(self.decode(sample(latent) if self.training else latent.mean), latent)

    def refined(self, x: Tensor, latent: Latent) -> Latent:
        """Return latent points that draw their tiles better, and the log-variance that the encoder had for them."""
        return Latent(_refine.nearest(self.decode, x, latent.mean, self.refinements), latent.logvar)


class Autoencoder(Model):
    """An autoencoder without a posterior: what is decoded is what was encoded."""

    def forward(self, x: Tensor) -> Output:
        """Return the reconstruction of tiles and where they lie."""
        latent = self.encode(x)
        return Output(self.decode(latent.mean), latent)


def sample(latent: Latent) -> Tensor:
    """Return z = mean + exp(logvar / 2) * noise, (N, z_dim), with noise of torch's generator."""
    if latent.logvar is None:
        return latent.mean
    return latent.mean + torch.exp(0.5 * latent.logvar) * torch.randn_like(latent.mean)


def bounded(raw: Tensor, limit: float) -> Tensor:
    """Return ``limit * tanh(raw / limit)``: within ±limit, with a slope everywhere, and `raw` itself near 0.

    Where the thesis's loss became NaN (000-29), exp of an unbounded log-variance is the likely cause. At limit 10 the
    value changes by less than 0.4 % for |raw| < 1 and 3.3 % at 3.2; a hard clamp would end the gradient at the limit.
    """
    return limit * torch.tanh(raw / limit)
