"""Vector-quantised autoencoder with a codebook of moving averages and a latent grid of any size (002-04, 002-08)."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from morphospace.errors import TrainingError
from morphospace.models._base import Latent, Model, Output, Plan
from morphospace.models._blocks import LEAK, decoder, encoder, initialise, require_divisible
from morphospace.options import Options as BaseOptions

_FILTERS = (32, 64, 128, 128, 128)  # of the encoder, each of stride 2
_DEEP = 64  # channels of the decoder's grid
_GRID = 8  # px of the tile a place of the decoder's grid
_EPSILON = 1e-5  # of Laplace smoothing (002-04)
_DEAD = 0.01  # uses a minibatch, averaged: fewer than one in a hundred minibatches


class Options(BaseOptions):
    """What ``params.yaml`` may say of this model.

    The latent is a grid of `pool` x `pool` vectors of z_dim / pool² values, each cut into parts of `code_width` values
    (0: not cut). Each part is one of `codes` codes, of its own codebook.

    On 1,500 real cells of 32 px, z_dim 75 and pool 1, after 12 epochs (516 steps) at R = 10,000, the mean squared error
    of 496 others is 0.0051 with 25 parts of 16 codes, 0.0101 with one of 64; that of the mean image is 0.0156.
    """

    output_activation: Literal["linear", "sigmoid"] = "linear"
    pool: Annotated[int, Field(ge=1, le=64)] = 1
    codes: Annotated[int, Field(ge=2, le=65_536)] = 16
    code_width: Annotated[int, Field(ge=0, le=8192)] = 3
    commitment: Annotated[float, Field(ge=0, le=100)] = 0.25
    decay: Annotated[float, Field(gt=0, lt=1)] = 0.99


class Codebook(nn.Module):
    """The nearest codes to vectors, and codes that follow the vectors they stand for (van den Oord et al. 2017).

    The first minibatch in training gives the codes their first values. From then on each is a moving average of its
    vectors, over a moving average of their number with Laplace smoothing; evaluation changes nothing. A vector is cut
    into parts of `width` values, the last filled up with 0, and each part has codes of its own (product quantisation,
    Jégou et al. 2011): with one part an image could only be one of `codes` images.

    Parameters
    ----------
    values
        Of a vector.
    codes
        Of each part.
    width
        Values a part.
    decay
        Of the moving averages.
    """

    count: Tensor
    total: Tensor
    codes: Tensor
    started: Tensor

    def __init__(self, values: int, codes: int, width: int, decay: float) -> None:
        super().__init__()
        self.values, self.decay = values, decay
        self.parts = -(-values // width)
        self.fill = self.parts * width - values
        self.register_buffer("codes", torch.randn(self.parts, codes, width))
        self.register_buffer("total", self.codes.clone())
        self.register_buffer("count", torch.ones(self.parts, codes))
        self.register_buffer("started", torch.zeros((), dtype=torch.int64))

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of vectors, (N, values), with the gradient of the vectors, and uses, (parts, N, codes)."""
        parts = functional.pad(vectors, (0, self.fill)).reshape(len(vectors), self.parts, -1).transpose(0, 1)
        with torch.no_grad():
            if self.training and not self.started:
                self._start(parts)
            uses = self._nearest(parts)
            found = (uses @ self.codes).transpose(0, 1).reshape(len(vectors), -1)[:, : self.values]
            if self.training:
                self._follow(parts, uses)
        return found + (vectors - vectors.detach()), uses  # what is added is 0, and has the slope 1 (straight-through)

    def _nearest(self, parts: Tensor) -> Tensor:
        """Return 1 for the code nearest to each part (parts, N, width), else 0, (parts, N, codes)."""
        # The squared distance, less the square of the part, which is the same for every code.
        distance = self.codes.square().sum(dim=2)[:, None] - 2 * parts @ self.codes.transpose(1, 2)
        return _one_hot(distance.argmin(dim=2), self.codes.shape[1])

    def _start(self, parts: Tensor) -> None:
        """Set the codes to vectors of the minibatch, drawn with replacement and moved a little, so that none is double.

        A minibatch is often smaller than a codebook.
        """
        drawn = torch.randint(parts.shape[1], self.codes.shape[:2], device=parts.device)
        picked = _one_hot(drawn, parts.shape[1]) @ parts
        spread = parts.std(dim=1, keepdim=True, correction=0)
        self.codes.copy_(picked + 0.1 * spread * torch.randn_like(picked))
        self.total.copy_(self.codes)
        self.started.fill_(1)

    def _follow(self, parts: Tensor, uses: Tensor) -> None:
        """Move the averages by a minibatch: products with 0 and 1, which add in the same order each time."""
        self.count.lerp_(uses.sum(dim=1), 1 - self.decay)
        self.total.lerp_(uses.transpose(1, 2) @ parts, 1 - self.decay)
        everything = self.count.sum(dim=1, keepdim=True)
        smoothed = (self.count + _EPSILON) / (everything + self.count.shape[1] * _EPSILON) * everything
        self.codes.copy_(self.total / smoothed[..., None])


class VQVAE(Model):
    """Convolutions to a grid, pooled to vectors that are replaced by codes, spread out again and decoded.

    The vectors have mean 0 and variance 1 over the minibatch: else they all drift further in the first steps than they
    lie apart, and the codes, which follow slowly, are left behind (Łańcucki et al. 2020).

    A decoder that sees the same vector everywhere cannot tell the middle of a cell from its edge: each place of its
    grid has a gain and an offset of its own.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        z_dim: int,
        output_activation: str,
        pool: int,
        codes: int,
        code_width: int,
        commitment: float,
        decay: float,
    ) -> None:
        super().__init__()
        self.pool, self.side, self.commitment = pool, size // _GRID, commitment
        self.values = z_dim // pool**2
        self.encoder = encoder(channels, _FILTERS, batch_norm=False, dropout=0.0)
        self.before = nn.Conv2d(_FILTERS[-1], self.values, kernel_size=1, bias=False)
        self.norm = nn.BatchNorm1d(self.values, affine=False)
        self.codebook = Codebook(self.values, codes, code_width or self.values, decay)
        self.after = nn.Conv2d(self.values, _DEEP, kernel_size=1)
        self.gain = nn.Parameter(torch.randn(_DEEP, self.side, self.side))
        self.offset = nn.Parameter(torch.zeros(_DEEP, self.side, self.side))
        self.activation = nn.LeakyReLU(LEAK)
        self.decoder = decoder(channels, (_DEEP, 64, 64, 32), False, 0.0, output_activation)
        initialise(self)

    def encode(self, x: Tensor) -> Latent:
        """Return the codes of tiles (N, C, H, W), one after the other, (N, z_dim)."""
        return Latent(self._quantised(x)[1], None)

    def decode(self, z: Tensor) -> Tensor:
        """Return the tiles (N, C, H, W) of any latent points (N, z_dim), codes or not."""
        n, pool, block = len(z), self.pool, self.side // self.pool
        grid = z.reshape(n, pool, pool, self.values).permute(0, 3, 1, 2)
        wide = self.after(grid)[:, :, :, None, :, None].expand(-1, -1, -1, block, -1, block)
        placed = self.activation(wide.reshape(n, _DEEP, self.side, self.side) * self.gain + self.offset)
        drawn: Tensor = self.decoder(placed.contiguous(memory_format=torch.channels_last))
        return drawn

    def forward(self, x: Tensor) -> Output:
        """Return the reconstruction of tiles, the commitment to the codes, and how the codebooks are used.

        `perplexity` is the exponential of the entropy of the codes in the minibatch, at most as many as its vectors;
        `dead_codes` the share of codes used less than once in a hundred minibatches; both are means over the parts.
        """
        before, found, uses = self._quantised(x)
        distance = (before - found.detach()).square().sum(dim=1).mean()
        return Output(
            self.decode(found),
            Latent(found, None),
            terms={"commitment": self.commitment * distance},
            logs={"perplexity": perplexity(uses), "dead_codes": (self.codebook.count < _DEAD).float().mean()},
        )

    def require(self, plan: Plan) -> None:
        """Refuse a codebook with more codes than there are vectors to be one of them.

        Raises
        ------
        TrainingError
            Naming how many codes there can be.
        """
        codes, vectors = self.codebook.codes.shape[1], plan.images * self.pool**2
        if codes > vectors:
            raise TrainingError(
                f"vqvae has {codes} codes for the {vectors} vectors of {plan.images} training tiles; set vqvae.codes "
                f"to {vectors} or fewer, a small part of that to have codes that stand for many"
            )

    def _quantised(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the latent before and after the codebook, (N, z_dim), and the uses of the codes."""
        deep = self.before(self.encoder(x))
        n, pool, block = len(x), self.pool, deep.shape[-1] // self.pool
        pooled = deep.reshape(n, self.values, pool, block, pool, block).mean(dim=(3, 5))
        vectors = self.norm(pooled.permute(0, 2, 3, 1).reshape(-1, self.values))
        found, uses = self.codebook(vectors)
        return vectors.reshape(n, -1), found.reshape(n, -1), uses


def perplexity(uses: Tensor) -> Tensor:
    """Return the exponential of the entropy of the codes, from uses (parts, N, codes), as a mean over the parts."""
    share = uses.mean(dim=1)
    entropy: Tensor = torch.special.entr(share).sum(dim=1)
    return entropy.exp().mean()


def build(
    channels: int,
    size: int,
    z_dim: int,
    *,
    output_activation: Literal["linear", "sigmoid"] = "linear",
    pool: int = 1,
    codes: int = 16,
    code_width: int = 3,
    commitment: float = 0.25,
    decay: float = 0.99,
) -> VQVAE:
    """Return the model, its weights drawn from torch's generator.

    Parameters
    ----------
    channels
        Planes of a tile.
    size
        Side of a tile, px, a multiple of 32 x `pool`.
    z_dim
        Latent dimensions, a multiple of pool².
    output_activation
        `linear` or `sigmoid`.
    pool
        Side of the grid of vectors that a tile becomes.
    codes
        Of each codebook.
    code_width
        Values a code; 0 is as many as a vector has.
    commitment
        Weight of the squared distance of the latent from its codes, a sum over dimensions (002-04).
    decay
        Of the moving averages of the codebooks.

    Raises
    ------
    TrainingError
        When the side does not fit, or pool² does not divide `z_dim`.
    """
    require_divisible(size, 2 ** len(_FILTERS) * pool, f"vqvae with pool {pool}")
    cells = pool**2
    if z_dim % cells:
        below, above = max(cells, z_dim // cells * cells), -(-z_dim // cells) * cells
        near = f"{below}" if below == above else f"{below} or {above}"
        raise TrainingError(
            f"vqvae with pool {pool} shares z_dim out among {cells} vectors, which {z_dim} cannot; set z_dim to {near}"
        )
    model = VQVAE(channels, size, z_dim, output_activation, pool, codes, code_width, commitment, decay)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _one_hot(index: Tensor, of: int) -> Tensor:
    """Return 1 at each index, else 0, in a last axis of length `of`."""
    return (index[..., None] == torch.arange(of, device=index.device)).float()
