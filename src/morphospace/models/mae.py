"""Masked autoencoder: a small vision transformer that draws the patches it was not shown (He et al. 2022)."""

from typing import Annotated

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from morphospace.errors import TrainingError
from morphospace.models._base import Latent, Masked, Model, Output
from morphospace.models._blocks import initialise, require_divisible
from morphospace.options import Options as BaseOptions

_HIDDEN = 0.5  # grey of the patches that a picture of the masked input leaves out


class Options(BaseOptions):
    """What ``params.yaml`` may say of this model.

    `patch` is the side of a patch in px, `mask` the share of patches hidden in training. `width`, `depth` and `heads`
    are those of the encoder; `decoder_width` and `decoder_depth` of the decoder, which has as many heads.
    """

    patch: Annotated[int, Field(ge=2, le=64)] = 8
    mask: Annotated[float, Field(ge=0.4, le=0.95)] = 0.75
    width: Annotated[int, Field(ge=8, le=2048)] = 128
    depth: Annotated[int, Field(ge=1, le=48)] = 4
    heads: Annotated[int, Field(ge=1, le=32)] = 4
    decoder_width: Annotated[int, Field(ge=8, le=2048)] = 64
    decoder_depth: Annotated[int, Field(ge=1, le=48)] = 2

    @model_validator(mode="after")
    def _widths_fit(self) -> "Options":
        for name in ("width", "decoder_width"):
            width = getattr(self, name)
            if width % 4 or width % self.heads:
                raise ValueError(f"{name} must be a multiple of 4 (for the positions) and of heads, {self.heads}")
        return self


class MaskedAutoencoder(Model):
    """Tokens of patches go through transformer blocks and a bottleneck of z_dim; a second, smaller stack draws.

    The embedding is the mean of the tokens of the whole image, which cannot be decoded. `reconstruct` draws each patch
    from others: from tokens of z_dim values each, so its similarity is not one of a bottleneck of z_dim values and does
    not compare with that of a model that decodes.
    """

    decodes = False
    parts: Tensor
    places: Tensor
    decoder_places: Tensor

    def __init__(
        self,
        channels: int,
        size: int,
        z_dim: int,
        patch: int,
        mask: float,
        width: int,
        depth: int,
        heads: int,
        decoder_width: int,
        decoder_depth: int,
    ) -> None:
        super().__init__()
        self.patch, self.side = patch, size // patch
        tokens, values = self.side**2, channels * patch**2
        self.visible = round(tokens * (1 - mask))
        self.classes = round(1 / (1 - mask))
        self.into = nn.Linear(values, width)
        self.encoder = nn.Sequential(*(Block(width, heads) for _ in range(depth)), nn.LayerNorm(width))
        self.bottleneck = nn.Linear(width, z_dim)
        self.widen = nn.Linear(z_dim, decoder_width)
        self.hidden = nn.Parameter(0.02 * torch.randn(decoder_width))  # what stands where a patch was not seen
        self.decoder = nn.Sequential(
            *(Block(decoder_width, heads) for _ in range(decoder_depth)), nn.LayerNorm(decoder_width)
        )
        self.out = nn.Linear(decoder_width, values)
        self.register_buffer("places", positions(self.side, width))
        self.register_buffer("decoder_places", positions(self.side, decoder_width))
        self.register_buffer("parts", partition(self.side, self.classes))
        initialise(self)

    def encode(self, x: Tensor) -> Latent:
        """Return the mean token of all patches of tiles (N, C, H, W), (N, z_dim)."""
        return Latent(self._tokens(self._patches(x), None).mean(dim=1), None)

    def forward(self, x: Tensor) -> Output:
        """Return in training what is drawn of a random part of the patches, where only hidden ones have a weight.

        In evaluation it is `reconstruct`, all pixels alike.
        """
        if not self.training:
            return Output(self.reconstruct(x), self.encode(x))
        patches = self._patches(x)
        # A random number a patch: the smallest stay visible, so each image has its own mask.
        seen = torch.rand(patches.shape[:2], device=x.device).argsort(dim=1, stable=True)[:, : self.visible]
        tokens = self._tokens(patches, seen)
        return Output(
            self._draw(tokens, seen), Latent(tokens.mean(dim=1), None), weight=self._pixels(1 - self._shown(seen))
        )

    def reconstruct(self, x: Tensor) -> Tensor:
        """Return tiles (N, C, H, W) of which each patch is drawn from others only, without chance.

        The patches are parted into 1 / (1 - mask) interleaved classes, which are visible one after the other; a patch
        is the mean of what is drawn in the passes that hide it.
        """
        patches, total = self._patches(x), torch.zeros_like(x)
        for k in range(self.classes):
            seen = self._class(k, len(x))
            hidden = self._pixels(1 - self._shown(seen))
            total = total + hidden * self._draw(self._tokens(patches, seen), seen)
        return total / (self.classes - 1)

    def masked(self, x: Tensor) -> Masked:
        """Return tiles of which one class of patches is visible, the rest grey, and their hidden patches as drawn."""
        seen = self._class(0, len(x))
        shown = self._pixels(self._shown(seen))
        drawn = self._draw(self._tokens(self._patches(x), seen), seen)
        return Masked(torch.where(shown > 0, x, _HIDDEN), torch.where(shown > 0, x, drawn))

    def _tokens(self, patches: Tensor, seen: Tensor | None) -> Tensor:
        """Return the tokens (N, S, z_dim) of those patches (N, T, values) whose indices (N, S) are given, or of all."""
        embedded = self.into(patches) + self.places
        tokens: Tensor = self.bottleneck(self.encoder(embedded if seen is None else _pick(embedded, seen)))
        return tokens

    def _draw(self, tokens: Tensor, seen: Tensor) -> Tensor:
        """Return tiles drawn of the tokens (N, S, z_dim) of some patches; the others are known by their place alone."""
        spread = _one_hot(seen, self.side**2)
        # A product with 0 and 1 puts the tokens in their places, forwards and backwards without a race.
        placed = spread.transpose(1, 2) @ self.widen(tokens)
        hidden = (1 - spread.sum(dim=1))[..., None] * self.hidden
        return self._tiles(self.out(self.decoder(placed + hidden + self.decoder_places)))

    def _class(self, k: int, n: int) -> Tensor:
        """Return the indices (n, S) of the patches of a class, the same for each image."""
        return torch.eq(self.parts, k).nonzero()[:, 0].expand(n, -1)

    def _shown(self, seen: Tensor) -> Tensor:
        """Return 1 for each visible patch, else 0, (N, T)."""
        return _one_hot(seen, self.side**2).sum(dim=1)

    def _pixels(self, patches: Tensor) -> Tensor:
        """Return a number a patch, (N, T), as one a pixel, (N, 1, H, W)."""
        maps = patches.reshape(-1, 1, self.side, 1, self.side, 1)
        size = self.side * self.patch
        return maps.expand(-1, -1, -1, self.patch, -1, self.patch).reshape(-1, 1, size, size)

    def _patches(self, x: Tensor) -> Tensor:
        """Return the patches (N, T, C x patch x patch) of tiles, row by row."""
        n, p, s = len(x), self.patch, self.side
        return x.reshape(n, -1, s, p, s, p).permute(0, 2, 4, 1, 3, 5).reshape(n, s * s, -1)

    def _tiles(self, patches: Tensor) -> Tensor:
        """Undo `_patches`."""
        n, p, s = len(patches), self.patch, self.side
        return patches.reshape(n, s, s, -1, p, p).permute(0, 3, 1, 4, 2, 5).reshape(n, -1, s * p, s * p)


class Block(nn.Module):
    """Self-attention, then two dense layers, each of normalised tokens and added to them.

    What torch's TransformerEncoderLayer does in training; its other path in evaluation gives other numbers.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens (N, T, width) that have seen each other."""
        n, t, width = tokens.shape
        query, key, value = self.qkv(self.norm(tokens)).reshape(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.mix(seen.transpose(1, 2).reshape(n, t, width))
        mixed: Tensor = tokens + self.dense(tokens)
        return mixed


def positions(side: int, width: int) -> Tensor:
    """Return the fixed places of a square of patches, row by row, (side², width) (Vaswani et al. 2017).

    The first half says the row, the second the column: sines, then cosines, of place / 10000^(k / quarter).
    """
    quarter = width // 4
    rates = 1 / 10_000 ** (torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(side, dtype=torch.float64)[:, None] * rates
    axis = torch.cat([angles.sin(), angles.cos()], dim=1)
    both = torch.cat([axis.repeat_interleave(side, dim=0), axis.repeat(side, 1)], dim=1)
    return both.to(torch.float32)


def partition(side: int, classes: int) -> Tensor:
    """Return the class of each of a square of patches, row by row, (side²,), as many of one class as of another.

    The classes go round within a row and on in the next, moved by half of them where they would stand below themselves:
    no two patches of a class are side by side or one above the other.
    """
    place = torch.arange(side * side)
    row, column = place // side, place % side
    return (column + row * (side % classes or classes // 2)) % classes


def build(
    channels: int,
    size: int,
    z_dim: int,
    *,
    patch: int = 8,
    mask: float = 0.75,
    width: int = 128,
    depth: int = 4,
    heads: int = 4,
    decoder_width: int = 64,
    decoder_depth: int = 2,
) -> MaskedAutoencoder:
    """Return the model, its weights drawn from torch's generator.

    Parameters
    ----------
    channels
        Planes of a tile.
    size
        Side of a tile, px, a multiple of `patch`.
    z_dim
        Latent dimensions, of each token and of their mean.
    patch
        Side of a patch, px.
    mask
        Share of the patches that training hides.
    width, depth, heads
        Of the encoder: values a token, blocks, attention heads.
    decoder_width, decoder_depth
        Of the decoder.

    Raises
    ------
    TrainingError
        When `patch` does not divide `size`, or the tile has too few patches for the mask.
    """
    require_divisible(size, patch, f"mae with patch {patch}")
    classes = round(1 / (1 - mask))
    if (size // patch) ** 2 < 2 * classes:
        raise TrainingError(
            f"mae with mask {mask:g} needs at least {2 * classes} patches, and a tile of {size} px has "
            f"{(size // patch) ** 2} of {patch} px; lower mae.patch or mae.mask"
        )
    return MaskedAutoencoder(channels, size, z_dim, patch, mask, width, depth, heads, decoder_width, decoder_depth)


def _one_hot(seen: Tensor, tokens: int) -> Tensor:
    """Return 1 where a visible patch is, (N, S, T), of the indices (N, S)."""
    return (seen[..., None] == torch.arange(tokens, device=seen.device)).float()


def _pick(patches: Tensor, seen: Tensor) -> Tensor:
    """Return the patches (N, S, width) of the indices (N, S); the gradient of a gather would need an order."""
    return _one_hot(seen, patches.shape[1]) @ patches
