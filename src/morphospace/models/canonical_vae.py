"""A variational autoencoder of cosine coefficients, in the one of eight views in which a cell's dipole points one way.

Cells have no up and no left: a linear model spends components on every pose. Here a tile becomes the principal
components of its low cosine frequencies, is turned and mirrored into its canonical view (`_views.canonical`), and a
small network without biases, which starts as PCA, encodes and decodes it; what it draws is mended by convolutions
(`_mend`), for sharpness is local. The view is one of the latent numbers. What
is learnt is learnt from warped copies, as components, so that a step is a few products of small matrices. The latent
point of a tile can be refined by Gauss-Newton steps: an encoder that has seen few cells is not as good as two of them
(Cremer et al. 2018; Kim et al. 2018). The variance of the pixels is learnt, too, so that nothing weighs the KL (Rybkin
et al. 2021).
"""

import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from morphospace.errors import TrainingError
from morphospace.models import _views, _warp
from morphospace.models._base import STEP_VARIANCE, VAE, Group, Latent, Output, Shown, sample
from morphospace.models._mend import Mend
from morphospace.models._refine import DAMPING, EASIER, HARDER, columns, conjugate, rows
from morphospace.options import Options as BaseOptions
from morphospace.options import tiles_an_epoch

VIEW_SPREAD = math.sqrt((_views.VIEWS**2 - 1) / 12)  # standard deviation of a number drawn from 0 to 7
_MIDDLE = (_views.VIEWS - 1) / 2
_SURE = -6.0  # log-variance of a view's number: a sample of it is rounded to the same view
_START = 0.05  # factor on what the network adds to PCA at first
_FLOOR = 0.05  # of the mean energy of a tile, added to each energy: black tiles do not rule the gradient
_MEMORY = 0.01  # share of a minibatch in the running variance
_FITTED = 20_000  # copies, about, that the components are fitted on
_BLOCK = 64  # tiles refined at a time
_JITTER = 1e-4  # share of a curvature's diagonal that is added to it before it is inverted
_INNER = 3  # conjugate gradients in a step of refinement
_SLOW, _FAST = 0.3, 3.0  # factors on the learning rate of what starts as PCA, and of what mends
_FLAT, _LEAST = 1e-4, 1e-6  # share of the largest deviation that a component has at least, and at the very least

Change = Callable[[Tensor], Tensor]

TRAINING = {
    "epochs": 8,
    "minibatch": 256,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "warmup": 50,
    "average": 0.1,
}


class Options(BaseOptions):
    """What ``params.yaml`` may say of this model.

    `band` is the share of the cosine frequencies that is kept along each side, `components` how many principal
    components of them; `copies` training tiles, warped ones among them, are learnt from, turned by up to `rotation`
    degrees, moved by `shift` of the side and scaled by a factor up to `scale` or its inverse. `mend_width`: channels of
    the convolutions that mend what is drawn in the lowest `mend_band` frequencies, on a grid of `mend_grid` patches
    along each side; 0 leaves them out.
    `refine`: Gauss-Newton steps that a latent point gets after the encoder; 0 leaves it to the encoder.
    """

    band: Annotated[float, Field(gt=0, le=1)] = 0.375
    components: Annotated[int, Field(ge=16, le=4096)] = 500
    copies: Annotated[int, Field(ge=1, le=10_000_000)] = 30_000
    rotation: Annotated[float, Field(ge=0, le=180)] = 45.0
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    scale: Annotated[float, Field(ge=1, le=4)] = 1.2
    encoder_width: Annotated[int, Field(ge=1, le=65536)] = 512
    decoder_width: Annotated[int, Field(ge=1, le=65536)] = 1024
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    mend_width: Annotated[int, Field(ge=0, le=4096)] = 64
    mend_band: Annotated[int, Field(ge=2, le=1024)] = 24
    mend_grid: Annotated[int, Field(ge=1, le=256)] = 8
    refine: Annotated[int, Field(ge=0, le=100)] = 2


class CanonicalVAE(VAE):
    """Latent point: `z_dim` - 1 numbers of the canonical view, and which view that is."""

    remembers = True
    components: Tensor
    deviations: Tensor
    partner: Tensor
    transposed: Tensor
    rows: Tensor
    columns: Tensor
    dipole: Tensor
    table: Tensor
    floor: Tensor
    outside: Tensor
    variance: Tensor

    def __init__(self, channels: int, size: int, z_dim: int, options: Options) -> None:
        super().__init__()
        if z_dim < 2:
            raise TrainingError(f"canonical_vae needs z_dim of 2 or more, one of them for the view, not {z_dim}")
        self.options, self.refinements = options, options.refine
        self.shape, self.pixels = (channels, size, size), channels * size * size
        band = max(2, round(options.band * size))
        count = min(options.components, channels * band * band)
        width = z_dim - 1
        if width > count:
            raise TrainingError(
                f"canonical_vae has {count} components ({channels} channels of {band} x {band} frequencies), fewer "
                f"than the {width} that z_dim {z_dim} wants: raise canonical_vae.components or canonical_vae.band"
            )
        self.width = width
        self.into = nn.Parameter(torch.eye(count, width))
        self.out = nn.Parameter(torch.eye(width, count))
        self.logvar = nn.Parameter(torch.zeros(width))
        self.encode_hidden = nn.Linear(count, options.encoder_width, bias=False)
        self.encode_out = nn.Linear(options.encoder_width, width, bias=False)
        self.decode_hidden = nn.Linear(width, options.decoder_width, bias=False)
        self.decode_out = nn.Linear(options.decoder_width, count, bias=False)
        with torch.no_grad():
            for last in (self.encode_out, self.decode_out):
                last.weight.mul_(_START)
        self.dropout = nn.Dropout(options.dropout)
        self.mended = min(band, options.mend_band)
        grid, wide = min(self.mended, options.mend_grid), options.mend_width
        self.mend = Mend(channels, self.mended, grid, wide, _START) if wide else None
        self.register_buffer("table", _views.cosines(size, band))
        self.register_buffer("components", torch.eye(channels * band * band, count))
        self.register_buffer("deviations", torch.ones(count))
        self.register_buffer("partner", torch.arange(count))
        for sign in ("transposed", "rows", "columns"):
            self.register_buffer(sign, torch.ones(count))
        self.register_buffer("dipole", torch.tensor([0, 1]))
        for number in ("floor", "outside", "variance"):  # energies of a tile, and the factor of the pixels' variance
            self.register_buffer(number, torch.ones(()))
        self._copies = _views.Canonical(torch.empty(0), torch.empty(0))  # which are no part of the state

    @property
    def basis(self) -> _views.Basis:
        """The principal components, and how views act on them."""
        signs = self.transposed, self.rows, self.columns
        return _views.Basis(self.components, self.deviations, self.partner, *signs, self.dipole)

    def groups(self) -> list[Group]:
        """Return the parameters by how fast they learn: what starts as PCA is slow, what mends is fast."""
        layers = self.encode_hidden, self.encode_out, self.decode_hidden, self.decode_out
        slow = Group([self.into, self.out], rate=_SLOW, decay=0.0)
        fast = [] if self.mend is None else [Group(list(self.mend.parameters()), rate=_FAST)]
        return [
            Group([weight for layer in layers for weight in layer.parameters()]),
            slow,
            Group([self.logvar], decay=0.0),
            *fast,
        ]

    def copies(self, images: int) -> int:
        """Return how many tiles an epoch has, warped ones among them: each image equally often."""
        return tiles_an_epoch(images, {"copies": self.options.copies})

    @torch.no_grad()
    def prepare(self, shown: Shown) -> None:
        """Make the copies of all training tiles, fit the components on them, and start as PCA."""
        seed = int(torch.randint(2**62, ()))
        images = sum(len(x) for x in shown.tiles())
        times = self.copies(images) // images
        some = min(times, max(1, _FITTED // images))
        basis = _views.principal(self._warped(shown, some, seed), len(self.deviations))
        count = basis.components.shape[1]
        self.components.zero_()[:, :count] = basis.components
        self.deviations.zero_()[:count] = basis.deviations
        self.deviations.clamp_(min=max(_FLAT * float(self.deviations.max()), _LEAST))
        for mine, theirs in zip((self.partner, self.transposed, self.rows, self.columns), basis[2:6], strict=True):
            mine[:count] = theirs
        self.dipole.copy_(basis.dipole)
        # Made again, for their coefficients take ten times the memory of their codes.
        made = self._warped(shown, times, seed)
        found = [_views.canonical(self._codes(coefficients), self.basis) for coefficients in made]
        self._copies = _views.Canonical(torch.cat([f.codes for f in found]), torch.cat([f.view for f in found]))
        energy = 0.0
        for x in shown.tiles():
            energy += float(x.double().square().sum() - self._codes(self._cosines(x)).double().square().sum())
        inside = self._copies.codes.square().sum(dim=1).mean()
        self.floor.copy_((_FLOOR * inside).clamp(min=self.pixels * STEP_VARIANCE))
        self.outside.fill_(max(energy / images, 0.0))
        lost = (self.deviations[self.width :].square().sum() + self.outside).clamp(min=self.pixels * STEP_VARIANCE)
        self.variance.copy_(lost / self.pixels / (inside + self.floor).sqrt())
        self.logvar.copy_(-torch.log1p(self.deviations[: self.width].square() * self.pixels / lost))

    def recall(self, rows: Tensor) -> Output:
        """Return what training needs of copies (n,), numbered from 0."""
        rows = rows.to(self._copies.view.device)
        return self._output(_views.Canonical(self._copies.codes[rows], self._copies.view[rows]), self.outside)

    def forward(self, x: Tensor) -> Output:
        """Return what training needs of tiles, which validation gives it: their loss in the canonical view."""
        codes = self._codes(self._cosines(x))
        outside = x.square().flatten(1).sum(dim=1) - codes.square().sum(dim=1)
        return self._output(_views.canonical(codes, self.basis), outside.clamp_min(0))

    def encode(self, x: Tensor) -> Latent:
        """Return where tiles (N, C, H, W) lie by the encoder: in that of the eight views which it draws best."""
        codes = self._codes(self._cosines(x))
        best = torch.full((len(x),), torch.inf, device=x.device)
        view = torch.zeros(len(x), dtype=torch.long, device=x.device)
        z = codes.new_zeros(len(x), self.width)
        for v in range(_views.VIEWS):
            seen = _views.seen(codes, torch.full_like(view, v), self.basis)
            found = self._encoded(seen)
            error = (seen - self._decoded(found)).square().sum(dim=1)
            better = error < best
            best, view = torch.where(better, error, best), torch.where(better, v, view)
            z = torch.where(better[:, None], found, z)
        return self._latent(z, self.logvar.expand_as(z), view)

    def refined(self, x: Tensor, latent: Latent) -> Latent:
        """Return the most likely latent points near those given, and Laplace's log-variance there."""
        view = self._view(latent.mean)
        codes = _views.seen(self._codes(self._cosines(x)), view, self.basis)
        blocks = zip(torch.split(codes, _BLOCK), torch.split(latent.mean[:, :-1], _BLOCK), strict=True)
        parts = [self._refined(c, z) for c, z in blocks]
        return self._latent(torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts]), view)

    def decode(self, z: Tensor) -> Tensor:
        """Return the tiles (N, C, H, W) of latent points (N, z_dim); the last number is rounded to a view."""
        codes = _views.unseen(self._decoded(z[:, :-1]), self._view(z), self.basis)
        band = len(self.table)
        return self.table.T @ (codes @ self.components.T).view(-1, self.shape[0], band, band) @ self.table

    def _output(self, found: _views.Canonical, outside: Tensor) -> Output:
        """Return the negative log-likelihood of tiles in their canonical view, as a term, and where they lie.

        In training, latent points are drawn as the encoder says, and pixels vary as in the last minibatches. In
        evaluation they lie where refinement puts them, and each tile has the variance that suits it best: for tiles
        that were not trained on, the encoder and the variance of training grow worse long before the decoder does.
        """
        codes = found.codes
        z, logvar = self._encoded(codes), self.logvar.expand(len(codes), -1)
        if self.training:
            z_drawn = sample(Latent(z, logvar))
        else:
            if self.refinements:
                z, logvar = self._refined(codes, z)
            z_drawn = z
        drawn = self._decoded(z_drawn)
        error = (codes - drawn).square().sum(dim=1) + outside
        if self.training:
            energy = (drawn.detach().square().sum(dim=1) + self.floor).sqrt()
            self.variance.lerp_((error.detach() / energy).mean() / self.pixels, _MEMORY)
            variance = (self.variance * energy).clamp_min(STEP_VARIANCE)
        else:
            variance = (error / self.pixels).clamp_min(STEP_VARIANCE)
        nll = 0.5 * (self.pixels * torch.log(2 * math.pi * variance) + error / variance).mean()
        latent = self._latent(z, logvar, found.view)
        return Output(None, latent, terms={"nll": nll}, logs={"mse": error.detach().mean() / self.pixels})

    def _latent(self, z: Tensor, logvar: Tensor, view: Tensor) -> Latent:
        """Return the latent numbers of a canonical view, and then its number."""
        number = (view - _MIDDLE)[:, None] / VIEW_SPREAD
        return Latent(torch.cat([z, number], dim=1), torch.cat([logvar, torch.full_like(number, _SURE)], dim=1))

    def _view(self, z: Tensor) -> Tensor:
        """Return the view (N,) that latent points (N, z_dim) name, or nearly name."""
        return (z[:, -1] * VIEW_SPREAD + _MIDDLE).round().clamp(0, _views.VIEWS - 1).long()

    def _warped(self, shown: Shown, times: int, seed: int) -> Iterator[Tensor]:
        """Yield the cosine coefficients of so many copies of each tile, the first as it is, the others warped."""
        o, chance = self.options, torch.Generator().manual_seed(seed)
        for x in shown.tiles():
            yield self._cosines(x)
            for _ in range(times - 1):
                yield self._cosines(_warp.warped(x, o.rotation, o.shift, o.scale, chance))

    def _cosines(self, x: Tensor) -> Tensor:
        return self.table @ x.contiguous() @ self.table.T

    def _codes(self, coefficients: Tensor) -> Tensor:
        return coefficients.flatten(1) @ self.components

    def _encoded(self, codes: Tensor) -> Tensor:
        """Return latent points of codes in one view: PCA, and what a network adds to it."""
        scale = self.deviations.rsqrt()
        scale = scale / (self.deviations * scale).square().mean().sqrt()
        hidden = self.dropout(functional.relu(self.encode_hidden(codes * scale)))
        deviations = self.deviations[: self.width]
        encoded: Tensor = codes @ self.into / deviations + self.encode_out(hidden)
        return encoded

    def _low(self) -> Tensor:
        """Return the components in the frequencies that are mended, (C * mended * mended, K)."""
        channels, band, low = self.shape[0], len(self.table), self.mended
        return self.components.view(channels, band, band, -1)[:, :low, :low].reshape(channels * low * low, -1)

    def _small(self, coefficients: Tensor) -> Tensor:
        return coefficients.view(-1, self.shape[0], self.mended, self.mended)

    def _decoded(self, z: Tensor) -> Tensor:
        drawn = self._dense(z)
        if self.mend is None:
            return drawn
        low = self._low()
        mended: Tensor = self.mend(self._small(drawn @ low.T))
        return drawn + mended.flatten(1) @ low

    def _dense(self, z: Tensor) -> Tensor:
        """Return the codes that are drawn before they are mended."""
        hidden = functional.relu(self.decode_hidden(z))
        drawn: Tensor = (z * self.deviations[: self.width]) @ self.out + self.deviations * self.decode_out(hidden)
        return drawn

    def _slopes(self, z: Tensor) -> Tensor:
        """Return the derivative of `_dense`, (N, width, components)."""
        first, last = self.decode_hidden.weight, self.decode_out.weight
        active = (z @ first.T > 0).to(z)
        linear = self.deviations[: self.width, None] * self.out
        return linear + (first.T * active[:, None]) @ last.T * self.deviations

    def _mending(self, z: Tensor) -> tuple[Change, Change]:
        """Return the derivative of `_decoded` by `_dense`, and its transpose, as functions of codes (N, components)."""
        if self.mend is None:
            return lambda codes: codes, lambda codes: codes
        mend, low = self.mend, self._low()
        active = mend.active(self._small(self._dense(z) @ low.T))

        def pushed(codes: Tensor) -> Tensor:
            return codes + mend.pushed(self._small(codes @ low.T), active).flatten(1) @ low

        def pulled(codes: Tensor) -> Tensor:
            return codes + mend.pulled(self._small(codes @ low.T), active).flatten(1) @ low

        return pushed, pulled

    def _step(self, codes: Tensor, z: Tensor, variance: Tensor, damping: Tensor) -> tuple[Tensor, Tensor]:
        """Return one step (N, width), and the curvature (N, width, width) before it is mended."""
        slopes, (pushed, pulled) = self._slopes(z), self._mending(z)
        curvature = slopes @ slopes.transpose(1, 2) + variance[:, None] * torch.eye(self.width, device=z.device)
        more = damping * torch.diagonal(curvature, dim1=1, dim2=2)
        descent = rows(slopes, pulled(codes - self._decoded(z))) - variance * z
        near = torch.linalg.cholesky_ex(curvature + torch.diag_embed(more)).L

        def curved(v: Tensor) -> Tensor:
            return rows(slopes, pulled(pushed(columns(slopes, v)))) + (variance + more) * v

        return conjugate(curved, descent, near, _INNER), curvature

    @torch.no_grad()
    def _refined(self, codes: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the most likely latent points of codes by Levenberg and Marquardt's steps, and their log-variance.

        Each step is solved by a few conjugate gradients, from the curvature of what is drawn before it is mended: exact
        slopes cost five times as much. The log-variance is Laplace's, of that curvature.
        """
        energy = (codes.square().sum(dim=1) + self.floor).sqrt()
        variance = (self.variance * energy).clamp_min(STEP_VARIANCE)[:, None]
        damping = torch.full((len(z), 1), DAMPING, device=z.device)

        def cost(at: Tensor) -> Tensor:
            return (codes - self._decoded(at)).square().sum(dim=1) + variance[:, 0] * at.square().sum(dim=1)

        lowest = cost(z)
        for _ in range(self.refinements):
            step, curvature = self._step(codes, z, variance, damping)
            now = cost(z + step)
            better = now < lowest
            z, lowest = torch.where(better[:, None], z + step, z), torch.where(better, now, lowest)
            damping = torch.where(better[:, None], damping * EASIER, damping * HARDER)
        # By Cholesky: LU of many matrices of 299 x 299 fails in MKL with two threads.
        jitter = torch.diag_embed(_JITTER * torch.diagonal(curvature, dim1=1, dim2=2))
        inverse = torch.cholesky_inverse(torch.linalg.cholesky_ex(curvature + jitter).L)
        spread = torch.diagonal(inverse, dim1=1, dim2=2) * variance
        return z, spread.log()  # of the last curvature that was needed: one more costs as much as a step


def build(channels: int, size: int, z_dim: int, **options: Any) -> CanonicalVAE:
    """Return the model, its weights drawn from torch's generator; before it is prepared its components are cosines.

    Parameters
    ----------
    channels
        Planes of a tile.
    size
        Side of a tile, px.
    z_dim
        Latent numbers, the view among them.
    **options
        Those of `Options`.

    Raises
    ------
    TrainingError
        When the tiles have fewer components than latent numbers.
    """
    return CanonicalVAE(channels, size, z_dim, Options(**options))
