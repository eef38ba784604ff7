"""How to train: the optimisation, the schedules, what is minimised, when to stop."""

from dataclasses import dataclass, field

from morphospace.training.allowance import Budget
from morphospace.training.augment import Augmentation
from morphospace.training.history import Extent
from morphospace.training.objective import Objective


@dataclass(frozen=True)
class Settings:
    """How to train; the names are those of ``params.yaml``.

    `warmup` steps reach the learning rate. The weights that count are an average over the last steps, the share
    `average` of all so far; 0: the last weights, not averaged.
    `contrastive` weighs `contrast.across`, and `temperature` is that of all similarities. A `budget` that
    limits something ends the training (`allowance.Allowance`).
    """

    seed: int
    epochs: int
    minibatch: int
    learning_rate: float
    objective: Objective
    augment: Augmentation = field(default_factory=Augmentation)
    lr_decay: float = 1.0
    lr_step: int = 1
    warmup: int = 0
    weight_decay: float = 0.0
    average: float = 0.0
    beta: float = 1.0
    kl_warmup: int = 0
    kl_period: int = 0
    contrastive: float = 0.0
    temperature: float = 0.2
    patience: int = 0
    min_delta: float = 0.0
    budget: Budget = field(default_factory=Budget)
    keep_every: int = 0

    @property
    def extent(self) -> Extent:
        """How long it goes on; all that is besides decides the weights of every epoch."""
        return Extent(self.epochs, self.patience, self.min_delta, self.keep_every)
