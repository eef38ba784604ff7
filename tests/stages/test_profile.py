"""The stage: tables, metrics and figures from embeddings, and what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from plates import experiment

from morphospace import reasons, schema
from morphospace.errors import InputError, ParameterError, SchemaError
from morphospace.profiling.build import Settings, build
from morphospace.stages import profile

ROOT = Path(__file__).resolve().parents[2]
OUTPUTS = ("profiles", "t.json", "metrics.json", "profile.json", "figures")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    def run(table: pd.DataFrame, **changes: Any) -> Path:
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        values["profile"] |= changes
        values["similarity"]["bootstrap"] = 100
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        monkeypatch.chdir(tmp_path)
        table.to_parquet(tmp_path / "embeddings.parquet")
        profile.run(tmp_path / "embeddings.parquet", *(tmp_path / name for name in OUTPUTS))
        return tmp_path

    return run


def two_compounds() -> pd.DataFrame:
    """The experiment, the second dose of taxol renamed: a random pair needs another compound."""
    cells = experiment()
    cells.loc[cells[schema.CONCENTRATION] > 10, schema.COMPOUND] = "epothilone B"
    return cells


def test_the_tables_are_those_of_the_library(run: Callable[..., Path]) -> None:
    root = run(two_compounds(), treatment="median", sphere="zca")
    values = yaml.safe_load((root / "params.yaml").read_text())
    made = build(two_compounds(), Settings(**values["profile"], seed=values["seed"]))
    for name, table in zip(made._fields, made, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(root / "profiles" / f"{name}.parquet"), table)
    assert sorted(p.name for p in (root / "figures").iterdir()) == ["replicates.png", "treatments.png"]
    record = json.loads((root / "profile.json").read_text())
    assert {k: record[k] for k in ("cells", "sites", "wells", "treatments", "features")} == {
        "cells": 144, "sites": 24, "wells": 12, "treatments": 3, "features": 4}  # fmt: skip
    assert record["control_wells"] == {"P0": 2, "P1": 2, "P2": 2}
    assert record["replicates"]["floor"] == 0.5
    assert record["replicates"]["pairs"] == 6
    assert json.loads((root / "t.json").read_text())["items"] == 144


def test_equal_embeddings_give_equal_bytes(run: Callable[..., Path]) -> None:
    def contents(root: Path) -> dict[str, bytes]:
        files = [*(root / "profiles").iterdir(), *(root / "figures").iterdir(), root / "profile.json"]
        return {file.name: file.read_bytes() for file in files}

    assert contents(run(two_compounds())) == contents(run(two_compounds()))


def test_one_plate_has_no_replicates_and_says_so(run: Callable[..., Path]) -> None:
    root = run(experiment(plates=1), normalize="pooled", level="well")
    record = json.loads((root / "profile.json").read_text())
    assert reasons.of(record, "replicates.share_above_random") == "no treatment has two wells"
    assert [record[step] for step in ("level", "normalize", "sphere", "align")] == ["well", "pooled", "none", "none"]
    assert [p.name for p in (root / "figures").iterdir()] == ["treatments.png"]


def test_a_plate_without_controls_leaves_the_old_profiles(run: Callable[..., Path]) -> None:
    root = run(experiment())
    before = (root / "profiles" / "wells.parquet").read_bytes()
    cells = experiment()
    cells.loc[cells[schema.PLATE] == "P2", schema.PERT_TYPE] = schema.TREATED
    with pytest.raises(InputError, match="plate P2 has no rows of negative controls"):
        run(cells)
    assert (root / "profiles" / "wells.parquet").read_bytes() == before


def test_plates_that_nobody_annotated_are_profiled_as_they_are(
    run: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    cells = experiment()
    cells[schema.PERT_TYPE] = schema.TREATED
    root = run(cells, normalize="pooled", sphere="pca", align="coral")
    assert json.loads((root / "profile.json").read_text())["normalize"] == "none"
    assert "no plate has two sites of negative controls" in caplog.text
    made = build(cells, Settings(normalize="none"))
    pd.testing.assert_frame_equal(pd.read_parquet(root / "profiles" / "wells.parquet"), made.wells)


def test_an_embedding_that_is_nan_names_its_cell(run: Callable[..., Path]) -> None:
    cells = experiment()
    cells.loc[3, "Cells_A"] = float("nan")
    with pytest.raises(InputError, match=r"embeddings.parquet: 1 of 144 rows .*ObjectNumber=4"):
        run(cells)


def test_a_cell_that_is_there_twice_is_refused(run: Callable[..., Path]) -> None:
    with pytest.raises(SchemaError, match="more than once"):
        run(pd.concat([experiment(), experiment().iloc[:1]], ignore_index=True))


@pytest.mark.parametrize(("key", "value"), [("sphere", "ZCA"), ("sphere_regularization", -1), ("treatment", "mode")])
def test_a_setting_out_of_range_is_refused(run: Callable[..., Path], key: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=f"profile.{key} is"):
        run(experiment(), **{key: value})
