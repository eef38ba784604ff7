"""What the epochs gave, and what follows from it: which one is best, whether to stop. Pure functions of the losses."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

PARTS = ("loss", "reconstruction", "kl")


class Epoch(NamedTuple):
    """One row of the history: `epoch` counts from 1; the rest are means over images; no validation split, no values.

    `extras` has what only some models or settings have, by name: ``train_mse``, ``validation_perplexity``.
    """

    epoch: int
    learning_rate: float
    kl_weight: float
    train_loss: float
    train_reconstruction: float
    train_kl: float
    validation_loss: float | None
    validation_reconstruction: float | None
    validation_kl: float | None
    extras: Mapping[str, float] = {}

    def numbers(self) -> dict[str, float]:
        """Return the row by column, without `epoch` and without what is absent."""
        fixed = {k: v for k, v in self._asdict().items() if k not in ("epoch", "extras") and v is not None}
        return fixed | dict(self.extras)


def row(
    epoch: int, learning_rate: float, kl_weight: float, train: Mapping[str, float], validation: Mapping[str, float]
) -> Epoch:
    """Return the row of an epoch from the means of each split by name; `validation` may be empty."""
    named = {f"{s}_{k}": v for s, of in (("train", train), ("validation", validation)) for k, v in of.items()}
    fixed = [named.pop(f"{s}_{k}", None) for s in ("train", "validation") for k in PARTS]
    return Epoch(epoch, learning_rate, kl_weight, *fixed, named)  # type: ignore[call-arg, arg-type]


class Extent(NamedTuple):
    """How long a training goes on, and of which epochs it keeps the weights. It decides no weight of any epoch.

    Attributes
    ----------
    epochs
        Epochs at most.
    patience
        Epochs without a better validation loss that end it; 0: none do.
    min_delta
        By how much a loss must be lower to be better.
    keep_every
        The weights of every so many epochs are kept; 0: of none.
    """

    epochs: int
    patience: int = 0
    min_delta: float = 0.0
    keep_every: int = 0

    def kept(self, epochs: int) -> range:
        """Return the epochs, of so many, whose weights are kept."""
        return range(self.keep_every, epochs + 1, self.keep_every) if self.keep_every else range(0)


def best(rows: Sequence[Epoch], min_delta: float = 0.0) -> int:
    """Return the epoch (from 1) whose weights are kept: the last that lowered the validation loss by over `min_delta`.

    Without a validation split it is the last epoch. The validation loss has the full beta in every epoch, so that a
    warm-up of the KL term does not make later epochs look worse.
    """
    return max(_bests(rows, min_delta), default=0)


def ends(rows: Sequence[Epoch], extent: Extent) -> int | None:
    """Return after how many of these epochs a training ends, or None when it goes on after them."""
    for row, found in zip(rows, _bests(rows, extent.min_delta), strict=True):
        if row.epoch >= extent.epochs or (extent.patience and row.epoch - found >= extent.patience):
            return row.epoch
    return None


def _bests(rows: Sequence[Epoch], min_delta: float) -> Iterator[int]:
    """Yield the best epoch of those up to each."""
    found, lowest = 0, float("inf")
    for row in rows:
        if row.validation_loss is None:
            found = row.epoch
        elif row.validation_loss < lowest - min_delta or not found:
            found, lowest = row.epoch, row.validation_loss
        yield found
