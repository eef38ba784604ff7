"""Training an autoencoder of distance matrices: reconstruction and the four losses, one cycle of the learning rate."""

from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphospace.apps.shapes import losses, ring
from morphospace.apps.shapes.autoencoder import Autoencoder, Kind
from morphospace.errors import InputError, TrainingError

Floats = NDArray[np.float32]
Track = Callable[[range], Iterable[int]]
_BLOCK = 256  # shapes in the device's memory when nothing is learned


class Minibatches(Sized, Iterable[Tensor], Protocol):
    """Vectors of rows, and how many there are."""


class Settings(NamedTuple):
    """How to train; `regularisation` is the weight of the sum of the four losses."""

    kind: Kind
    latent: int
    epochs: int
    seed: int
    width: int = 32
    learning_rate: float = 4e-3
    regularisation: float = 0.5
    detours: int = 4


class Epoch(NamedTuple):
    """Means over an epoch's minibatches; the reconstruction is a squared error."""

    epoch: int
    reconstruction: float
    diagonal: float
    negative: float
    asymmetry: float
    triangle: float


@dataclass(frozen=True)
class Fitted:
    """A trained autoencoder and how it got there."""

    model: Autoencoder
    history: tuple[Epoch, ...]
    device: torch.device

    def embed(self, matrices: Floats) -> tuple[Floats, Floats]:
        """Return the latents (N, latent) of matrices (N, n, n), and their reconstructions (N, n, n)."""
        latents, drawn = [], []
        with torch.inference_mode():
            for block in torch.split(torch.from_numpy(matrices), _BLOCK):
                z, d = self.model(block.to(self.device))
                latents.append(z.cpu().numpy())
                drawn.append(d.cpu().numpy())
        return np.concatenate(latents), np.concatenate(drawn)


def fit(
    matrices: Floats,
    rows: NDArray[np.intp],
    minibatches: Callable[[int], Minibatches],
    settings: Settings,
    device: torch.device,
    track: Track = iter,
) -> Fitted:
    """Return an autoencoder trained on some rows of distance matrices.

    The reconstruction error of `circular` is that to the nearest of the 2n matrices of the same shape, as its latent
    holds no first point. `residual` must redraw the matrix that it was given, whose first point is drawn anew.

    Parameters
    ----------
    matrices
        All matrices (N, n, n).
    rows
        Those to learn from: nothing is taken from others, not even the mean.
    minibatches
        Of an epoch, which counts from 0: vectors of `rows`.
    settings
        All else that decides the result.
    device
        Where to compute.
    track
        Wraps the epochs: a progress bar.

    Raises
    ------
    InputError
        When there are fewer than two rows.
    TrainingError
        When the loss is no longer finite.
    """
    if len(rows) < 2:
        raise InputError(f"{len(rows)} shape(s) to learn from; an autoencoder needs two or more")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        model = Autoencoder(settings.kind, matrices.shape[1], settings.latent, settings.width)
    data = torch.from_numpy(matrices)
    model.standardise(data[torch.from_numpy(rows)])
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    steps = sum(len(minibatches(epoch)) for epoch in range(settings.epochs))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=max(steps, 1))
    generator = torch.Generator().manual_seed(settings.seed)
    history = []
    for epoch in track(range(settings.epochs)):
        parts = []
        for batch in minibatches(epoch):
            found = _losses(model, data[batch].to(device), settings, generator)
            optimizer.zero_grad()
            torch.autograd.backward(found[0] + settings.regularisation * found[1:].sum())
            optimizer.step()
            schedule.step()
            parts.append(found.detach())
        history.append(_epoch(epoch, parts))
    return Fitted(model.eval(), tuple(history), device)


def _losses(model: Autoencoder, d: Tensor, settings: Settings, generator: torch.Generator) -> Tensor:
    """Return reconstruction, diagonal, negative, asymmetry and triangle (5,) of a minibatch."""
    d = d if model.aligns else ring.drawn_index(d, generator)
    _, drawn = model(d)
    wanted = ring.nearest_index(d, drawn.detach()) if model.aligns else d
    over = torch.randint(d.shape[1], (settings.detours,), generator=generator).to(d.device)
    return torch.stack(
        [
            (drawn - wanted).square().mean(),
            losses.diagonal(drawn),
            losses.negative(drawn),
            losses.asymmetry(drawn),
            losses.triangle(drawn, over),
        ]
    )


def _epoch(epoch: int, parts: list[Tensor]) -> Epoch:
    means = torch.stack(parts).mean(dim=0).tolist()
    if not np.isfinite(means).all():
        raise TrainingError(f"the loss is no longer finite in epoch {epoch + 1}; lower --learning-rate")
    return Epoch(epoch + 1, *means)


def errors(matrices: Floats, drawn: Floats) -> Floats:
    """Return the root mean square error of each reconstruction (N,), to the nearest of the 2n matrices of its shape."""
    parts = zip(*(torch.split(torch.from_numpy(x), _BLOCK) for x in (matrices, drawn)), strict=True)
    found = [(ring.nearest_index(d, to) - to).square().mean(dim=(1, 2)).sqrt() for d, to in parts]
    return torch.cat(found).numpy()
