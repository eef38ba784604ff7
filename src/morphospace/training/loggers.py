"""The rows of the history, given to DVCLive and to MLflow. Neither touches ``dvc.yaml``; neither decides anything.

The numbers of record are the stage's own files. DVCLive writes text files that ``dvc plots`` and editors show while
training runs; MLflow keeps runs side by side (``mlflow ui --backend-store-uri sqlite:///mlflow.db``).
"""

import logging
import os
import subprocess
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import mlflow
import requests
from dvclive.live import Live
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from morphospace.training.history import Epoch

EXPERIMENT = "morphospace"
KEY_TAG = "morphospace.fingerprint"
_FAILURES = (MlflowException, requests.RequestException, OSError)
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
        Finds the MLflow run that an interruption left open, so that it is gone on with.
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
        """End both; a run that failed is left open for the one that resumes it."""
        if kind is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self.live.end()
            self.mlflow.end()

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


class MlflowRun:
    """One MLflow run. When its store fails, a warning says so once and training goes on without it."""

    def __init__(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        self.uri = tracking_uri()
        # A server that is away is noticed in seconds, not in the minutes of MLflow's seven patient retries.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        self.logged: set[int] = set()
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)  # not the tables of a new database, one by one
        self.run_id = ""
        self.alive = True
        self._try(lambda: self._open(name, parameters, tags))

    def log(self, row: Epoch) -> None:
        """Log a row, unless the run has it already."""
        if row.epoch not in self.logged:
            now = int(time.time() * 1000)
            metrics = [Metric(_grouped(k), v, now, row.epoch) for k, v in row.numbers().items()]
            self._try(lambda: self.client.log_batch(self.run_id, metrics=metrics))
            self.logged.add(row.epoch)

    def artifact(self, path: Path) -> None:
        """Keep a file with the run."""
        self._try(lambda: self.client.log_artifact(self.run_id, str(path)))

    def end(self) -> None:
        """Mark the run as finished."""
        self._try(lambda: self.client.set_terminated(self.run_id))

    def _open(self, name: str, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        self.client = mlflow.MlflowClient(tracking_uri=self.uri)
        found = self.client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self.client.create_experiment(EXPERIMENT)
        wanted = f"tags.`{KEY_TAG}` = '{tags[KEY_TAG]}' and attributes.status = 'RUNNING'"
        if left_open := self.client.search_runs([experiment], wanted, max_results=1):
            self.run_id = left_open[0].info.run_id
            self.logged = {m.step for m in self.client.get_metric_history(self.run_id, _grouped("train_loss"))}
            return
        self.run_id = self.client.create_run(experiment, run_name=name).info.run_id
        self.client.log_batch(
            self.run_id,
            params=[Param(k, str(v)) for k, v in parameters.items()],
            tags=[RunTag(k, v) for k, v in tags.items()],
        )

    def _try(self, action: Any) -> None:
        if not self.alive:
            return
        try:
            with warnings.catch_warnings():
                # MLflow's own use of names that pydantic, SQLAlchemy and the standard library have deprecated.
                for category in (DeprecationWarning, FutureWarning, PendingDeprecationWarning):
                    warnings.simplefilter("ignore", category)
                action()
        except _FAILURES as error:
            self.alive = False
            reason = " ".join(str(error).split())[:300]
            _log.warning("MLflow at %s does not answer (%s); training goes on without it", self.uri, reason)


def tracking_uri() -> str:
    """Return ``MLFLOW_TRACKING_URI``, or the file ``mlflow.db`` of the working folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def tags(data: str) -> dict[str, str]:
    """Return what names a run: the git commit, the DVC experiment and a hash of the data, each where there is one."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    found = {
        "mlflow.source.git.commit": commit.stdout.strip() if commit.returncode == 0 else "",
        "dvc_exp_name": os.environ.get("DVC_EXP_NAME", ""),
        "data": data,
    }
    return {key: value for key, value in found.items() if value}


def _grouped(column: str) -> str:
    """``train_loss`` as ``train/loss``: both trackers draw what stands before the stroke together."""
    split, _, part = column.partition("_")
    return f"{split}/{part}" if split in ("train", "validation") else column
