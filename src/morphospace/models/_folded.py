"""Any number of channels through a model of one: channels become images of the minibatch and are contracted after."""

import itertools

import torch
from torch import Tensor

from morphospace.errors import TrainingError
from morphospace.models._base import Group, Latent, Masked, Model, Output, Plan, Shown


def share(z_dim: int, channels: int) -> int:
    """Return the latent dimensions that each channel gets.

    Raises
    ------
    TrainingError
        When `z_dim` cannot be shared out evenly, naming the nearest that can.
    """
    if z_dim % channels:
        below, above = max(channels, z_dim // channels * channels), -(-z_dim // channels) * channels
        near = f"{below}" if below == above else f"{below} or {above}"
        raise TrainingError(
            f"channel_mode folded shares z_dim out among {channels} channels, which {z_dim} cannot; set z_dim to {near}"
        )
    return z_dim // channels


class Folded(Model):
    """A model of one channel, given every channel of a tile in turn (002-09).

    The latent of a tile is those of its channels side by side, so z_dim stays what it is.

    Parameters
    ----------
    inner
        The model of one channel.
    channels
        Planes of a tile.
    consistency
        Weight of the mean Euclidean distance between the latents of two channels of a cell, over all pairs (002-10).
    """

    def __init__(self, inner: Model, channels: int, consistency: float) -> None:
        super().__init__()
        self.inner = inner
        self.channels = channels
        self.consistency = consistency
        self.decodes, self.reconstructs, self.pairs = inner.decodes, inner.reconstructs, inner.pairs
        self.remembers, self.refinements = inner.remembers, inner.refinements

    def encode(self, x: Tensor) -> Latent:
        """Return the latents of the channels of each tile, side by side."""
        return self._contract(self.inner.encode(_expand(x)))

    def decode(self, z: Tensor) -> Tensor:
        """Return the tiles whose channels are decoded one by one."""
        return self._stack(self.inner.decode(z.reshape(len(z) * self.channels, -1)))

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return the tiles as the model of one channel draws each of them."""
        if self.decodes:
            return super().reconstruct(x)
        return self._stack(self.inner.reconstruct(_expand(x)))

    def forward(self, x: Tensor) -> Output:
        """Return the output of all channels as that of the tiles, with the consistency term."""
        out = self.inner(_expand(x))
        latent, terms = self._contract(out.latent), dict(out.terms)
        if self.consistency and self.channels > 1:
            terms["consistency"] = self.consistency * distance(latent.mean.reshape(len(x), self.channels, -1))
        drawn = (None if t is None else self._stack(t) for t in (out.reconstruction, out.target, out.weight))
        reconstruction, target, weight = drawn
        return Output(reconstruction, latent, target, weight, terms, out.logs)

    def masked(self, x: Tensor) -> Masked | None:
        """Return the tiles whose channels are hidden and drawn one by one."""
        shown = self.inner.masked(_expand(x))
        return shown and Masked(*(self._stack(t) for t in shown))

    def require(self, plan: Plan) -> None:
        """Pass it on: every channel is an image.

        Raises
        ------
        TrainingError
            Also when the channels of a cell are to agree, and the model learns from copies of single channels.
        """
        if self.consistency and self.remembers:
            raise TrainingError(
                "train.consistency compares the channels of a cell, this model learns from copies of each: set it to 0"
            )
        self.inner.require(plan._replace(images=plan.images * self.channels))

    def copies(self, images: int) -> int:
        """Return how many tiles an epoch has; where the model of one channel remembers, single planes."""
        return self.inner.copies(images * self.channels) if self.remembers else images

    def prepare(self, shown: Shown) -> None:
        """Show the planes of the tiles."""
        self.inner.prepare(Shown(lambda: map(_expand, shown.tiles()), map(_expand, shown.views)))

    def recall(self, rows: Tensor) -> Output:
        """Return what training needs of copies of planes: of which cell they were is not known any more."""
        return self.inner.recall(rows)

    def groups(self) -> list[Group]:
        """Pass it on."""
        return self.inner.groups()

    def refined(self, x: Tensor, latent: Latent) -> Latent:
        """Refine the latents of the channels one by one."""
        parts = (None if t is None else t.reshape(len(t) * self.channels, -1) for t in latent)
        return self._contract(self.inner.refined(_expand(x), Latent(*parts)))  # type: ignore[arg-type]

    def advance(self, epoch: int, share: float) -> None:
        """Pass it on."""
        self.inner.advance(epoch, share)

    def _contract(self, latent: Latent) -> Latent:
        parts = (None if t is None else t.reshape(len(t) // self.channels, -1) for t in latent)
        return Latent(*parts)  # type: ignore[arg-type]

    def _stack(self, planes: Tensor) -> Tensor:
        return planes.reshape(len(planes) // self.channels, self.channels, *planes.shape[2:])


def distance(latents: Tensor) -> Tensor:
    """Return the mean Euclidean distance between two channels' latents of one image, from (N, channels, d) (002-10)."""
    pairs = itertools.combinations(range(latents.shape[1]), 2)
    # The root of an exact 0 has no slope; two equal latents are where the term wants to go.
    squares = [(latents[:, a] - latents[:, b]).square().sum(dim=1) for a, b in pairs]
    return torch.stack(squares).clamp_min(1e-12).sqrt().mean()


def _expand(x: Tensor) -> Tensor:
    """Return (N, C, H, W) as (N x C, 1, H, W): the channels of an image stay neighbours."""
    return x.reshape(-1, 1, *x.shape[2:])
