"""Both trackers hold the numbers of the history, once each, and none of them can stop a training."""

import csv
import logging
from pathlib import Path

import mlflow
import pytest

from morphospace.training import loggers
from morphospace.training.history import Epoch

ROWS = [
    Epoch(1, 5e-4, 0.5, 10.0, 8.0, 4.0, 9.0, 7.5, 3.0),
    Epoch(2, 5e-4, 1.0, 7.0, 5.0, 2.0, 8.0, 6.0, 2.0),
    Epoch(3, 5e-4, 1.0, 6.0, 4.5, 1.5, 7.5, 5.75, 1.75),
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "1")


def _trackers(folder: Path) -> loggers.Trackers:
    return loggers.Trackers(folder, "run", {"z_dim": 4, "train.epochs": 3}, {"data": "abc"}, "f00")


def _killed_after_two(folder: Path) -> None:
    with _trackers(folder) as trackers:
        trackers.log(ROWS[0])
        trackers.log(ROWS[1])
        raise RuntimeError("killed")


def _of_mlflow() -> dict[int, float]:
    client = mlflow.MlflowClient(tracking_uri=loggers.tracking_uri())
    experiment = client.get_experiment_by_name(loggers.EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.tags["data"] == "abc"
    assert run.data.params == {"z_dim": "4", "train.epochs": "3"}
    assert run.info.status == "FINISHED"
    assert [a.path for a in client.list_artifacts(run.info.run_id)] == ["curves.png"]
    history = client.get_metric_history(run.info.run_id, "validation/loss")
    assert len({m.step for m in history}) == len(history)
    return {m.step: m.value for m in history}


def _of_dvclive(folder: Path) -> dict[int, float]:
    with (folder / "plots" / "metrics" / "validation" / "loss.tsv").open(newline="") as file:
        return {int(r["step"]): float(r["loss"]) for r in csv.DictReader(file, delimiter="\t")}


def test_an_interrupted_run_ends_with_every_row_once_in_both(tmp_path: Path) -> None:
    (tmp_path / "curves.png").write_bytes(b"picture")
    with pytest.raises(RuntimeError, match="killed"):
        _killed_after_two(tmp_path / "live")
    with _trackers(tmp_path / "live") as trackers:
        for row in ROWS:
            trackers.log(row)
        trackers.picture(tmp_path / "curves.png")
    expected = {row.epoch: row.validation_loss for row in ROWS}
    assert _of_mlflow() == expected
    assert _of_dvclive(tmp_path / "live") == expected
    assert not (tmp_path / "dvc.yaml").exists()
    assert not (tmp_path / "live" / "dvc.yaml").exists()


def test_a_server_that_is_away_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, "morphospace"), _trackers(tmp_path / "live") as trackers:
        for row in ROWS:
            trackers.log(row)
    said = [r.getMessage() for r in caplog.records if "does not answer" in r.getMessage()]
    assert len(said) == 1
    assert "http://127.0.0.1:9" in said[0]
    assert len(_of_dvclive(tmp_path / "live")) == 3


def test_tags_name_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "wide")
    assert loggers.tags("abc") == {"dvc_exp_name": "wide", "data": "abc"}
