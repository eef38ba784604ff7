"""The whole pipeline, as a user runs it: dvc repro in a copy of the repository, with the real CellProfiler."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dvc.api
import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from checkout import TINY, Checkout, queue
from mlflow.entities import Run

from morphospace import schema

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # MLflow's own, on reading


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A tiny synthetic plate, through all stages once."""
    checkout = Checkout(tmp_path_factory.mktemp("tiny") / "repo", TINY)
    checkout.dvc("repro")
    checkout.commit()
    return checkout


def test_dvc_keeps_every_file_of_the_folders_that_stages_write(tiny: Checkout) -> None:
    """What .dvcignore does not let through would be absent from the bucket and from every clone."""
    lock = yaml.safe_load((tiny.folder / "dvc.lock").read_text())
    folders = {o["path"]: o["nfiles"] for s in lock["stages"].values() for o in s.get("outs", []) if "nfiles" in o}
    assert len(folders) > 10
    assert folders == {f: sum(p.is_file() for p in (tiny.folder / f).rglob("*")) for f in folders}


def test_every_cell_found_is_cropped_or_counted(tiny: Checkout) -> None:
    crops = pd.read_parquet(tiny.folder / "data" / "crops.parquet")
    metrics = tiny.metrics("synthesize")
    assert len(crops) == metrics["cells"] == tiny.metrics("segment")["cells"]
    assert metrics["kept"] + metrics["too_large"] <= metrics["cells"]
    assert metrics["kept"] > 20


def test_both_engines_find_the_same_cells(tiny: Checkout) -> None:
    text = json.dumps(tiny.metrics("validate"))
    assert "native" in text
    assert "plain" in text


def test_the_score_stands_beside_its_floors_and_interval(tiny: Checkout) -> None:
    score = tiny.metrics("similarity")
    floors = {"S_black", "S_constant", "S_mean", "S_median", "S_pca"}
    assert floors <= set(score)
    assert score["S_low"] <= score["S"] <= score["S_high"]
    assert all(0 < score[name] <= 1 for name in floors)


def test_the_package_embeds_the_crops_as_the_stage_does_without_the_data(tiny: Checkout, tmp_path: Path) -> None:
    shutil.copytree(tiny.folder / "data" / "package", tmp_path / "model")
    shutil.copytree(tiny.folder / "data" / "crops", tmp_path / "crops")
    command = [sys.executable, "-m", "morphospace", "embed", "model", "crops", "-o", "out.parquet"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    crops = pd.read_parquet(tiny.folder / "data" / "crops.parquet")[[*schema.OBJECT_KEY, schema.CROP_FILE]]
    stage = pd.read_parquet(tiny.folder / "data" / "embeddings.parquet").merge(crops, on=schema.OBJECT_KEY)
    found = pd.read_parquet(tmp_path / "out.parquet").set_index(schema.CROP_FILE).loc[stage[schema.CROP_FILE]]
    names = schema.latent_columns(stage)
    np.testing.assert_allclose(found[names], stage[names], rtol=1e-4, atol=1e-5)


def test_the_report_is_one_file_that_names_what_was_run(tiny: Checkout) -> None:
    page = (tiny.folder / "reports" / "report.html").read_text()
    assert "synthetic" in page
    assert "canonical_vae" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (tiny.folder / "reports" / "report.md").stat().st_size > 1000


def test_a_second_repro_runs_nothing_and_the_tree_is_clean(tiny: Checkout) -> None:
    out = tiny.dvc("repro")
    assert "Running stage" not in out.stdout
    assert tiny.run("git", "status", "--porcelain").stdout == ""


def test_an_experiment_trains_again_and_is_compared(tiny: Checkout) -> None:
    out = tiny.dvc("exp", "run", "-S", "z_dim=4", "-n", "narrow", "similarity")
    assert "Running stage 'train'" in out.stdout
    assert "Running stage 'segment'" not in out.stdout
    diff = json.loads(tiny.dvc("metrics", "diff", "--json", "HEAD").stdout)
    assert "S_pca" in json.dumps(diff)
    assert "narrow" in tiny.dvc("exp", "show", "--csv").stdout
    tiny.dvc("plots", "diff", "HEAD", "-o", str(tiny.folder.parent / "plots"))
    assert "cdn" not in (tiny.folder.parent / "plots" / "index.html").read_text()[:20000]
    tiny.run("git", "checkout", "-q", ".")


def test_every_tracker_holds_the_numbers_of_the_history(tiny: Checkout) -> None:
    """Read back through both APIs, and compared without a tolerance."""
    history = pd.read_csv(tiny.folder / "reports" / "curves" / "history.csv").set_index("epoch")
    (run,) = _runs(tiny, "canonical_vae z8")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tiny.folder}/mlflow.db")
    for column in history:
        name = re.sub("^(train|validation)_", r"\1/", str(column))
        points = {p.step: p.value for p in client.get_metric_history(run.info.run_id, name)}
        assert points == history[column].to_dict(), column
        live = pd.read_csv(tiny.folder / "reports" / "curves" / "plots" / "metrics" / f"{name}.tsv", sep="\t")
        assert live.set_index("step")[name.split("/")[-1]].to_dict() == points, column
    record = dvc.api.metrics_show(str(tiny.folder / "reports/metrics/train.json"), repo=str(tiny.folder))
    assert record["validation_loss"] == history.loc[record["best_epoch"], "validation_loss"]
    assert run.data.params["z_dim"] == "8"
    assert run.data.metrics["similarity/S"] == tiny.metrics("similarity")["S"]
    kept = {"curves.png", "epochs.png", "README.md", "reconstructions.png", "model.json"}
    assert kept == {f.path for f in client.list_artifacts(run.info.run_id)}


def _runs(checkout: Checkout, name: str) -> list[Run]:
    """The runs of this name in the database at the root of the repository."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{checkout.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("morphospace")
    assert experiment is not None
    return [r for r in client.search_runs([experiment.experiment_id]) if r.info.run_name == name]


def _queued(checkout: Checkout, *arguments: str, ended: int) -> dict[str, str]:
    """Queue experiments, run the queue two at a time, and return the states by name when so many have ended."""
    checkout.dvc("exp", "run", "--queue", *arguments)
    checkout.start_queue(2)
    deadline = time.monotonic() + 300
    while True:
        states = queue(checkout.folder)
        if sum(state in ("Success", "Failed") for state in states.values()) >= ended:
            return states
        assert time.monotonic() < deadline, states
        time.sleep(0.5)


def test_a_grid_with_a_refused_member_runs_two_at_a_time_and_is_compared(tiny: Checkout) -> None:
    (decoded,) = (tiny.folder.parent / "scratch" / "tiles" / "decoded").glob("*.npy")
    before = decoded.stat()
    states = _queued(tiny, "-S", "z_dim=5,0,6", "train", ended=3)
    assert sorted(states.values()) == ["Failed", "Success", "Success"]
    (failed,) = (name for name, state in states.items() if state == "Failed")
    assert "z_dim is 0, should be greater than or equal to 1" in tiny.dvc("queue", "logs", failed).stdout
    tiny.run(sys.executable, "-m", "morphospace", "compare", str(tiny.folder.parent / "compare"))
    table = pd.read_csv(tiny.folder.parent / "compare" / "experiments.csv").set_index("experiment")
    assert {0, 5, 6, 8} <= set(table["z_dim"])
    assert table.loc[failed, "state"] == "failed"
    assert set(table.loc[table["S"].notna(), "z_dim"]) == {8}  # what ran whole
    assert {table.loc[name, "state"] for name in {"narrow", *states} - {failed}} == {"not scored"}
    assert (tiny.folder.parent / "compare" / "similarity.png").stat().st_size > 1000
    # The clones are gone; their runs are in the repository's database.
    for name in states.keys() - {failed}:
        (run,) = _runs(tiny, name)
        assert run.info.status == "FINISHED"
        assert run.data.tags["dvc_exp_name"] == name
        assert run.data.tags["mlflow.source.git.commit"] == tiny.run("git", "rev-parse", "HEAD").stdout.strip()
        assert run.data.tags["data"] == _runs(tiny, "canonical_vae z8")[0].data.tags["data"]
        assert float(run.data.params["z_dim"]) == table.loc[name, "z_dim"]
    # One decoding served them all.
    assert list(decoded.parent.glob("*.npy")) == [decoded]
    assert (decoded.stat().st_mtime_ns, decoded.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


# Long enough to be killed before it ends.
LONG = ("-S", "z_dim=7", "-S", "train.epochs=8", "-S", "train.patience=0", "-S", "canonical_vae.copies=8000", "train")


def test_a_killed_member_goes_on_and_ends_in_the_same_bytes(tiny: Checkout, tmp_path: Path) -> None:
    scratch = tiny.folder.parent / "scratch" / "train"
    tiny.dvc("exp", "run", "--queue", "-n", "killed", *LONG)
    before = set(scratch.iterdir())
    tiny.start_queue(1)
    _wait(lambda: [p for p in scratch.glob("*/epoch_000003.npy") if p.parent not in before])
    (victim,) = _trainings(tiny)
    victim.kill()
    _wait(lambda: queue(tiny.folder).get("killed") == "Failed")
    done = len([p for p in scratch.glob("*/epoch_*.npy") if p.parent not in before])
    assert 3 <= done < 8
    out = tiny.dvc("exp", "run", "--temp", "-n", "resumed", *LONG)
    assert "resuming after epoch" in out.stdout + out.stderr
    tiny.dvc("exp", "apply", "resumed")
    inputs = ("data/crops", "data/crops.parquet", "data/splits.csv", "reports/records/synthesize.json")
    train = (sys.executable, "-m", "morphospace", "stage", "train")
    outputs = (tmp_path / name for name in ("models", "t.json", "m.json", "train.json", "curves", "figures"))
    alone = {"MORPHOSPACE_SCRATCH": str(tmp_path / "scratch"), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
    tiny.run("env", *(f"{k}={v}" for k, v in alone.items()), "PYTHONPATH=src", *train, *inputs, *map(str, outputs))
    for name in ("model.safetensors", "model.json"):
        assert (tiny.folder / "data" / "models" / name).read_bytes() == (tmp_path / "models" / name).read_bytes()
    (run,) = _runs(tiny, "resumed")  # the killed one, gone on with
    assert run.info.status == "FINISHED"
    assert _runs(tiny, "killed") == []
    _restore(tiny)


def test_a_search_is_killed_goes_on_and_its_best_trial_is_applied(tiny: Checkout) -> None:
    space = ("-s", "z_dim=4,5", "-s", "train.epochs=8", "-s", "train.patience=0", "-s", "canonical_vae.copies=8000")
    command = [sys.executable, "-m", "morphospace", "tune", "--study", "mine", *space]
    two = ("-j", "2", "-n", "2")
    rows = tiny.folder.parent / "scratch" / "tune" / "mine"
    with subprocess.Popen(
        [*command, "-n", "1"], cwd=tiny.folder, env=tiny.environment, stderr=subprocess.DEVNULL
    ) as search:
        _wait(lambda: [p for p in rows.glob("*.jsonl") if p.read_text().count("\n") > 1])
        search.kill()
    _wait(lambda: not _trainings(tiny) and not list((tiny.folder / ".dvc/tmp/exps/standalone").glob("tmp*")))
    out = tiny.run(*command, *two)
    trials = pd.read_csv(tiny.folder / "reports" / "tune" / "trials.csv")
    done = trials[trials["state"] == "complete"].set_index("experiment")
    assert sorted(done["z_dim"]) == [4, 5]
    assert "interrupted" in set(trials["state"])
    assert "resuming after epoch" in "".join(p.read_text() for p in rows.glob("*.log"))
    best = done["validation_mse"].idxmin()
    assert f"dvc exp apply {best} && dvc repro" in out.stdout
    tiny.dvc("exp", "apply", str(best))
    found = tiny.metrics("train")
    assert found["validation_mse"] == done["validation_mse"].min()
    assert yaml.safe_load((tiny.folder / "params.yaml").read_text())["z_dim"] == done.loc[best, "z_dim"]
    assert (tiny.folder / "reports" / "tune" / "trials.png").stat().st_size > 10000
    refused = tiny.run(*command[:-4], check=False)  # another space, the same name
    assert "not this space; name another with --study" in " ".join(refused.stderr.split())
    _restore(tiny)


def _trainings(checkout: Checkout) -> list[psutil.Process]:
    """The trainings that run in the clones of a checkout."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            if (
                command[1:4] == ["-m", "morphospace", "stage"]
                and "train" in command
                and Path(process.cwd()).is_relative_to(checkout.folder)
            ):
                found.append(process)
    return found


def _wait(until: Callable[[], object]) -> None:
    deadline = time.monotonic() + 600  # a machine may be busy; what never happens must end, too
    while not until():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def _restore(checkout: Checkout) -> None:
    checkout.run("git", "reset", "-q", "--hard")
    checkout.run("git", "clean", "-q", "-fd")
    checkout.dvc("checkout", "-q")


def test_a_typo_is_refused_before_any_work(tiny: Checkout) -> None:
    text = (tiny.folder / "params.yaml").read_text()
    (tiny.folder / "params.yaml").write_text(text.replace("epochs:", "epocs:"))
    out = tiny.dvc("repro", check=False)
    (tiny.folder / "params.yaml").write_text(text)
    assert out.returncode != 0
    assert "did you mean 'epochs'" in out.stdout + out.stderr
