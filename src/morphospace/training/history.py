"""What the epochs gave, and what follows from it: which one is best, whether to stop. Pure functions of the losses."""

from collections.abc import Sequence
from typing import NamedTuple

PARTS = ("loss", "reconstruction", "kl")


class Epoch(NamedTuple):
    """One row of the history: `epoch` counts from 1; the rest are means over images; no validation split, no values."""

    epoch: int
    learning_rate: float
    kl_weight: float
    train_loss: float
    train_reconstruction: float
    train_kl: float
    validation_loss: float | None
    validation_reconstruction: float | None
    validation_kl: float | None

    def numbers(self) -> dict[str, float]:
        """Return the row by column, without `epoch` and without what is absent."""
        return {k: v for k, v in self._asdict().items() if k != "epoch" and v is not None}


def best(rows: Sequence[Epoch], min_delta: float = 0.0) -> int:
    """Return the epoch (from 1) whose weights are kept: the last that lowered the validation loss by over `min_delta`.

    Without a validation split it is the last epoch. The validation loss has the full beta in every epoch, so that a
    warm-up of the KL term does not make later epochs look worse.
    """
    found, lowest = 0, float("inf")
    for row in rows:
        if row.validation_loss is None:
            found = row.epoch
        elif row.validation_loss < lowest - min_delta or not found:
            found, lowest = row.epoch, row.validation_loss
    return found


def should_stop(rows: Sequence[Epoch], patience: int, min_delta: float = 0.0) -> bool:
    """Whether `patience` epochs have passed without a better validation loss; never with a patience of 0."""
    return bool(patience and rows) and rows[-1].epoch - best(rows, min_delta) >= patience
