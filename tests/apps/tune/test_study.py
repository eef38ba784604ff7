"""A study is shared, gone on with, and never mixed with another."""

import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from morphospace import supervision
from morphospace.apps.tune import study as studies
from morphospace.errors import InputError

SPACE = {"z_dim": [4, 8, 16], "train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True, "step": None}}
FORMS = {k: studies.distribution(v, False) for k, v in SPACE.items()}


def _connect(folder: Path, name: str = "s", base: str = "b", space: Any = None, warm_up: int = 0) -> optuna.Study:
    return studies.connect(folder / "tune.db", name, studies.Identity(space or SPACE, base), warm_up, True)


def _ask(study: optuna.Study, forms: Any = None) -> optuna.Trial:
    trial = studies.ask(study, forms or FORMS, 0)
    assert trial is not None
    return trial


def test_the_draws_depend_on_the_seed_and_the_trials_before(tmp_path: Path) -> None:
    drawn = []
    for name in ("one", "two"):
        study = _connect(tmp_path, name)
        for value in (0.3, 0.1, 0.2):
            trial = _ask(study)
            study.tell(trial, value)
        drawn.append([t.params for t in study.trials])
    assert drawn[0] == drawn[1]
    assert len({str(p) for p in drawn[0]}) == 3
    again = _connect(tmp_path, "one")  # as another process would
    assert _ask(again).params not in drawn[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"space": {"z_dim": [4, 8]}},
            r"study 's' of .*tune\.db searches .*, not this space; name another with --study",
        ),
        ({"base": "other"}, "begun with other data, code or parameters"),
    ],
)
def test_a_study_of_another_space_or_base_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    _connect(tmp_path)
    _connect(tmp_path)
    with pytest.raises(InputError, match=message):
        _connect(tmp_path, **changes)


def test_a_file_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "tune.db"
    path.write_bytes(b"this is no database" * 50)
    with pytest.raises(InputError, match=r"tune\.db is no SQLite file"):
        _connect(tmp_path)
    path.unlink()
    opened = sqlite3.connect(path)
    opened.execute("CREATE TABLE experiments (x)")
    opened.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="tables of another kind, such as experiments"):
        _connect(tmp_path)
    assert path.read_bytes() == before


def test_the_same_values_are_not_tried_twice_and_a_space_can_be_used_up(tmp_path: Path) -> None:
    study = _connect(tmp_path)
    few = {"z_dim": studies.distribution([4, 8], False)}
    first, second = _ask(study, few), _ask(study, few)
    assert {first.params["z_dim"], second.params["z_dim"]} == {4, 8}
    assert studies.ask(study, few, 0) is None
    assert list(studies.table(study, ["z_dim"], 1.0)["trial"]) == [first.number, second.number]


def test_a_trial_whose_search_is_gone_is_tried_again_first(tmp_path: Path) -> None:
    study = _connect(tmp_path)
    dead, alive = _ask(study), _ask(study)
    held = supervision.Watcher(tmp_path / "alive.jsonl")
    alive.set_user_attr(studies.WATCH, str(tmp_path / "alive.jsonl"))
    dead.set_user_attr(studies.WATCH, str(tmp_path / "dead.jsonl"))
    young = _ask(study)  # it has not yet said who watches it
    assert studies.reap(study) == [dead.number]
    assert studies.reap(study) == []
    assert [t.state for t in study.trials[: young.number + 1]] == [
        TrialState.FAIL,
        TrialState.RUNNING,
        TrialState.RUNNING,
    ]
    again = _ask(study)
    assert again.params == dead.params
    assert again.user_attrs[studies.RESUMES] == dead.number
    study.tell(again, 0.5)
    found = studies.table(study, list(SPACE), 1.0).set_index("trial")
    assert found.loc[dead.number, "state"] == "interrupted"
    assert found.loc[again.number, "skill"] == 0.5
    held.let_go()


def test_a_trial_worse_than_the_median_is_pruned_after_the_warm_up(tmp_path: Path) -> None:
    study = _connect(tmp_path, warm_up=2)
    for value in range(5):
        trial = _ask(study)
        for epoch in (1, 2, 3):
            trial.report(1.0 + value, epoch)
        study.tell(trial, 1.0 + value)
    bad = _ask(study)
    pruned = []
    for epoch in (1, 2, 3):
        bad.report(100.0, epoch)
        pruned.append(bad.should_prune())
    assert pruned == [False, False, True] or pruned == [False, True, True]
    study.tell(bad, state=TrialState.PRUNED)
    found = studies.best(study)
    assert found is not None
    assert found.value == 1.0
    assert studies.table(study, list(SPACE), 1.0).iloc[-1]["validation_mse"] == 100.0


def test_ranges_and_choices_become_distributions() -> None:
    whole = studies.distribution({"low": 4, "high": 64, "log": True, "step": None}, True)
    assert isinstance(whole, optuna.distributions.IntDistribution)
    assert (whole.low, whole.high, whole.log) == (4, 64, True)
    stepped = studies.distribution({"low": 0.0, "high": 1.0, "log": False, "step": 0.25}, False)
    assert isinstance(stepped, optuna.distributions.FloatDistribution)
    assert stepped.step == 0.25


def test_importances_need_trials(tmp_path: Path) -> None:
    study = _connect(tmp_path)
    assert studies.best(study) is None
    assert studies.importances(study) == {}
    for _ in range(12):
        trial = _ask(study)
        study.tell(trial, float(trial.params["z_dim"]) + trial.params["train.learning_rate"])
    found = studies.importances(study)
    assert found["z_dim"] > found["train.learning_rate"]
