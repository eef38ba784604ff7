import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from morphospace import files, places, schema
from morphospace.commands import _cross, cross
from morphospace.errors import InputError, LeakError, ParameterError, SchemaError, TrainingError
from morphospace.imaging import packs

ROOT = Path(__file__).resolve().parents[2]
WELLS, CELLS = 8, 6


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine wells: bars that lie or stand by well, and one well alone; the classes of the column `Null` mean nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    given = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"z_dim": 2, "model": "conv_vae"}
    given["train"] |= {"minibatch": 6, "learning_rate": 5e-3}
    given["similarity"]["bootstrap"] = 200
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))
    wells = [f"A{w + 1:02d}" for w in range(WELLS + 1) for _ in range(CELLS)]
    table = pd.DataFrame({schema.PLATE: "P1", schema.WELL: wells, schema.SITE: "1"})
    table[schema.OBJECT] = range(1, len(table) + 1)
    number = table[schema.WELL].str[1:].astype(int)
    table[schema.MOA] = np.where(number > WELLS, "alone", np.where(number % 2, "lying", "standing"))
    table["Null"] = np.where(number % 4 < 2, "x", "y")
    table = table.assign(**{c: "x" for c in schema.METADATA if c not in table})
    rng = np.random.default_rng(0)
    bars = np.zeros((len(table), 1, 16, 16), np.uint8)
    for tile, kind in zip(bars, table[schema.MOA], strict=True):
        at = rng.integers(4, 10)
        tile[0, at : at + 3, 3:13] = rng.integers(150, 255)
        tile[0] = tile[0] if kind == "lying" else tile[0].T
    names = [f"{n}.png" for n in table[schema.OBJECT]]
    packs.write(tmp_path / "crops/P1.zip", zip(names, map(packs.encode_tile, bars), strict=True))
    table = table.assign(**{schema.CROP_FILE: names, schema.CROP_STATUS: schema.KEPT})
    table.sample(frac=1, random_state=0).to_parquet(tmp_path / "crops.parquet", index=False)
    return tmp_path


def _run(project: Path, **options: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"epochs": 12, "min_cells": 6, "output": project / "out"}
    cross.run(project / "crops", project / "crops.parquet", **given | options)
    return dict(json.loads((project / "out/cross.json").read_text()))


def test_bars_that_lie_and_bars_that_stand_are_told_apart(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _run(project, share=0.5)
    assert (found["accuracy"]["value"], found["chance"]) == (1, 0.5)
    assert found["accuracy"]["low"] > found["majority"]["accuracy"]["value"] == 0.5
    assert found["trained_on"] == 12
    assert [x["label"] for x in found["left_out"]] == ["alone"]
    assert found["error_over_that_of_the_own_model"]["lying"]["standing"]["low"] > 1
    shown = capsys.readouterr().out
    assert "lowest mean error for 2 of 2 classes." in shown
    assert "Left out: 6 cells of alone: 1 group" in shown
    assert {p.name for p in (project / "out").iterdir()} == {
        *(files.LIST, "cells.csv", "cross.csv", "cross.json", "cross.png", "cross.txt")
    }
    rows = pd.read_csv(project / "out/cross.csv").set_index(["data", "model"])
    each = pd.read_csv(project / "out/cells.csv")
    assert len(each) == found["held_out_cells"]
    mean = each[each["class"] == "lying"]["mse_standing"].mean()
    assert rows.loc[("lying", "standing"), "mse"] == pytest.approx(mean)
    truth = pd.read_parquet(project / "crops.parquet").set_index(schema.OBJECT)[schema.MOA]
    assert each["class"].tolist() == truth[each[schema.OBJECT]].tolist()
    assert len(list((project / "scratch/cross").glob("*/checkpoint*"))) == 2  # a class each


@pytest.mark.slow
def test_classes_that_mean_nothing_are_not_told_apart(project: Path) -> None:
    table = pd.read_parquet(project / "crops.parquet")
    table[table[schema.MOA] != "alone"].to_parquet(project / "crops.parquet", index=False)
    found = _run(project, by="Null", share=0.5)
    assert found["balanced_accuracy"]["low"] <= 0.5 <= found["balanced_accuracy"]["high"]


@pytest.mark.slow
def test_a_kill_loses_no_class_that_was_done(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = _run(project, epochs=2)
    steps: list[str] = []

    def counted(self: _cross.Bar, epoch: int, step: int, steps_: int) -> None:
        steps.append("step")
        if self.before and fail:
            raise KeyboardInterrupt

    monkeypatch.setattr(_cross.Bar, "on_step", counted)
    fail = True
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        _run(project, epochs=2, output=project / "again")
    assert len(steps) == 7  # two epochs of three steps, and the first of the second model
    fail = False
    steps.clear()
    cross.run(project / "crops", project / "crops.parquet", epochs=2, min_cells=6, output=project / "again")
    assert len(steps) == 6
    assert json.loads((project / "again/cross.json").read_text()) == wanted
    assert (project / "again/cross.png").read_bytes() == (project / "out/cross.png").read_bytes()


def _splits(project: Path, sides: str) -> Path:
    keys = pd.DataFrame({schema.PLATE: "P1", schema.WELL: [f"A{w + 1:02d}" for w in range(9)], schema.SITE: "1"})
    named = {"r": "train", "v": "validation", "t": "test"}
    table = keys.assign(Group=keys[schema.WELL], Split=[named[s] for s in sides])
    table.to_csv(project / "splits.csv", index=False)
    return project / "splits.csv"


def test_a_given_split_is_kept_and_its_validation_cells_are_not_used(project: Path) -> None:
    found = _run(project, splits=_splits(project, "rrvvttttr"), epochs=1)
    assert (found["trained_on"], found["held_out_cells"], found["held_out_groups"]) == (6, 24, 4)
    held = set(pd.read_csv(project / "out/cells.csv")[schema.WELL])
    assert held == {"A05", "A06", "A07", "A08"}
    with pytest.raises(LeakError, match="group P1 stands in train and test"):
        _run(project, splits=_splits(project, "rrvvttttr"), group="plate")
    whole = pd.read_csv(_splits(project, "rrvvttttr"), dtype=str)
    whole.iloc[1:].to_csv(project / "splits.csv", index=False)
    with pytest.raises(InputError, match="no row for 6 crops; run"):
        _run(project, splits=project / "splits.csv")


def test_the_middle_of_the_tiles_is_used_and_what_lies_beyond_is_counted(project: Path) -> None:
    found = _run(project, epochs=1, size=8)
    assert (found["size"], found["cut_cells"]) == (8, found["held_out_cells"])
    tiles = np.arange(2 * 3 * 6 * 6, dtype=np.uint8).reshape(2, 3, 6, 6)
    assert np.array_equal(_cross.middle(tiles, np.array([1]), 2), tiles[1:, :, 2:4, 2:4])
    inside = np.zeros((3, 1, 6, 6), np.uint8)
    inside[:2, :, 2:4, 2:4] = 9
    inside[1, 0, 0, 5] = 1
    assert _cross.beyond(inside, np.arange(3), 2) == 1
    assert _cross.beyond(inside, np.arange(3), 6) == 0


def test_mistakes_are_refused_before_any_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "tiles", lambda *_: pytest.fail("tiles were decoded"))
    with pytest.raises(SchemaError, match="lacks Metadata_Mo; did you mean 'Metadata_MoA'"):
        _run(project, by="Metadata_Mo")
    with pytest.raises(InputError, match="--only: Metadata_MoA has no 'lyin'; did you mean 'lying'"):
        _run(project, only=["lyin"])
    with pytest.raises(InputError, match=r"needs two classes, 1 is left"):
        _run(project, only=["lying"])
    with pytest.raises(InputError, match=r"lying: 24 cells, 18 cells to train on, 19 are needed"):
        _run(project, min_cells=19)
    with pytest.raises(ParameterError, match="autoencodr"):
        _run(project, model="autoencodr")
    with pytest.raises(ParameterError, match="z_dim is 0"):
        _run(project, z_dim=0)
    with pytest.raises(InputError, match="--size is 24 px, the tiles are 16 px"):
        _run(project, size=24)
    with pytest.raises(TrainingError, match="multiple of 8, not 12"):
        _run(project, size=12)
    (project / "mine").mkdir()
    (project / "mine/thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="mine holds 1 file that morphospace did not write"):
        places.guarded(cross.run)(project / "crops", project / "crops.parquet", output=project / "mine")
    table = pd.read_parquet(project / "crops.parquet")
    table.assign(**{schema.CROP_STATUS: "border"}).to_parquet(project / "crops.parquet", index=False)
    with pytest.raises(InputError, match="has no kept crop"):
        _run(project)


@pytest.mark.parametrize(("attribute", "value"), [("reconstructs", False), ("pairs", True)])
def test_a_model_that_cannot_learn_one_class_to_draw_it_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, attribute: str, value: bool
) -> None:
    from morphospace.models import autoencoder

    monkeypatch.setattr(autoencoder.ConvAutoencoder, attribute, value)
    with pytest.raises(TrainingError, match="autoencoder does not learn to reconstruct one class alone"):
        _run(project)
