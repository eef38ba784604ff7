"""A budget of training: minibatches, or processor seconds, which do not depend on what else the machine does."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from morphospace.errors import InputError

PARTS = 10  # epochs that a budget is enough for, at least


class Budget(NamedTuple):
    """How much a training may take: processor seconds of its steps, or steps (minibatches); 0 is no limit.

    Steps are the budget to quote a number by: another machine takes as many.
    """

    seconds: float = 0.0
    steps: int = 0

    @property
    def text(self) -> str:
        """The budget in words."""
        return f"{self.steps:,} training steps" if self.steps else f"{self.seconds:g} processor seconds"


def chosen(seconds: float, steps: int) -> Budget:
    """Return the budget that options of a command name: `steps` where there are any, or else `seconds`.

    Raises
    ------
    InputError
        When it is not above 0.
    """
    if steps < 0:
        raise InputError(f"--steps is {steps}: a training needs some")
    if not steps and not seconds > 0:
        raise InputError(f"--seconds is {seconds:g}: a training needs some")
    return Budget(steps=steps) if steps else Budget(seconds=seconds)


class Allowance:
    """What is left of a budget.

    Processor seconds are those of all threads of this process. An epoch ends at a tenth of the budget at the latest, so
    that also a slow model is validated ten times, and training ends at the minibatch that reaches the limit.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.spent, self.taken = 0.0, 0  # processor seconds, steps
        self._since: float | None = None
        self._first = 0

    def start(self) -> None:
        """Begin to count."""
        self._since, self._first = time.process_time(), self.taken

    def step(self) -> None:
        """Count a minibatch."""
        self.taken += 1

    def stop(self) -> None:
        """Count no further."""
        self.spent += self._running()
        self._since = None

    @property
    def over(self) -> bool:
        """Whether the limit is reached."""
        seconds, steps = self.budget
        return 0 < seconds <= self.spent + self._running() or 0 < steps <= self.taken

    @property
    def epoch_over(self) -> bool:
        """Whether the epoch that was started last has had its share, or the limit is reached."""
        seconds, steps = self.budget
        return self.over or 0 < seconds <= PARTS * self._running() or 0 < steps <= PARTS * (self.taken - self._first)

    def means(self) -> dict[str, float]:
        """Return what a row of the history says of it: nothing without a limit."""
        return {"cpu_seconds": self.spent, "steps": self.taken} if any(self.budget) else {}

    def resume(self, row: Mapping[str, float]) -> None:
        """Go on from the last row of a history that was interrupted."""
        self.spent, self.taken = row.get("train_cpu_seconds", 0.0), int(row.get("train_steps", 0))

    def _running(self) -> float:
        return 0.0 if self._since is None else time.process_time() - self._since
