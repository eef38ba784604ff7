"""The loop: results are told, failures survived until something else must be wrong, and nothing that ran is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import optuna
import pytest
from optuna.trial import Trial, TrialState

from morphospace.apps.tune import search
from morphospace.apps.tune import study as studies
from morphospace.apps.tune.experiment import Experiment
from morphospace.errors import TrainingError
from morphospace.supervision import Watcher

FORMS = {"x": studies.distribution({"low": 0.0, "high": 1.0, "log": False, "step": None}, False)}


class Scripted:
    """An experiment that reports an epoch a look, without a process; `test_tune.py` has the real ones."""

    def __init__(self, folder: Path, name: str, value: float, code: int, epochs: float = 3) -> None:
        self.name, self.value, self.code, self.left = name, value, code, epochs
        self.watcher = Watcher(folder / f"{name}.jsonl")
        self.log, self.began, self.told_to_stop, self.epoch = folder / "x.log", 0.0, False, 0

    def poll(self) -> int | None:
        if self.told_to_stop:
            return 1
        if not self.left:
            return self.code
        self.left -= 1
        self.epoch += 1
        with self.watcher.path.open("a") as file:
            file.write(f'{{"epoch": {self.epoch}, "validation_mse": {self.value}, "validation_kl": 2.0}}\n')
        return None

    def stop(self) -> None:
        self.told_to_stop = True
        self.watcher.let_go()

    def reason(self) -> str:
        return "error: TrainingError: the loss is no longer finite"


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> optuna.Study:
    monkeypatch.setattr(search, "_PAUSE", 0.0)
    return studies.connect(tmp_path / "tune.db", "s", studies.Identity({"x": [0]}, "b"), 0, True)


def _run(
    study: optuna.Study,
    folder: Path,
    script: Callable[[int], tuple[float, int, float]],
    trials: int = 3,
    workers: int = 1,
    seconds: float = 60,
) -> str:
    said: list[str] = []

    def start(trial: Trial) -> Experiment:
        return cast(Experiment, Scripted(folder, f"t{trial.number}", *script(trial.number)))

    def result(name: str) -> tuple[float, dict[str, Any]]:
        return script(int(name[1:]))[0], {"epochs": 3}

    calls = search.Callbacks(start, result, said.append)
    ended = search.Search(study, search.Plan(FORMS, 0, trials, seconds, workers), calls).run()
    assert len(said) == sum(studies.SECONDS in t.user_attrs for t in study.trials)
    return ended


def test_values_and_rows_are_told(study: optuna.Study, tmp_path: Path) -> None:
    assert _run(study, tmp_path, lambda n: (n + 0.5, 0, 3), trials=3, workers=2) == "all trials have ended"
    assert [t.value for t in study.trials] == [0.5, 1.5, 2.5]
    assert study.trials[1].intermediate_values == {1: 1.5, 2: 1.5, 3: 1.5}
    assert study.trials[1].user_attrs[studies.EXPERIMENT] == "t1"


def test_a_failed_trial_does_not_stop_the_others(study: optuna.Study, tmp_path: Path) -> None:
    _run(study, tmp_path, lambda n: (1.0, int(n == 1), 2), trials=3)
    assert [t.state for t in study.trials] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert "no longer finite" in studies.table(study, ["x"], 1.0).loc[1, "reason"]


def test_three_failures_in_a_row_end_the_search_with_what_was_said(study: optuna.Study, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"3 trials in a row failed; the last, t2: .*no longer finite.*x\.log"):
        _run(study, tmp_path, lambda n: (1.0, 1, 1), trials=9)
    assert len(study.trials) == 3


def test_the_worst_is_pruned(study: optuna.Study, tmp_path: Path) -> None:
    _run(study, tmp_path, lambda n: (100.0 if n == 5 else 1.0 + n / 10, 0, 4), trials=6)
    assert [t.state.name for t in study.trials][-1] == "PRUNED"
    assert len(study.trials[-1].intermediate_values) < 4


def test_when_the_time_is_over_what_runs_is_kept_for_the_next_search(study: optuna.Study, tmp_path: Path) -> None:
    assert _run(study, tmp_path, lambda n: (1.0, 0, 1e9), trials=2, workers=2, seconds=0.05) == "the time is over"
    assert [t.state.name for t in study.trials] == ["FAIL", "FAIL", "WAITING", "WAITING"]
    params = [t.params for t in study.trials[:2]]
    _run(study, tmp_path, lambda n: (1.0, 0, 1), trials=2, workers=2)
    assert [t.params for t in study.trials[2:]] == params
    assert {t.state.name for t in study.trials[2:]} == {"COMPLETE"}


def test_a_used_up_space_ends_the_search(study: optuna.Study, tmp_path: Path) -> None:
    plan = search.Plan({"x": studies.distribution([1, 2], False)}, 0, 9, 60, 1)
    calls = search.Callbacks(
        lambda trial: cast(Experiment, Scripted(tmp_path, f"t{trial.number}", 1.0, 0, 1)),
        lambda name: (1.0, {}),
        lambda line: None,
    )
    assert search.Search(study, plan, calls).run() == "nothing new is left in the space"
    assert sum(t.state == TrialState.COMPLETE for t in study.trials) == 2
