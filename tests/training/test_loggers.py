"""Both trackers hold the numbers of the history, once each, and none of them can stop a training."""

import csv
import json
import logging
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from morphospace import files
from morphospace.errors import StoppedError
from morphospace.training import loggers, tracking
from morphospace.training.history import Epoch

THIRD, SEVENTH, SMALL = 1 / 3, 1e6 / 7, 5e-324  # no decimal form of few digits is these numbers
ROWS = [
    Epoch(1, 5e-4, 0.5, 10.0 + THIRD, 8.0 + THIRD, 4.0, SEVENTH, 7.5, SMALL, {"validation_mse": SMALL}),
    Epoch(2, 5e-4, 1.0, 7.0 + THIRD, 5.0 + THIRD, 2.0, SEVENTH / 2, 6.0, 2.0, {"validation_mse": SEVENTH}),
    Epoch(3, 5e-4, 1.0, 6.0 + THIRD, 4.5 + THIRD, 1.5, SEVENTH / 3, 5.75, 1.75, {"validation_mse": 0.25}),
]
COLUMNS = [f for f in Epoch._fields if f not in ("epoch", "extras")] + ["validation_mse"]


def _row(epoch: int, *values: float) -> Epoch:
    """A row whose values stand in the order of COLUMNS."""
    return Epoch(epoch, *values[:-1], {"validation_mse": values[-1]})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables and nothing in them: making them takes seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with loggers._without_warnings():
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty, tmp_path / "mlflow.db")
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "1")


def _trackers(folder: Path) -> loggers.Trackers:
    return loggers.Trackers(folder, "run", {"z_dim": 4, "train.epochs": 3}, {"data": "abc"}, "f00")


def _killed_after_two(folder: Path) -> None:
    with _trackers(folder) as trackers:
        trackers.log(ROWS[0])
        trackers.log(ROWS[1])
        raise RuntimeError("killed")


def _client() -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri=tracking.uri())


def _runs() -> list[Run]:
    client = _client()
    experiment = client.get_experiment_by_name(loggers.EXPERIMENT)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def _of_mlflow(run: Run) -> list[Epoch]:
    """The history, from the metrics of a run."""
    client, found = _client(), []
    for column in COLUMNS:
        points = client.get_metric_history(run.info.run_id, _name(column))
        assert len({p.step for p in points}) == len(points), "a row was logged twice"
        found.append([p.value for p in sorted(points, key=lambda p: p.step)])
    return [_row(i, *values) for i, values in enumerate(zip(*found, strict=True), start=1)]


def _of_dvclive(folder: Path) -> list[Epoch]:
    """The history, from DVCLive's files; its summary is the last row."""
    found = []
    for column in COLUMNS:
        name = _name(column)
        with (folder / "plots" / "metrics" / f"{name}.tsv").open(newline="") as file:
            found.append([float(r[name.split("/")[-1]]) for r in csv.DictReader(file, delimiter="\t")])
    rows = [_row(i, *values) for i, values in enumerate(zip(*found, strict=True), start=1)]
    summary = json.loads((folder / "metrics.json").read_text())
    assert summary["step"] == rows[-1].epoch
    assert summary["validation"]["loss"] == rows[-1].validation_loss
    return rows


def _name(column: str) -> str:
    return re.sub("^(train|validation)_", r"\1/", column)


def test_an_interrupted_run_ends_with_every_number_once_and_equal_in_both(tmp_path: Path) -> None:
    (tmp_path / "curves.png").write_bytes(b"picture")
    with pytest.raises(RuntimeError, match="killed"):
        _killed_after_two(tmp_path / "live")
    (run,) = _runs()
    assert run.info.status == "FAILED"
    with _trackers(tmp_path / "live") as trackers:
        for row in ROWS:
            trackers.log(row)
        trackers.picture(tmp_path / "curves.png")
    (run,) = _runs()
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params == {"z_dim": "4", "train.epochs": "3"}
    assert run.data.tags["data"] == "abc"
    assert [a.path for a in _client().list_artifacts(run.info.run_id)] == ["curves.png"]
    assert run.info.artifact_uri.startswith((tmp_path / "mlruns").as_uri())
    assert _of_mlflow(run) == ROWS
    assert _of_dvclive(tmp_path / "live") == ROWS
    assert not (tmp_path / "dvc.yaml").exists()
    assert not (tmp_path / "live" / "dvc.yaml").exists()


def test_a_run_that_was_told_to_stop_says_so(tmp_path: Path) -> None:
    def stopped() -> None:
        with _trackers(tmp_path / "live") as trackers:
            trackers.log(ROWS[0])
            raise StoppedError("enough")

    with pytest.raises(StoppedError):
        stopped()
    assert [r.info.status for r in _runs()] == ["KILLED"]


def test_scores_and_the_card_are_attached_to_the_run_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("other", "mine", "other"):
        with loggers.Trackers(tmp_path / "live", name, {}, {"dvc_exp_name": name}, "f00") as trackers:
            trackers.log(ROWS[0])
    card = tmp_path / "README.md"
    card.write_text("# Model")
    monkeypatch.setenv("DVC_EXP_NAME", "mine")
    scores = {"similarity/S": 1 - THIRD, "similarity/S_pca": 0.5, "verdict": "PCA wins", "none": None, "is": True}
    loggers.attach("f00", scores, [card])
    loggers.attach("f00", scores | {"similarity/S": THIRD}, [card])  # scored again
    found = {r.info.run_name: r for r in _runs()}
    assert {k: v for k, v in found["mine"].data.metrics.items() if "similarity" in k} == {
        "similarity/S": THIRD,
        "similarity/S_pca": 0.5,
    }
    assert "similarity/S" not in found["other"].data.metrics
    text = _client().download_artifacts(found["mine"].info.run_id, "README.md")
    assert Path(text).read_text() == "# Model"


def test_a_model_without_a_run_has_nothing_attached(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "morphospace"):
        loggers.attach("unknown", {"similarity/S": 1.0}, [tmp_path / "absent"])
    assert "has no run of model unknown" in caplog.text
    assert _runs() == []


def test_a_file_that_cannot_be_attached_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with _trackers(tmp_path / "live") as trackers:
        trackers.log(ROWS[0])
    loggers.attach("f00", {"similarity/S": 1.0}, [tmp_path / "absent"])
    assert len([r for r in caplog.records if "going on without it" in r.getMessage()]) == 1
    assert _runs()[0].data.metrics["similarity/S"] == 1.0


WRITER = """
import logging, sys
from pathlib import Path
from morphospace.training import loggers
from morphospace.training.history import Epoch
logging.basicConfig(level=logging.WARNING)
name = sys.argv[1]
with loggers.Trackers(Path(name), name, {"who": name}, {}, name) as trackers:
    for epoch in range(1, 11):
        trackers.log(Epoch(epoch, *[epoch / 3] * 8, {"validation_mse": epoch / 3}))
"""


@pytest.mark.slow
def test_processes_that_write_the_same_new_database_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").unlink()
    command = [sys.executable, "-W", "ignore", "-c", WRITER]
    started = [subprocess.Popen([*command, n], stderr=subprocess.PIPE, text=True) for n in "abc"]
    said = [process.communicate(timeout=240)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 3, said
    assert "going on without it" not in "".join(said)
    expected = [_row(epoch, *[epoch / 3] * 9) for epoch in range(1, 11)]
    assert {r.info.run_name: _of_mlflow(r) for r in _runs()} == dict.fromkeys("abc", expected)


def test_a_database_that_another_process_keeps_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loggers, "_PATIENCE", 0.1)
    with (tmp_path / "mlflow.db.lock").open("a") as kept:
        assert files.try_lock(kept)
        with _trackers(tmp_path / "live") as trackers:
            trackers.log(ROWS[0])
    assert [r.getMessage().count("mlflow.db.lock for 0.1 s") for r in caplog.records] == [1]


def test_a_spoiled_database_does_not_stop_a_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    with _trackers(tmp_path / "live") as trackers:
        trackers.log(ROWS[0])
    assert [r.getMessage().count("file is not a database") for r in caplog.records] == [1]


def test_a_server_that_is_away_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING, "morphospace"), _trackers(tmp_path / "live") as trackers:
        for row in ROWS:
            trackers.log(row)
    said = [r.getMessage() for r in caplog.records if "going on without it" in r.getMessage()]
    assert len(said) == 1
    assert "http://127.0.0.1:9" in said[0]
    assert len(_of_dvclive(tmp_path / "live")) == 3


def test_a_record_on_a_read_only_disk_is_gone_on_without(
    full: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(full)], check=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{full}/mlflow.db")
    store = loggers.Store()
    store.attempt(lambda: pytest.fail("it was reached"))
    assert not store.alive
    assert "read-only file system" in caplog.text
    assert "going on without it" in caplog.text
