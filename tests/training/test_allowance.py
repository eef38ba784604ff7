"""A budget of processor seconds or of steps ends epochs and training, and outlives an interruption."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from morphospace.errors import InputError
from morphospace.models import conv_vae
from morphospace.training import allowance, fitting
from morphospace.training.allowance import Budget
from morphospace.training.history import Epoch
from morphospace.training.module import Observer
from morphospace.training.objective import Objective
from morphospace.training.settings import Settings


class Clock:
    """Processor time that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(time, "process_time", lambda: self.now)


def test_only_what_runs_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    left = allowance.Allowance(Budget(10))
    clock.now += 5
    assert (left.spent, left.over, left.epoch_over) == (0, False, False)
    left.start()
    clock.now += 0.5
    assert not left.epoch_over
    clock.now += 0.5
    assert left.epoch_over
    assert not left.over
    left.stop()
    clock.now += 50
    assert left.means() == {"cpu_seconds": 1, "steps": 0}
    left.start()
    assert not left.epoch_over
    clock.now += 9
    assert left.over


def test_no_limit_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    left = allowance.Allowance(Budget())
    left.start()
    clock.now += 1e9
    assert not left.epoch_over
    assert left.means() == {}


class Ticking(Observer):
    """A second passes in every minibatch; the process dies after an epoch."""

    def __init__(self, clock: Clock, dies_after: int = 0) -> None:
        self.clock, self.dies_after = clock, dies_after
        self.steps: list[tuple[int, int]] = []

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        self.clock.now += 1
        self.steps.append((epoch, step))
        if self.dies_after and epoch > self.dies_after:
            raise RuntimeError("killed")


def _fit(folder: Path, observer: Ticking, *budget: float) -> list[Epoch]:
    tiles = np.random.default_rng(0).integers(0, 255, (50, 1, 16, 16)).astype(np.uint8)
    torch.manual_seed(1)
    settings = Settings(7, 1000, 8, 1e-3, Objective(10.0), budget=Budget(*budget))
    model = conv_vae.build(1, 16, 2)
    fitted = fitting.fit(model, tiles, np.arange(40), np.arange(40, 50), settings, folder, "a", observer)
    return fitted.history


def test_an_epoch_is_a_tenth_of_the_budget_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = Ticking(Clock(monkeypatch))
    rows = _fit(tmp_path, observer, 20)
    assert observer.steps == [(e, s) for e in range(1, 11) for s in (1, 2)]
    assert [row.extras["train_cpu_seconds"] for row in rows] == [2.0 * e for e in range(1, 11)]
    assert all(row.validation_loss is not None for row in rows)


def test_whole_epochs_are_kept_where_they_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = Ticking(Clock(monkeypatch))
    rows = _fit(tmp_path, observer, 72)  # an epoch is 5 minibatches, a tenth 7.2
    assert [row.extras["train_cpu_seconds"] for row in rows] == [*(5.0 * e for e in range(1, 15)), 72.0]
    assert observer.steps[-1] == (15, 2)


def test_a_killed_training_has_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    with pytest.raises(RuntimeError, match="killed"):
        _fit(tmp_path, Ticking(clock, dies_after=4), 20)
    rest = Ticking(clock)
    rows = _fit(tmp_path, rest, 20)
    assert rest.steps == [(e, s) for e in range(5, 11) for s in (1, 2)]
    assert rows[-1].extras["train_cpu_seconds"] == 20
    again = Ticking(clock)
    assert _fit(tmp_path, again, 20) == rows
    assert again.steps == []


def test_steps_are_counted_whatever_they_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observer = Ticking(Clock(monkeypatch))
    rows = _fit(tmp_path, observer, 0, 33)  # an epoch is 5 minibatches, a tenth of the budget 3.3
    assert observer.steps == [(e, s) for e in range(1, 9) for s in (1, 2, 3, 4)] + [(9, 1)]
    assert [row.extras["train_steps"] for row in rows] == [*(4 * e for e in range(1, 9)), 33]


def test_a_killed_training_has_the_steps_that_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    whole = _fit(tmp_path / "whole", Ticking(clock), 0, 33)
    with pytest.raises(RuntimeError, match="killed"):
        _fit(tmp_path / "cut", Ticking(clock, dies_after=4), 0, 33)
    rows = _fit(tmp_path / "cut", Ticking(clock), 0, 33)
    assert [r.train_loss for r in rows] == [r.train_loss for r in whole]
    assert rows[-1].extras["train_steps"] == 33


@pytest.mark.parametrize(("given", "reason"), [((0, 0), "--seconds is 0"), ((9, -1), "--steps is -1")])
def test_a_budget_of_nothing_is_refused(given: tuple[float, int], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        allowance.chosen(*given)


def test_steps_go_before_seconds_and_a_budget_has_words() -> None:
    assert allowance.chosen(60, 0).text == "60 processor seconds"
    assert allowance.chosen(60, 4000) == Budget(steps=4000)
    assert allowance.chosen(60, 4000).text == "4,000 training steps"
