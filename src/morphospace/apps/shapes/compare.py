"""Representations of shapes that learn: from training rows fold by fold, or once from all, never from classes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from morphospace.apps.shapes import linear, train
from morphospace.apps.shapes.train import Minibatches, Settings, Track

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]


class Embedder(Protocol):
    """What learned from some matrices."""

    def embed(self, matrices: Floats) -> tuple[Floats, Floats]:
        """Return the latents (N, k) of any matrices, and their reconstructions (N, n, n)."""


class Learned:
    """Features of shapes by something that learns from distance matrices, and its errors where it is scored.

    Parameters
    ----------
    matrices
        All of them (N, n, n).
    units
        px of 1 in each matrix (N,), in which errors are given.
    learn
        From rows of `matrices`; it must not look at others.
    in_folds
        Learn anew from each fold's training rows; otherwise once from all rows.

    Attributes
    ----------
    errors
        Root mean square error, px, of each row by what embedded it last; NaN before (N,).
    """

    def __init__(
        self, matrices: Floats, units: NDArray[np.float64], learn: Callable[[Rows], Embedder], in_folds: bool
    ) -> None:
        self.matrices, self.units, self.learn, self.in_folds = matrices, units, learn, in_folds
        self.errors = np.full(len(matrices), np.nan)
        self._all: tuple[Floats, Floats] | None = None

    def everything(self) -> tuple[Floats, Floats]:
        """Return latents and reconstructions of all matrices by what learned from all; it learns once."""
        if self._all is None:
            rows = np.arange(len(self.matrices))
            self._all = self.learn(rows).embed(self.matrices)
            self._measure(rows, self._all[1])
        return self._all

    def __call__(self, training: Rows, held: Rows) -> tuple[Floats, Floats]:
        """Return the features of training rows and of those held out."""
        if not self.in_folds:
            latents = self.everything()[0]
            return latents[training], latents[held]
        learned = self.learn(training)
        latents, drawn = learned.embed(self.matrices[held])
        self._measure(held, drawn)
        return learned.embed(self.matrices[training])[0], latents

    def error(self) -> float:
        """Return the root mean square of the errors, px; NaN before there is any."""
        known = self.errors[np.isfinite(self.errors)]
        return float(np.sqrt(np.mean(np.square(known)))) if len(known) else float("nan")

    def _measure(self, rows: Rows, drawn: Floats) -> None:
        self.errors[rows] = train.errors(self.matrices[rows], drawn) * self.units[rows]


@dataclass
class Trainer:
    """Makes what learns from the same distance matrices, and keeps how each network got there.

    Attributes
    ----------
    matrices, units
        As of `Learned`.
    minibatches
        Vectors of rows for an epoch, from rows, seed and epoch.
    device
        Where networks are trained.
    track
        Wraps the epochs of each network: a progress bar.
    history
        A row an epoch of every network, with its kind and what it learned from.
    """

    matrices: Floats
    units: NDArray[np.float64]
    minibatches: Callable[[Rows, int, int], Minibatches]
    device: torch.device
    track: Track = iter
    history: list[dict[str, Any]] = field(default_factory=list)

    def linear(self, k: int, seed: int) -> Learned:
        """Return PCA, fitted in every fold."""
        return Learned(self.matrices, self.units, lambda rows: linear.fit(self.matrices, rows, k, seed), True)

    def network(self, settings: Settings, in_folds: bool) -> Learned:
        """Return an autoencoder, trained in every fold or once."""
        return Learned(self.matrices, self.units, lambda rows: self._fit(rows, settings, in_folds), in_folds)

    def _fit(self, rows: Rows, settings: Settings, in_folds: bool) -> Embedder:
        def minibatches(epoch: int) -> Minibatches:
            return self.minibatches(rows, settings.seed, epoch)

        fitted = train.fit(self.matrices, rows, minibatches, settings, self.device, self.track)
        first = {"kind": settings.kind, "learned": "in a fold" if in_folds else "from all", "shapes": len(rows)}
        self.history += [{**first, **epoch._asdict()} for epoch in fitted.history]
        return fitted
