"""The loop of a search: start trials, look at their rows, stop what is not worth its time, write down what came out."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import optuna
from optuna.trial import Trial, TrialState

from morphospace.apps.tune import study as studies
from morphospace.apps.tune.experiment import Experiment
from morphospace.errors import TrainingError
from morphospace.words import count

_PAUSE = 0.5  # seconds between looks
_PATIENCE = 120.0  # seconds that stopped trainings have to end
_FAILURES = 3  # trials in a row: something else is wrong
_log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """What to do: `trials` that end, at most `seconds`, `workers` at a time; `space` has Optuna's distributions."""

    space: Mapping[str, Any]
    seed: int
    trials: int
    seconds: float
    workers: int


class Callbacks(NamedTuple):
    """What the search asks of its caller: to start the experiment of a trial, to read its result, to show a result."""

    start: Callable[[Trial], Experiment]
    result: Callable[[str], tuple[float, dict[str, Any]]]  # value, and what else to note, of a finished experiment
    show: Callable[[str], None]


class Search:
    """Runs trials of a study until the plan is fulfilled; trials that run when it ends are interrupted, not lost."""

    def __init__(self, study: optuna.Study, plan: Plan, calls: Callbacks) -> None:
        self.study, self.plan, self.calls = study, plan, calls
        self.running: dict[Trial, Experiment] = {}
        self.ended = self.failures = 0
        self.reason = ""

    def run(self) -> str:
        """Return why it ended.

        Raises
        ------
        TrainingError
            When the first trials fail one after the other, with what the last one said.
        """
        ends = time.monotonic() + self.plan.seconds
        exhausted = False
        try:
            while True:
                while not exhausted and self._wants_more():
                    exhausted = not self._begin()
                if not self.running:
                    return "nothing new is left in the space" if exhausted else "all trials have ended"
                if time.monotonic() > ends:
                    return "the time is over"
                time.sleep(_PAUSE)
                for trial in list(self.running):
                    self._look(trial)
        finally:
            self._interrupt()

    def _wants_more(self) -> bool:
        room = len(self.running) < self.plan.workers
        return room and self.ended + len(self.running) < self.plan.trials

    def _begin(self) -> bool:
        trial = studies.ask(self.study, self.plan.space, self.plan.seed)
        if trial is None:
            return False
        experiment = self.calls.start(trial)
        trial.set_user_attr(studies.WATCH, str(experiment.watcher.path))
        trial.set_user_attr(studies.EXPERIMENT, experiment.name)
        self.running[trial] = experiment
        return True

    def _look(self, trial: Trial) -> None:
        """Pass on the rows of a trial; stop it when it is worse than the others; end it when its process has."""
        experiment = self.running[trial]
        code = experiment.poll()
        for row in experiment.watcher.rows():
            trial.report(row["validation_mse"], row["epoch"])
            trial.set_user_attr(studies.KL, row["validation_kl"])
            trial.set_user_attr(studies.EPOCHS, row["epoch"])
        if code is None and not experiment.told_to_stop and trial.should_prune():
            experiment.stop()
        if code is not None:
            del self.running[trial]
            self._end(trial, experiment, code)

    def _end(self, trial: Trial, experiment: Experiment, code: int) -> None:
        trial.set_user_attr(studies.SECONDS, round(time.monotonic() - experiment.began, 1))
        self.ended += 1
        if code == 0:
            value, noted = self.calls.result(experiment.name)
            for key, what in noted.items():
                trial.set_user_attr(key, what)
            self.study.tell(trial, value)
            said = f"validation MSE {value:.5g}"
        elif experiment.told_to_stop:
            self.study.tell(trial, state=TrialState.PRUNED)
            said = f"pruned after epoch {max(self.study.trials[trial.number].intermediate_values, default=0)}"
        else:
            trial.set_user_attr(studies.REASON, experiment.reason())
            self.study.tell(trial, state=TrialState.FAIL)
            said = f"failed: {experiment.reason()}"
        experiment.stop()
        self.failures = self.failures + 1 if said.startswith("failed") else 0
        self.calls.show(f"trial {trial.number} ({self._named(trial)}): {said}")
        if self.failures >= _FAILURES:
            raise TrainingError(
                f"{count(self.failures, 'trial')} in a row failed; the last, {experiment.name}: {experiment.reason()} "
                f"(all it said: {experiment.log})"
            )

    def _interrupt(self) -> None:
        """Stop what runs and put it first in the queue of the study."""
        for trial, experiment in self.running.items():
            experiment.stop()
            studies.interrupt(self.study, trial.number, trial.params)
        ends = time.monotonic() + _PATIENCE
        while any(e.poll() is None for e in self.running.values()) and time.monotonic() < ends:
            time.sleep(_PAUSE)
        self.running.clear()

    @staticmethod
    def _named(trial: Trial) -> str:
        return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial.params.items())
