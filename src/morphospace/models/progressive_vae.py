"""A VAE that grows: from size / 2^n px up to the size, a residual block on each side at a time (003-09 to 003-11).

The scheme is that of Karras et al. 2018 (progressive growing of GANs) on an autoencoder: fade-in, pixel norm, weights
scaled at run time. The thesis sums the squared error over pixels (003-07), so that its loss rises with the resolution
by their number alone; here the error is R x mean as of every model, and rises only as far as detail is hard to draw.
"""

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from morphospace.errors import TrainingError
from morphospace.models._base import VAE, Latent, Output, Plan, VAEOptions, bounded, sample
from morphospace.models._blocks import require_divisible

_LEAK = 0.2  # of LeakyReLU (Karras et al. 2018)
_HE = math.sqrt(2 / (1 + _LEAK**2))  # keeps the second moment through LeakyReLU (He et al. 2015)
_CONTRAST = 0.1  # of what a new model draws: about that of tiles in [0, 1], most of which is black
_WIDER = 2  # how many steps towards the deep double the width
Epochs = Annotated[int, Field(ge=1)]


class Options(VAEOptions):
    """What ``params.yaml`` may say of this model (see `build`).

    A training is refused whose epochs end, or whose ``train.patience`` may end it, before the last block has faded in.
    The patience should be 0: a new block makes the loss worse for some time. A short training wants a high rate.
    On 420 real cells, 32 px, width 8, R = 50,000, after 13 epochs (156 steps; an epoch for each resolution), the
    validation loss is 679 at 5e-4, the rate of the thesis, 473 at 3e-3 and 386 at 1e-2.
    """

    start: Annotated[int, Field(ge=2, le=2048)] = 4
    block_epochs: Epochs | Annotated[list[Epochs], Field(min_length=2)] = 1
    width: Annotated[int, Field(ge=1, le=512)] = 16
    weight_clip: Annotated[float, Field(gt=0)] = 5.0


class Equalised(nn.Module):
    """A layer whose weights are N(0, 1) when drawn, and scaled by He's constant at run time (equalised learning rate).

    Adam moves every weight by about the learning rate: all layers learn equally fast (Karras et al. 2018), but slowly,
    since that rate is to be compared with 1.

    `shape` is that of the weights: outputs, inputs, and the sides of the kernel where there is one. `clip` bounds the
    absolute weights, before they are scaled; `gain` is the standard deviation of outputs for inputs N(0, 1).
    """

    def __init__(self, shape: Sequence[int], clip: float, gain: float = _HE) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape))
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.limit = clip
        self.scale = gain / math.sqrt(math.prod(shape[1:]))
        self.clip()

    def clip(self) -> None:
        """Bring the weights back within the limit."""
        with torch.no_grad():
            self.weight.clamp_(-self.limit, self.limit)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) of (N, inputs, H, W), or (N, outputs) of (N, inputs)."""
        # The last step of a training may leave weights beyond the limit, with no `advance` after it to bring them back.
        weight = self.weight.clamp(-self.limit, self.limit) * self.scale
        if weight.ndim == 2:
            return functional.linear(x, weight, self.bias)
        return functional.conv2d(x, weight, self.bias, padding=weight.shape[-1] // 2)


class Residual(nn.Module):
    """A residual block with pixel norm between convolution and activation, resized by `factor` between the two.

    The factor is 1/2 in the encoder, 2 in the decoder, and 1 in the first block of both.
    """

    def __init__(self, channels: int, filters: int, clip: float, factor: float) -> None:
        super().__init__()
        self.factor = factor
        fine = filters if factor > 1 else channels
        self.first = Equalised((fine, channels, 3, 3), clip)
        self.second = Equalised((filters, fine, 3, 3), clip, gain=1.0)
        self.skip = nn.Identity() if channels == filters else Equalised((filters, channels, 1, 1), clip, gain=1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, filters, factor H, factor W) of (N, channels, H, W)."""
        body = self.second(resized(_leaky(pixel_norm(self.first(x))), self.factor))
        # A 1 x 1 convolution and either way of resizing commute; the smaller side is the cheaper one to convolve.
        skip = self.skip(resized(x, self.factor)) if self.factor < 1 else resized(self.skip(x), self.factor)
        return _leaky((skip + pixel_norm(body)) / math.sqrt(2))


class ProgressiveVAE(VAE):
    """Blocks of all resolutions, of which those that have been reached are used; `advance` says which.

    In training, the output is at the current resolution, and its target is the input resized to it. In evaluation it
    has the full size, each pixel repeated, so that validation losses of all resolutions can be compared; weights of a
    smaller one are kept when nothing after it is better.

    `sides` are the resolutions, px, ascending. What has been reached is held in buffers, so that a model saved
    half-grown is that model when loaded: `depth`, the blocks added so far, and `alpha`, the share of the newest block
    in what the model does; the rest is that of the adapters it replaces.
    """

    depth: Tensor
    alpha: Tensor

    def __init__(
        self,
        channels: int,
        sides: Sequence[int],
        z_dim: int,
        output_activation: str,
        max_logvar: float,
        block_epochs: Sequence[int],
        width: int,
        clip: float,
    ) -> None:
        super().__init__()
        self.sides, self.block_epochs = tuple(sides), tuple(block_epochs)
        self.max_logvar, self.output_activation = max_logvar, output_activation
        steps = range(len(sides))
        widths = [width * 2 ** min(len(sides) - 1 - k, _WIDER) for k in steps]
        beside = [widths[0], *widths[:-1]]  # the width on the coarse side of each block
        factors = [1, *[2] * (len(sides) - 1)]
        flat = widths[0] * sides[0] ** 2
        self.enter = nn.ModuleList(Equalised((widths[k], channels, 1, 1), clip) for k in steps)
        self.down = nn.ModuleList(Residual(widths[k], beside[k], clip, 1 / factors[k]) for k in steps)
        self.mean = Equalised((z_dim, flat), clip, gain=1.0)
        self.logvar = Equalised((z_dim, flat), clip, gain=1.0)
        self.dense = Equalised((flat, z_dim), clip)
        self.up = nn.ModuleList(Residual(beside[k], widths[k], clip, factors[k]) for k in steps)
        self.leave = nn.ModuleList(Equalised((channels, widths[k], 1, 1), clip, gain=_CONTRAST) for k in steps)
        self.register_buffer("depth", torch.tensor(0))
        self.register_buffer("alpha", torch.tensor(1.0))

    def require(self, plan: Plan) -> None:
        """Refuse a training that ends before the model has its full size.

        Raises
        ------
        TrainingError
            With the epochs, the patience and the block_epochs that would do.
        """
        size, each = self.sides[-1], plan.certain // len(self.sides)
        cure = f"progressive_vae.block_epochs to {each}" if each else ""
        if not each and plan.certain > 1:
            cure = f"progressive_vae.start to {self.sides[-plan.certain]} and block_epochs to 1"
        told = ", ".join(map(str, self.block_epochs))
        what = f"progressive_vae grows from {self.sides[0]} to {size} px (block_epochs {told})"
        plan.require_epochs(sum(self.block_epochs), what, cure)

    def advance(self, epoch: int, share: float) -> None:
        """Grow to where the schedule is, and clip the weights of the step before."""
        depth, alpha = schedule(epoch, share, self.block_epochs)
        self.depth.fill_(depth)
        self.alpha.fill_(alpha)
        for module in self.modules():
            if isinstance(module, Equalised):
                module.clip()

    def encode(self, x: Tensor) -> Latent:
        """Return the posterior of tiles (N, C, H, W) in [0, 1], seen at the current resolution."""
        return self._encode(self._small(x))

    def decode(self, z: Tensor) -> Tensor:
        """Return the tiles (N, C, H, W) of latent points (N, z_dim), in full size, each pixel repeated."""
        drawn = self._draw(z)
        return resized(drawn, self.sides[-1] / drawn.shape[-1])

    def forward(self, x: Tensor) -> Output:
        """Return reconstruction and posterior; the resolution, px, and α are logged."""
        small = self._small(x)
        latent = self._encode(small)
        logs = {"alpha": self.alpha.clone(), "resolution": x.new_tensor(small.shape[-1])}
        if self.training:
            return Output(self._draw(sample(latent)), latent, target=small, logs=logs)
        return Output(self.decode(latent.mean), latent, logs=logs)

    def _small(self, x: Tensor) -> Tensor:
        return resized(x, self.sides[int(self.depth)] / self.sides[-1])

    def _encode(self, small: Tensor) -> Latent:
        depth, alpha = int(self.depth), float(self.alpha)
        # Black, which is most of a tile, must not be 0: there, the slope of pixel norm is 10,000.
        centred = 2 * small - 1
        features = _leaky(self.enter[depth](centred))
        for k in range(depth, -1, -1):
            features = self.down[k](features)
            if k == depth > 0 and alpha < 1:
                replaced = _leaky(self.enter[k - 1](resized(centred, 0.5)))
                features = torch.lerp(replaced, features, alpha)
        flat = features.flatten(1)
        return Latent(self.mean(flat), bounded(self.logvar(flat), self.max_logvar))

    def _draw(self, z: Tensor) -> Tensor:
        """Return tiles at the current resolution."""
        depth, alpha = int(self.depth), float(self.alpha)
        features = coarse = _leaky(self.dense(z)).reshape(len(z), -1, self.sides[0], self.sides[0])
        for k in range(depth + 1):
            coarse, features = features, self.up[k](features)
        drawn: Tensor = self.leave[depth](features)
        if depth > 0 and alpha < 1:
            drawn = torch.lerp(resized(self.leave[depth - 1](coarse), 2), drawn, alpha)
        return drawn.sigmoid() if self.output_activation == "sigmoid" else drawn


def schedule(epoch: int, share: float, block_epochs: Sequence[int]) -> tuple[int, float]:
    """Return how many blocks have been added, and the share α of the newest one.

    α rises linearly from 0 to 1 over the first half of the epochs of a block; the first network has none to fade in.

    Parameters
    ----------
    epoch
        From 0; beyond the schedule, the last block goes on.
    share
        How much of the epoch has passed, [0, 1).
    block_epochs
        Epochs of each resolution.
    """
    ends = list(itertools.accumulate(block_epochs[:-1]))
    depth = bisect.bisect_right(ends, epoch)
    if not depth:
        return 0, 1.0
    return depth, min(1.0, (epoch - ends[depth - 1] + share) / (block_epochs[depth] / 2))


def resolutions(size: int, start: int) -> list[int]:
    """Return the sides that halving `size` gives, ascending from the smallest that is at least `start`."""
    sides = [size]
    while sides[0] % 2 == 0 and sides[0] // 2 >= start:
        sides.insert(0, sides[0] // 2)
    return sides


def pixel_norm(a: Tensor) -> Tensor:
    """Return a / sqrt(mean of a² over channels + 1e-8), for maps (N, C, H, W): batch norm without a minibatch."""
    return a * torch.rsqrt(a.square().mean(dim=1, keepdim=True) + 1e-8)


def resized(x: Tensor, factor: float) -> Tensor:
    """Return maps (N, C, H, W) with `factor` times their side: means of pixels, or each pixel repeated."""
    if factor < 1:
        return functional.avg_pool2d(x, round(1 / factor))
    return functional.interpolate(x, scale_factor=factor) if factor > 1 else x


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _LEAK)


def build(
    channels: int,
    size: int,
    z_dim: int,
    *,
    output_activation: Literal["linear", "sigmoid"] = "linear",
    max_logvar: float = 10.0,
    start: int = 4,
    block_epochs: int | Sequence[int] = 1,
    width: int = 16,
    weight_clip: float = 5.0,
) -> ProgressiveVAE:
    """Return the model at its first resolution, its weights drawn from torch's generator.

    Parameters
    ----------
    channels
        Planes of a tile.
    size
        Side of a tile, px; the thesis's is 224, from 7.
    z_dim
        Latent dimensions.
    output_activation
        `linear` or `sigmoid`.
    max_logvar
        Bound on the absolute log-variance (`bounded`).
    start
        The first resolution is the smallest of at least this many px that halving `size` gives.
    block_epochs
        Epochs of each resolution: one number, or a list of one for each. The last resolution goes on to the end of the
        training; its number says how long its block fades in. The thesis has 30 to 40.
    width
        Channels at the full size; twice as many at half of it, four times from a quarter of it on.
    weight_clip
        Bound on the absolute weights, in standard deviations of new ones; the thesis does not say which it had.

    Raises
    ------
    TrainingError
        When `size` cannot be halved down to `start`, or `block_epochs` is not a number for each resolution.
    """
    require_divisible(size, 2, "progressive_vae")
    sides = resolutions(size, start)
    if len(sides) < 2:
        raise TrainingError(
            f"progressive_vae cannot grow to {size} px from a half of at least {start} px; set progressive_vae.start "
            f"to at most {size // 2}, or synthesize.size to at least {2 * start}"
        )
    lengths = [block_epochs] * len(sides) if isinstance(block_epochs, int) else list(block_epochs)
    if len(lengths) != len(sides):
        raise TrainingError(
            f"progressive_vae.block_epochs has {len(lengths)} numbers, but tiles of {size} px grow through "
            f"{len(sides)} resolutions ({', '.join(map(str, sides))} px): give one for each, or a single number for all"
        )
    model = ProgressiveVAE(channels, sides, z_dim, output_activation, max_logvar, lengths, width, weight_clip)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
