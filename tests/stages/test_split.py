"""The stage that divides: kept crops only, a table and a certificate, and the verification of what it wrote."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from morphospace import params, schema, splitting, tables
from morphospace.errors import InputError, LeakError, SchemaError
from morphospace.stages import split

PATHS = ("crops.parquet", "identical.csv", "splits.csv", "timings.json", "metrics.json", "split.json")


def crops(wells: int = 12) -> pd.DataFrame:
    """Wells of four compounds in turn; the last well has no kept crop."""
    rows = []
    for w in range(wells):
        compound = ["DMSO", "a", "b", "c"][w % 4]
        meta = ["P1", f"A{w + 1:02}", "1", "W", compound, 0.5, compound, "negcon" if compound == "DMSO" else "trt"]
        for n in range(1, 5):
            status = "too_large" if w == wells - 1 or n == 4 else "kept"
            rows.append([*meta, n, status])
    return pd.DataFrame(rows, columns=[*schema.METADATA, schema.OBJECT, schema.CROP_STATUS])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(
        table: pd.DataFrame, identical: pd.DataFrame | None = None, **options: Any
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        values = {"by": "well", "stratify": "moa", "train": 0.6, "validation": 0.2, "test": 0.2} | options
        chosen = SimpleNamespace(seed=1, data_set="drawn", split=params.Split.model_validate(values))
        monkeypatch.setattr(params, "load", lambda: chosen)
        table.to_parquet(tmp_path / "crops.parquet")
        (pd.DataFrame(columns=tables.IDENTICAL) if identical is None else identical).to_csv(
            tmp_path / "identical.csv", index=False
        )
        split.run(*(tmp_path / n for n in PATHS))
        return splitting.read(tmp_path / "splits.csv"), json.loads((tmp_path / "split.json").read_text())

    return run


def test_only_image_sets_with_kept_crops_take_part_and_their_cells_are_counted(run: Any, tmp_path: Path) -> None:
    splits, certificate = run(crops())
    assert len(splits) == 11
    assert "A12" not in set(splits[schema.WELL])
    assert sum(certificate["cells"].values()) == 33
    keys = [
        "dataset",
        "by",
        "stratify",
        "asked",
        "required",
        "groups",
        "cells",
        "levels",
        "notes",
        "identical_pictures",
    ]
    assert list(certificate) == keys
    assert certificate["identical_pictures"] == 0
    assert certificate["asked"] == {"train": 0.6, "validation": 0.2, "test": 0.2}
    assert json.loads((tmp_path / "timings.json").read_text())["items"] == 11


def test_what_is_written_is_verified_again_from_the_files(run: Any, tmp_path: Path) -> None:
    splits, certificate = run(crops(), by="compound", stratify="compound")
    kept = pd.read_parquet(tmp_path / "crops.parquet").query("Crop_Status == 'kept'")
    again = splitting.verify(splits, kept, certificate["required"])
    assert {k: certificate[k] for k in ("groups", "cells", "levels")} == {
        k: again[k] for k in ("groups", "cells", "levels")}  # fmt: skip
    assert certificate["notes"][-len(again["notes"]) :] == again["notes"]


def test_the_same_crops_give_the_same_bytes(run: Any, tmp_path: Path) -> None:
    run(crops())
    first = [(tmp_path / n).read_bytes() for n in ("splits.csv", "split.json")]
    run(crops().sample(frac=1, random_state=0))
    assert [(tmp_path / n).read_bytes() for n in ("splits.csv", "split.json")] == first


def test_a_table_that_cannot_be_divided_is_refused_and_nothing_is_written(run: Any, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"all cells are of one plate \('P1'\).*site \(11\), well \(11\), compound \(4\)"
    ):
        run(crops(), by="plate")
    with pytest.raises(InputError, match="has no kept crop"):
        run(crops(1))
    with pytest.raises(SchemaError, match=r"crops\.parquet lacks Crop_Status"):
        run(crops().drop(columns="Crop_Status"))
    with pytest.raises(SchemaError, match="more than once"):
        run(pd.concat([crops(), crops()], ignore_index=True))
    with pytest.raises(InputError, match=r"gone\.parquet is missing"):
        split.run(tmp_path / "gone.parquet", *(tmp_path / n for n in PATHS[1:]))
    assert not (tmp_path / "splits.csv").exists()
    assert not (tmp_path / "split.json").exists()


def test_one_picture_on_two_sides_is_refused_and_on_one_side_counted(run: Any, tmp_path: Path) -> None:
    splits, _ = run(crops())
    sides = splits.groupby(schema.SPLIT)[schema.WELL].agg(list)
    assert len(sides["train"]) > 1

    def same(*wells: str) -> pd.DataFrame:
        rows = [["abc", "P1", well, "1", "DNA", f"P1/{well}.tif"] for well in wells]
        return pd.DataFrame(rows, columns=tables.IDENTICAL)

    train, test = sides["train"], sides["test"]
    assert run(crops(), same(*train[:2]))[1]["identical_pictures"] == 1
    assert run(crops(), same(train[0], "A12"))[1]["identical_pictures"] == 0  # A12 has no kept crop
    for name in ("splits.csv", "split.json"):
        (tmp_path / name).unlink()
    with pytest.raises(LeakError, match=rf"P1/{train[0]}\.tif \(train\) and P1/{test[0]}\.tif \(test\) are the same"):
        run(crops(), same(train[0], test[0]))
    assert not (tmp_path / "splits.csv").exists()
    (tmp_path / "identical.csv").write_text("a,b\n")
    with pytest.raises(SchemaError, match=r"identical\.csv lacks Picture"):
        split.run(*(tmp_path / n for n in PATHS))
    (tmp_path / "identical.csv").unlink()
    with pytest.raises(InputError, match=r"identical\.csv is missing; run `dvc repro index`"):
        split.run(*(tmp_path / n for n in PATHS))
