"""The stages train and embed, on tiny tiles from packs to figures."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from checkout import queue, workers

from morphospace import files, schema, speeds, spending, supervision
from morphospace.commands import embed as command
from morphospace.errors import InputError, SpendingError, StoppedError
from morphospace.imaging import codec, packs
from morphospace.stages import embed, train
from morphospace.training import fitting

ROOT = Path(__file__).resolve().parents[2]
CELLS = 40
TRAIN = (
    "crops",
    "crops.parquet",
    "splits.csv",
    "synthesize.json",
    "models",
    "t.json",
    "metrics.json",
    "train.json",
    "curves",
    "training",
)
EMBED = (
    "crops",
    "crops.parquet",
    "splits.csv",
    "models",
    "embeddings.parquet",
    "t.json",
    "m.json",
    "latent.json",
    "latent",
)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two plates of bright discs, split by well, and params.yaml; MLflow's server is away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values |= {"z_dim": 4, "model": "conv_vae"}
    values["train"] |= {"epochs": 3, "minibatch": 8, "pictures": 2}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    _write_cells(tmp_path)
    (tmp_path / "synthesize.json").write_text(json.dumps({"channels": {"Actin": {}, "DNA": {}}, "size": 16}))
    return tmp_path


def _write_cells(root: Path) -> None:
    number = np.arange(CELLS)
    table = pd.DataFrame(
        {schema.PLATE: np.where(number < 20, "P1", "P2"), schema.WELL: [f"B{n % 5:02d}" for n in number]}
    )
    table = table.assign(**{c: "x" for c in schema.METADATA if c not in table})
    table[schema.SITE], table[schema.OBJECT] = "1", number + 1
    table[schema.CROP_STATUS] = np.where(number % 10 == 9, "too_large", schema.KEPT)
    table[schema.CROP_FILE] = np.where(number % 10 == 9, "", [f"{n}.png" for n in number])
    table = table.sort_values(schema.OBJECT_KEY, ignore_index=True)
    table.to_parquet(root / "crops.parquet")
    y, x = np.mgrid[:16, :16]
    for plate, rows in table[table[schema.CROP_FILE] != ""].groupby(schema.PLATE):
        discs = [(np.hypot(y - 8, x - 8) < 2 + n % 6).astype(np.uint8) * 200 for n in rows[schema.OBJECT]]
        tiles = [codec.encode_tile(np.stack([d, d // 2])) for d in discs]
        packs.write(root / "crops" / f"{plate}.zip", zip(rows[schema.CROP_FILE], tiles, strict=True))
    sides = table[schema.IMAGE_SET_KEY].drop_duplicates()
    sides["Group"] = sides[schema.WELL]
    sides[schema.SPLIT] = sides[schema.WELL].map(
        {"B00": "train", "B01": "train", "B02": "train", "B03": "validation", "B04": "test"}
    )
    sides.to_csv(root / "splits.csv", index=False)


def _train(root: Path) -> dict[str, Any]:
    train.run(*(root / p for p in TRAIN))
    return files.read_json(root / "train.json")  # type: ignore[no-any-return]


def _setting(root: Path, change: Callable[[dict[str, Any]], None]) -> None:
    values = yaml.safe_load((root / "params.yaml").read_text())
    change(values)
    (root / "params.yaml").write_text(yaml.safe_dump(values))


def test_training_writes_all_that_it_says_and_embedding_reads_it(root: Path) -> None:
    found = _train(root)
    assert found["train_cells"] == 24
    assert found["validation_cells"] == 8
    assert found["epochs"] == 3
    history = pd.read_csv(root / "curves" / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["validation_loss"].min() == history["validation_loss"][found["best_epoch"] - 1]
    assert found["validation_loss"] == pytest.approx(history["validation_loss"].min())
    assert sorted(p.name for p in (root / "training").iterdir()) == ["curves.png", "epochs.png"]
    card = files.read_json(root / "models" / "model.json")
    assert (card["channels"], card["size"], card["z_dim"]) == (["Actin", "DNA"], 16, 4)
    assert card["data"] == files.fingerprint(root / "crops", root / "crops.parquet", root / "splits.csv")
    timing = files.read_json(root / "t.json")
    assert (timing["items"], timing["unit"]) == (24 * 3, "cells x epochs")
    assert len(list((root / "scratch" / "train").glob("*/checkpoint*"))) == 1
    assert sorted(p.name for p in (root / "models").iterdir()) == ["model.json", "model.safetensors"]
    assert not (root / "dvc.yaml").exists()

    embed.run(*(root / p for p in EMBED))
    table = pd.read_parquet(root / "embeddings.parquet")
    assert len(table) == 36
    assert schema.latent_columns(table) == [f"Cells_Latent_{i:03d}" for i in range(4)]
    assert table[schema.OBJECT_KEY].equals(table.sort_values(schema.OBJECT_KEY, ignore_index=True)[schema.OBJECT_KEY])
    latent = files.read_json(root / "latent.json")
    # Every tenth cell was too large: the wells B04 have lost half of theirs.
    assert (latent["split"], latent["cells"], latent["z_dim"]) == ("test", 4, 4)
    assert sorted(p.name for p in (root / "latent").iterdir()) == [
        "generated.png",
        "histogram.png",
        "kl.png",
        "walks.png",
    ]


def test_a_latent_without_a_bottleneck_is_as_wide_as_the_map_from_training_to_embedding(root: Path) -> None:
    def wide(values: dict[str, Any]) -> None:
        values["model"] = "cae"
        values["cae"] |= {"bottleneck": False, "filters": [4, 8]}

    _setting(root, wide)
    _train(root)
    assert files.read_json(root / "models" / "model.json")["z_dim"] == 8 * 4 * 4
    embed.run(*(root / p for p in EMBED))
    assert len(schema.latent_columns(pd.read_parquet(root / "embeddings.parquet"))) == 8 * 4 * 4
    assert files.read_json(root / "latent.json")["z_dim"] == 8 * 4 * 4
    assert sorted(p.name for p in (root / "latent").iterdir()) == ["histogram.png", "walks.png"]


def test_a_model_that_masks_is_drawn_with_what_it_was_shown(root: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        values["model"] = "mae"
        values["train"]["epochs"] = 1
        values["mae"] |= {"patch": 4, "width": 16, "depth": 1, "heads": 2, "decoder_width": 16, "decoder_depth": 1}

    _setting(root, change)
    _train(root)
    assert sorted(p.name for p in (root / "training").iterdir()) == ["curves.png", "epochs.png", "masked.png"]


def test_a_killed_training_goes_on_and_ends_in_the_same_bytes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _train(root)
    names = ("models/model.safetensors", "models/model.json", "curves/history.csv", "training/epochs.png")
    whole = {n: (root / n).read_bytes() for n in names}

    def killed(self: train.Watcher, epoch: int, step: int, steps: int) -> None:
        if epoch == 3:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(train.Watcher, "on_step", killed)
        with pytest.raises(RuntimeError, match="killed"):
            _train(root)
    steps: list[int] = []
    monkeypatch.setattr(train.Watcher, "on_step", lambda self, epoch, step, steps_: steps.append(epoch))
    _train(root)
    assert set(steps) == {3}
    assert {n: (root / n).read_bytes() for n in names} == whole


def test_a_training_that_its_search_lets_go_stops_and_can_go_on(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_EVERY", 0.0)
    monkeypatch.setenv(supervision.VARIABLE, str(root / "rows.jsonl"))
    watcher = supervision.Watcher(root / "rows.jsonl")
    told = supervision.Watched.tell

    def let_go(self: supervision.Watched, row: dict[str, Any]) -> None:
        told(self, row)
        if row["epoch"] == 2:
            watcher.let_go()

    monkeypatch.setattr(supervision.Watched, "tell", let_go)
    with pytest.raises(StoppedError, match="let go of this training in epoch 3 of 3"):
        _train(root)
    rows = [json.loads(line) for line in (root / "rows.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    monkeypatch.delenv(supervision.VARIABLE)
    found = _train(root)
    assert found["epochs"] == 3
    history = pd.read_csv(root / "curves" / "history.csv")
    assert rows[1]["validation_mse"] == pytest.approx(history["validation_reconstruction"][1] / found["r_loss_factor"])


def test_test_cells_do_not_change_the_model(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    fit = fitting.fit

    def spying(model: Any, array: Any, rows: Any, validation: Any, *rest: Any) -> fitting.Fitted:
        seen.append(np.concatenate([rows, validation]))
        return fit(model, array, rows, validation, *rest)

    monkeypatch.setattr(fitting, "fit", spying)
    _setting(root, lambda v: v["train"].update(epochs=1))
    _train(root)
    table = pd.read_parquet(root / "crops.parquet")
    kept = table[table[schema.CROP_STATUS] == schema.KEPT].reset_index(drop=True)
    assert "B04" not in set(kept[schema.WELL].iloc[seen[0]])
    assert len(set(seen[0])) == 32


def test_without_a_validation_split_the_last_epoch_is_kept_and_said(root: Path) -> None:
    _setting(root, lambda v: v["train"].update(epochs=2))
    sides = pd.read_csv(root / "splits.csv", dtype=str)
    sides[schema.SPLIT] = sides[schema.SPLIT].replace("validation", "train")
    sides.to_csv(root / "splits.csv", index=False)
    found = _train(root)
    assert found["best_epoch"] == 2
    assert "no validation split" in found["kept"]
    assert "validation_loss" not in found
    assert "validation_loss" not in pd.read_csv(root / "curves" / "history.csv")


def test_the_name_of_the_work_depends_on_what_decides_the_result(root: Path) -> None:
    def key() -> str:
        options = train.params.load()
        cells = files.fingerprint(root / "crops", root / "crops.parquet", root / "splits.csv")
        return train._key(train.Recipe(**options.training()), cells)

    first = key()
    assert key() == first
    for change in (
        lambda v: v.update(seed=1),
        lambda v: v.update(z_dim=5),
        lambda v: v["train"].update(beta=0.5),
        lambda v: v["conv_vae"].update(dropout=0.5),
    ):
        before = key()
        _setting(root, change)
        assert key() != before
    before = key()
    (root / "crops" / "P1.zip").write_bytes(b"other pixels")
    assert key() != before


def _results(root: Path) -> dict[str, bytes]:
    """All that a training writes but for what tells seconds: models, curves, figures."""
    timed = {"metrics.json", "params.yaml"}
    folders = [root / "models", root / "curves", root / "training"]
    found = [p for folder in folders for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in timed]
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"epochs": 1}, {"epochs": 3}),
        ({"epochs": 4, "patience": 1, "learning_rate": 0.2}, {"epochs": 4, "patience": 3, "learning_rate": 0.2}),
        ({"epochs": 4, "keep_every": 2}, {"epochs": 2, "keep_every": 2}),
    ],
)
def test_another_length_gives_what_it_would_give_alone_and_trains_only_what_is_missing(
    root: Path, first: dict[str, Any], then: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _setting(root, lambda v: v["train"].update(first))
    before = _train(root)["epochs"]
    _setting(root, lambda v: v["train"].update(then))
    trained: list[int] = []
    on_step = train.Watcher.on_step

    def counting(self: Any, epoch: int, step: int, steps: int) -> None:
        trained.append(epoch)
        on_step(self, epoch, step, steps)

    monkeypatch.setattr(train.Watcher, "on_step", counting)
    after = _train(root)
    went_on = _results(root)
    assert sorted(set(trained)) == list(range(before + 1, after["epochs"] + 1))
    monkeypatch.setenv("MORPHOSPACE_SCRATCH", str(root / "other"))
    assert {**_train(root), "images_per_second": 0} == {**after, "images_per_second": 0}
    assert _results(root) == went_on


def test_the_weights_of_chosen_epochs_are_models_of_their_own(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _setting(root, lambda v: v["train"].update(epochs=4, keep_every=2))
    found = _train(root)
    folders = sorted((root / "models" / "epochs").iterdir())
    assert [f.name for f in folders] == ["000002", "000004"]
    cards = [files.read_json(f / "model.json") for f in [root / "models", *folders]]
    assert [c["best_epoch"] for c in cards] == [found["best_epoch"], 2, 4]
    assert len({c["fingerprint"] for c in cards}) == 3
    best = (root / "models" / "model.safetensors").read_bytes()
    same = [(f / "model.safetensors").read_bytes() == best for f in folders]
    assert same == [found["best_epoch"] == 2, found["best_epoch"] == 4]
    command.run(folders[0], [root / "crops" / "P1.zip"], root / "two.csv")
    command.run(folders[1], [root / "crops" / "P1.zip"], root / "four.csv")
    two, four = (pd.read_csv(root / f"{name}.csv").filter(like="Cells_Latent").to_numpy() for name in ("two", "four"))
    assert two.shape == four.shape == (18, 4)
    assert np.abs(two - four).max() > 0
    _setting(root, lambda v: v["train"].update(keep_every=0))
    _train(root)
    assert not (root / "models" / "epochs").exists()


def test_a_picture_that_was_damaged_is_left_out_of_the_figure_and_said(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _train(root)
    (picture,) = (root / "scratch" / "train").glob("*/epoch_000002.npy")
    picture.write_bytes(b"")
    _setting(root, lambda v: v["train"].update(epochs=4))
    assert _train(root)["epochs"] == 4
    assert "the figure lacks the pictures after epoch 2, damaged in" in caplog.text


@pytest.mark.parametrize(("stage", "paths"), [(train.run, TRAIN), (embed.run, EMBED)])
def test_missing_crops_are_named(root: Path, stage: Callable[..., None], paths: tuple[str, ...]) -> None:
    (root / "crops.parquet").unlink()
    with pytest.raises(InputError, match=r"crops\.parquet is missing; run `dvc repro synthesize`"):
        stage(*(root / p for p in paths))


def test_training_stops_at_the_cap_with_its_checkpoint_and_goes_on_when_it_is_raised(root: Path) -> None:
    limit = spending.set_cap(1e-9, "EUR", "m", 1.0)
    with pytest.raises(SpendingError, match=r"the cap is 1e-09 EUR: stopped after an epoch, whose checkpoint is kept"):
        _train(root)
    assert len(list((root / "scratch" / "train").glob("*/epoch_*.npy"))) == 1
    with pytest.raises(SpendingError, match="nothing is trained"):
        _train(root)
    spending.set_cap(100, "EUR", "m", 1.0)
    assert _train(root)["epochs"] == 3
    assert len(spending.runs(limit.account)) == 2  # the one that was refused has taken nothing


def test_a_member_that_was_measured_is_not_begun_when_it_would_pass_the_cap(root: Path) -> None:
    options = {"output_activation": "linear", "max_logvar": 10.0, "batch_norm": False, "dropout": 0.0, "refine": 0}
    shape = speeds.Shape(model="conv_vae", options=options, z_dim=4, minibatch=8, size=16, channels=2, threads=2)
    rates = {name: [1.0] for name in ("train", "validate", "epoch", "embed", "score", "floors", "fit", "fit_once")}
    sizes = {"jobs": 1, "workers": 1, "weights_bytes": 1, "latents": 4}
    speed = speeds.Speed.model_validate({"shape": shape} | sizes | rates)
    names = dict.fromkeys(("machine", "host", "processor", "device", "versions", "date"), "x")
    speeds.write(speeds.here(), speeds.Benchmark(**names, shapes={"x": speed}))
    spending.set_cap(1, "EUR", "m", 3600.0)  # a second costs 1; three epochs of 24 + 8 cells and 1 take 99
    with pytest.raises(SpendingError, match="predicted to take 99 more"):
        _train(root)


@pytest.mark.slow
def test_the_cap_stops_the_queue_and_its_other_member_waits(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two members; the first reaches the cap: it fails, the other stays queued until the cap is raised."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@b.c")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def run(*command: str) -> str:
        out = subprocess.run(command, capture_output=True, text=True)
        assert out.returncode == 0, out.stdout + out.stderr
        return out.stdout

    def statuses(until: int) -> list[str]:
        """Wait for an idle queue with `until` members done; return how each stands."""
        deadline = time.monotonic() + 200
        while True:
            found = sorted(queue(Path()).values())
            if sum(s in ("Success", "Failed") for s in found) >= until and not workers(Path()):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.5)

    dvc = [sys.executable, "-m", "dvc"]
    stage = {
        "cmd": f"{sys.executable} -m morphospace stage train {' '.join(TRAIN)}",
        "params": ["z_dim"],
        "deps": list(TRAIN[:4]),
        "outs": [*TRAIN[4:6], *TRAIN[8:]],
        "metrics": [{TRAIN[6]: {"cache": False}}],
        "plots": [{TRAIN[7]: {"cache": False}}],
    }
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    Path(".gitignore").write_text("/scratch\n/mlflow.db\n")
    run("git", "init", "-q")
    run(*dvc, "init", "-q")
    run(*dvc, "config", "--local", "core.site_cache_dir", str(root / "scratch" / "site"))
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", "x")
    spending.set_cap(1e-9, "EUR", "m", 1.0)
    run(*dvc, "exp", "run", "-q", "--queue", "-S", "z_dim=4,5")
    run(*dvc, "queue", "start")
    assert statuses(1) == ["Failed", "Queued"]
    (work,) = (root / "scratch" / "train").glob("*/checkpoint.safetensors")

    spending.set_cap(100, "EUR", "m", 1.0)
    run(*dvc, "queue", "start")
    assert statuses(2) == ["Failed", "Success"]
    assert work.is_file()

    steps = subprocess.run([*dvc, "exp", "run", "-S", "z_dim=4"], capture_output=True, text=True)
    assert steps.returncode == 0, steps.stderr
    assert "resuming after epoch 1" in steps.stdout + steps.stderr
    assert files.read_json(root / "train.json")["epochs"] == 3
