"""The study: which trials there are, what they gave, and the next values to try. Several processes share its file."""

import itertools
import json
import logging
import math
import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from morphospace import supervision
from morphospace.errors import InputError

WATCH, TWIN, RESUMES, REASON, KL = "watch", "twin", "resumes", "reason", "kl"
EXPERIMENT, EPOCHS, SECONDS = "experiment", "epochs", "seconds"
_STARTUP = 5  # trials that end before any is pruned
_DRAWS = 20  # in a row without anything new: the space is used up
_COMBINATIONS = 10_000  # up to which a space of choices is counted
_GRACE = 60.0  # seconds that a new trial has to say who watches it
Space = Mapping[str, Any]


class Identity(NamedTuple):
    """What makes the values of a study comparable: another space or another base is another study."""

    space: Mapping[str, Any]  # as plain JSON
    base: str  # fingerprint of data, code and all other parameters


def connect(database: Path, name: str, identity: Identity, warm_up: int, prune: bool) -> optuna.Study:
    """Return the study of this name, made when there is none.

    Parameters
    ----------
    database
        A SQLite file; several processes may use it at once.
    name
        Of the study.
    identity
        What it searches, and with what.
    warm_up
        Epochs that every trial gets before it may be pruned.
    prune
        Whether a trial stops when its best value so far is worse than the median of the others at that epoch.

    Raises
    ------
    InputError
        When the file is no store of studies, or its study of this name has another space or another base.
    """
    check_file(database)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    database.parent.mkdir(parents=True, exist_ok=True)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=warm_up)
    store = optuna.storages.RDBStorage(
        f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": 60}}, skip_table_creation=False
    )
    study = optuna.create_study(
        storage=store,
        study_name=name,
        load_if_exists=True,
        direction="minimize",
        pruner=pruner if prune else optuna.pruners.NopPruner(),
    )
    _check_identity(study, identity, database)
    return study


def check_file(database: Path) -> None:
    """Refuse a file that is something else, before Optuna writes its tables into it.

    Raises
    ------
    InputError
        When it is no SQLite file, or one without studies.
    """
    if not database.exists() or not database.stat().st_size:
        return
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as opened:
            tables = {row[0] for row in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        raise InputError(f"{database} is no SQLite file ({error}); name another with --storage") from None
    if tables and "studies" not in tables:
        raise InputError(f"{database} holds tables of another kind, such as {min(tables)}; name another with --storage")


def _check_identity(study: optuna.Study, identity: Identity, database: Path) -> None:
    given = {"space": json.loads(json.dumps(identity.space)), "base": identity.base}
    found = {key: study.user_attrs.get(key) for key in given}
    if found == dict.fromkeys(given):
        for key, value in given.items():
            study.set_user_attr(key, value)
        return
    where = f"study {study.study_name!r} of {database}"
    if found["space"] != given["space"]:
        raise InputError(f"{where} searches {json.dumps(found['space'])}, not this space; name another with --study")
    if found["base"] != given["base"]:
        raise InputError(
            f"{where} was begun with other data, code or parameters, so its values cannot be compared with new ones; "
            "go back to them, or name another with --study"
        )


def distribution(values: Any, whole: bool) -> optuna.distributions.BaseDistribution:
    """Return Optuna's form of a list of choices or of a range; a `whole` range is of integers."""
    if isinstance(values, list):
        return CategoricalDistribution(values)
    if whole:
        return IntDistribution(
            int(values["low"]), int(values["high"]), log=values["log"], step=int(values["step"] or 1)
        )
    return FloatDistribution(values["low"], values["high"], log=values["log"], step=values["step"])


def ask(study: optuna.Study, space: Space, seed: int) -> Trial | None:
    """Return a trial with new values, or None when nothing new was drawn in many attempts.

    What was interrupted is tried again first. Draws depend on the seed, the number of the trial and what the others
    gave. A combination that another trial has, or had, is marked as its twin and never run again; where there are
    choices alone, one that is left is drawn instead.
    """
    for _ in range(_DRAWS):
        left = _untried(study, space)
        if left is not None and not left and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            return None
        entropy = np.random.SeedSequence([seed, len(study.get_trials(deepcopy=False))])
        study.sampler = optuna.samplers.TPESampler(seed=int(entropy.generate_state(1)[0]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            trial = study.ask(dict(space))
        twin = _twin(study, trial)
        if twin is None:
            return trial
        trial.set_user_attr(TWIN, twin)
        study.tell(trial, state=TrialState.FAIL)
        if left:
            rng = np.random.default_rng([seed, trial.number])
            study.enqueue_trial(left[int(rng.integers(len(left)))])
    return None


def _untried(study: optuna.Study, space: Space) -> list[dict[str, Any]] | None:
    """Return the combinations that no trial has, where the space is of choices alone and they can be counted."""
    choices = [form.choices for form in space.values() if isinstance(form, CategoricalDistribution)]
    if len(choices) < len(space) or math.prod(len(c) for c in choices) > _COMBINATIONS:
        return None
    tried = [t.params for t in study.get_trials(deepcopy=False, states=_STARTED)]
    every = (dict(zip(space, values, strict=True)) for values in itertools.product(*choices))
    return [combination for combination in every if combination not in tried]


def _twin(study: optuna.Study, trial: Trial) -> int | None:
    """Return the number of an earlier trial with the same values, unless that one was interrupted."""
    again = {t.user_attrs[RESUMES] for t in study.get_trials(deepcopy=False) if RESUMES in t.user_attrs}
    for other in study.get_trials(deepcopy=False, states=_STARTED):
        same = other.params == trial.params and other.number < trial.number and TWIN not in other.user_attrs
        if same and other.number not in again:
            return other.number
    return None


_STARTED = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def interrupt(study: optuna.Study, trial: int, params: Mapping[str, Any]) -> None:
    """Mark a trial as failed and put its values first in the queue: its training goes on from its checkpoint."""
    study.enqueue_trial(dict(params), user_attrs={RESUMES: trial})
    study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)


def reap(study: optuna.Study) -> list[int]:
    """Interrupt the trials whose search is gone, killed for example, and return their numbers."""
    gone = [t for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)) if not _is_alive(t)]
    for trial in gone:
        interrupt(study, trial.number, trial.params)
    return [t.number for t in gone]


def _is_alive(trial: FrozenTrial) -> bool:
    if WATCH in trial.user_attrs:
        return supervision.is_watched(Path(trial.user_attrs[WATCH]))
    started = trial.datetime_start
    return started is not None and (pd.Timestamp.now() - pd.Timestamp(started)).total_seconds() < _GRACE


def best(study: optuna.Study) -> FrozenTrial | None:
    """Return the trial of the lowest value, None when none is complete."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(done, key=lambda t: (t.value, t.number)) if done else None


def table(study: optuna.Study, keys: Sequence[str], floor: float) -> pd.DataFrame:
    """Return a row a trial, in order: number, state, value, skill over the floor, what else is known, its parameters.

    Twins are left out. `skill` is 1 - value / floor: 1 is perfect, 0 no better than the floor. The value of a pruned
    trial is its last one.
    """
    trials = [t for t in study.get_trials(deepcopy=False) if TWIN not in t.user_attrs]
    again = {t.user_attrs[RESUMES] for t in trials if RESUMES in t.user_attrs}
    rows = []
    for trial in trials:
        last = trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None
        value = trial.value if trial.state == TrialState.COMPLETE else last
        state = "interrupted" if trial.number in again else trial.state.name.lower()
        row = {"trial": trial.number, "state": state, "validation_mse": value}
        row |= {"skill": None if value is None else 1 - value / floor, "validation_kl": trial.user_attrs.get(KL)}
        row |= {c: trial.user_attrs.get(c) for c in (EPOCHS, SECONDS, EXPERIMENT, REASON)}
        rows.append(row | {key: trial.params.get(key) for key in keys})
    columns = ["trial", "state", "validation_mse", "skill", "validation_kl", EPOCHS, SECONDS, EXPERIMENT, REASON, *keys]
    found = pd.DataFrame(rows, columns=columns)
    numbers = ["validation_mse", "skill", "validation_kl", EPOCHS, SECONDS]
    found[numbers] = found[numbers].apply(pd.to_numeric)
    return found


def importances(study: optuna.Study) -> dict[str, float]:
    """Return the share of each parameter in the spread of the values; empty where the trials are too few or alike."""
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(done) < 2 * _STARTUP or len({t.value for t in done}) == 1:
        return {}
    fanova = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=fanova))


logging.getLogger("optuna").setLevel(logging.WARNING)
