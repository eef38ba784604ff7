"""The rows of the history, given to DVCLive and to MLflow. Neither touches ``dvc.yaml``; neither decides anything.

The numbers of record are the stage's own files. DVCLive writes text files that ``dvc plots`` and editors show while
training runs; MLflow keeps the runs of all experiments side by side, in one database a repository (``make mlflow``).
"""

import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import mlflow
import requests
from alembic.util import CommandError
from dvclive.live import Live
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from morphospace.errors import DiskError, StoppedError
from morphospace.training import tracking
from morphospace.training.history import Epoch

EXPERIMENT = "morphospace"
KEY_TAG = "morphospace.fingerprint"
_FAILURES = (MlflowException, SQLAlchemyError, CommandError, requests.RequestException, OSError, DiskError)
_PATIENCE = 60.0  # seconds to wait for other processes that write the same SQLite file
_log = logging.getLogger(__name__)


class Trackers:
    """DVCLive in a folder and one MLflow run, both given each row once, also the rows of an interrupted run.

    Parameters
    ----------
    folder
        DVCLive's folder; what was there is overwritten.
    name
        Of the MLflow run.
    parameters
        Logged by both: plain values by name.
    tags
        Of the MLflow run: the commit, the experiment, the data.
    fingerprint
        Finds the MLflow run that an interruption left unfinished, so that it is gone on with.
    """

    def __init__(
        self, folder: Path, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str], fingerprint: str
    ) -> None:
        self.live: Any = Live(dir=str(folder), dvcyaml=None, report=None, save_dvc_exp=False)
        self.live.log_params(dict(parameters))
        self.mlflow = MlflowRun(name, parameters, {**tags, KEY_TAG: fingerprint})

    def __enter__(self) -> Self:
        """Nothing is opened here."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End both; MLflow says how, and the run that resumes an interrupted one goes on with it."""
        if kind is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self.live.end()
        stopped = kind is not None and issubclass(kind, StoppedError | KeyboardInterrupt)
        self.mlflow.end("FINISHED" if kind is None else "KILLED" if stopped else "FAILED")

    def log(self, row: Epoch) -> None:
        """Give a row of the history to both."""
        self.live.step = row.epoch
        for key, value in row.numbers().items():
            self.live.log_metric(_grouped(key), value, timestamp=False)
        self.live.make_summary()
        self.mlflow.log(row)

    def picture(self, path: Path) -> None:
        """Keep a picture with the MLflow run."""
        self.mlflow.artifact(path)


class Store:
    """MLflow's store. When it fails, a warning says so once, and everything goes on without it."""

    def __init__(self) -> None:
        self.uri = tracking.uri()
        # A server that is away is noticed in seconds, not in the minutes of MLflow's seven patient retries.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        # Neither the tables of a new database, one by one, nor the traceback of a failure that is said below.
        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.CRITICAL)
        self.alive = True
        self.client: Any = None

    def attempt(self, action: Callable[[], None]) -> None:
        """Do something with the store; processes that write the same SQLite file take turns.

        SQLite alone would not do: MLflow makes the tables of a new file without a lock, and two that begin at once, as
        the members of a grid do, spoil it.
        """
        if not self.alive:
            return
        try:
            with tracking.turn(self.uri, _PATIENCE), _without_warnings():
                self.client = self.client or mlflow.MlflowClient(tracking_uri=self.uri)
                action()
        except _FAILURES as error:
            self.alive = False
            reason = " ".join(str(error).split())[:300]
            _log.warning("MLflow at %s does not answer (%s); going on without it", self.uri, reason)


class MlflowRun:
    """One MLflow run: opened, or found again when an interruption left it unfinished."""

    def __init__(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        self.store = Store()
        self.logged: set[int] = set()
        self.run_id = ""
        self.store.attempt(lambda: self._open(name, parameters, tags))

    def log(self, row: Epoch) -> None:
        """Log a row, unless the run has it already."""
        if row.epoch not in self.logged:
            now = int(time.time() * 1000)
            metrics = [Metric(_grouped(k), v, now, row.epoch) for k, v in row.numbers().items()]
            self.store.attempt(lambda: self.store.client.log_batch(self.run_id, metrics=metrics))
            self.logged.add(row.epoch)

    def artifact(self, path: Path) -> None:
        """Keep a file with the run."""
        self.store.attempt(lambda: self.store.client.log_artifact(self.run_id, str(path)))

    def end(self, state: str) -> None:
        """Say how the run ended: FINISHED, FAILED or KILLED."""
        self.store.attempt(lambda: self.store.client.set_terminated(self.run_id, state))

    def _open(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        client = self.store.client
        experiment = _experiment(client, self.store.uri)
        wanted = f"tags.`{KEY_TAG}` = '{tags[KEY_TAG]}' and attributes.status != 'FINISHED'"
        if unfinished := client.search_runs([experiment], wanted, max_results=1):
            self.run_id = unfinished[0].info.run_id
            self.logged = {m.step for m in client.get_metric_history(self.run_id, _grouped("train_loss"))}
            client.update_run(self.run_id, status="RUNNING", name=name)
        else:
            self.run_id = client.create_run(experiment, run_name=name, tags={KEY_TAG: tags[KEY_TAG]}).info.run_id
        client.log_batch(
            self.run_id,
            params=[Param(k, str(v)) for k, v in parameters.items()],
            tags=[RunTag(k, v) for k, v in tags.items()],
        )


def attach(fingerprint: str, numbers: Mapping[str, Any], artifacts: Sequence[Path] = ()) -> None:
    """Add what later stages found to the MLflow run of a model; where there is no such run, nothing happens.

    Parameters
    ----------
    fingerprint
        The one of ``model.json``; of several runs with it, that of this DVC experiment, or else the newest.
    numbers
        Metrics by name, such as ``similarity/S``; what is no finite number is left out.
    artifacts
        Files to keep with the run, such as the model card.
    """
    store = Store()
    store.attempt(lambda: _attach(store, fingerprint, numbers, artifacts))


def _attach(store: Store, fingerprint: str, numbers: Mapping[str, Any], artifacts: Sequence[Path]) -> None:
    client = store.client
    wanted, newest = f"tags.`{KEY_TAG}` = '{fingerprint}'", ["attributes.start_time DESC"]
    runs = client.search_runs([_experiment(client, store.uri)], wanted, order_by=newest)
    if not runs:
        _log.info("MLflow at %s has no run of model %s; its scores are in reports/ alone", store.uri, fingerprint)
        return
    name = os.environ.get("DVC_EXP_NAME")
    run = next((r for r in runs if name and r.data.tags.get("dvc_exp_name") == name), runs[0]).info.run_id
    now = int(time.time() * 1000)
    client.log_batch(run, metrics=[Metric(k, float(v), now, 0) for k, v in numbers.items() if _is_number(v)])
    for path in artifacts:
        client.log_artifact(run, str(path))


def _experiment(client: Any, uri: str) -> str:
    """Return the identifier of the one MLflow experiment, made if need be; its files lie beside a SQLite file."""
    found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id if found else client.create_experiment(EXPERIMENT, tracking.artifacts(uri)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _grouped(column: str) -> str:
    """``train_loss`` as ``train/loss``: both trackers draw what stands before the stroke together."""
    split, _, part = column.partition("_")
    return f"{split}/{part}" if split in ("train", "validation") else column


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide MLflow's own use of names that pydantic, SQLAlchemy and the standard library have deprecated."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
            warnings.simplefilter("ignore", category)
        yield
