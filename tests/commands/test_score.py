import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from morphospace import files, schema
from morphospace.commands import score
from morphospace.errors import InputError, SchemaError
from morphospace.imaging import packs
from morphospace.metrics import classification, folds

ROOT = Path(__file__).resolve().parents[2]
PLATES, WELLS, CELLS = ("P1", "P2"), 6, 5


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two plates of six wells: class dark, bright and unknown by well; the embedding is noise, the pixels tell all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    monkeypatch.setattr(classification, "TREES", 10)
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    given["similarity"]["bootstrap"] = 100
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))
    keys = [(p, f"A{w + 1:02d}", "1", c + 1) for p in PLATES for w in range(WELLS) for c in range(CELLS)]
    table = pd.DataFrame(keys, columns=schema.OBJECT_KEY)
    table[schema.MOA] = [
        ("dark", "bright", "dark", "bright", "dark", "unknown")[int(w[1:]) - 1] for w in table[schema.WELL]
    ]
    others = {schema.BATCH: "B", schema.COMPOUND: "x", schema.CONCENTRATION: 0.5, schema.PERT_TYPE: "trt"}
    table = table.assign(**others)
    rng = np.random.default_rng(0)
    bright = (table[schema.MOA] == "bright").to_numpy()[:, None, None, None]
    tiles = (40 + 100 * bright + rng.integers(0, 20, (len(table), 3, 12, 12))).astype(np.uint8)
    names = [f"{w}_{o}.png" for w, o in zip(table[schema.WELL], table[schema.OBJECT], strict=True)]
    kept = table.assign(**{schema.CROP_FILE: names, schema.CROP_STATUS: schema.KEPT})
    for plate, part in kept.groupby(schema.PLATE):
        pictures = ((names[i], packs.encode_tile(tiles[i])) for i in part.index)
        packs.write(tmp_path / f"crops/{plate}.zip", pictures)
    kept.to_parquet(tmp_path / "crops.parquet", index=False)
    latent = {f"{schema.LATENT_PREFIX}{k:03d}": rng.normal(size=len(table)).astype(np.float32) for k in range(2)}
    sides = np.where(table[schema.PLATE] == "P1", schema.TRAIN, schema.TEST)
    mixed = table.assign(**{schema.SPLIT: sides}, **latent).sample(frac=1, random_state=0)  # in another order
    mixed.to_parquet(tmp_path / "embeddings.parquet", index=False)
    return tmp_path


def _run(project: Path, name: str = "embeddings.parquet", **options: object) -> dict:
    score.run(project / name, **{"number": 3, "output": project / "out", **options})
    return json.loads((project / "out/scores.json").read_text())


def _method(found: dict, method: str, classifier: str = "random_forest") -> dict:
    return next(m for m in found["methods"] if (m["method"], m["classifier"]) == (method, classifier))


def test_an_embedding_of_noise_is_beaten_by_its_pixels(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _run(project, crops=project / "crops", crops_table=project / "crops.parquet")
    assert [m["method"] for m in found["methods"]] == [
        *("embedding", "majority", "mean_intensity", "random_projection", "pca") * 2
    ]
    for name in classification.CLASSIFIERS:
        assert _method(found, "mean_intensity", name)["accuracy"]["value"] == 1
        assert _method(found, "pca", name)["width"] == 2
        assert _method(found, "pca", name)["embedding_minus_this"]["accuracy"]["high"] < 0
        assert _method(found, "majority", name)["accuracy"]["value"] == 0.6
    assert (found["cells"], found["groups"], found["folds"], found["missing"]) == (50, 10, 3, "")
    assert found["left_out"] == [{"label": "", "reason": "no label", "cells": 10, "groups": 2}]
    assert found["split_of_the_model"] == {"test": 25, "train": 25}
    shown = capsys.readouterr().out
    assert "PCA-2 of" in shown
    assert "left out: 10 cells of no class: no label" in shown
    assert "not measured" not in shown


def test_the_files_agree_with_each_other(project: Path) -> None:
    found = _run(project)
    names = {files.LIST, "scores.json", "scores.csv", "scores.tex", "predictions.csv", "floors.png"}
    names |= {f"confusion_{c}.png" for c in classification.CLASSIFIERS}
    assert {p.name for p in (project / "out").iterdir()} == names
    table = pd.read_csv(project / "out/scores.csv", keep_default_na=False)
    row = table[(table["class"] == "") & (table["score"] == "accuracy") & (table["method"] == "embedding")].iloc[0]
    assert float(row["value"]) == _method(found, "embedding")["accuracy"]["value"]
    lines = (project / "out/scores.tex").read_text().splitlines()
    assert any(line.startswith(rf"random\_forest & embedding & {float(row['value']):.3f} (") for line in lines)
    said = pd.read_csv(project / "out/predictions.csv")
    truth = pd.read_parquet(project / "embeddings.parquet")[schema.MOA].iloc[said["row"]]
    assert said["truth"].tolist() == truth.tolist()
    assert (said["truth"] == said["random_forest_embedding"]).mean() == float(row["value"])


def test_without_crops_the_majority_stands_and_the_missing_floors_are_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _run(project)
    assert found["missing"].startswith("not measured: mean intensity")
    shown = " ".join(capsys.readouterr().out.split())
    assert "majority" in shown
    assert (
        "not measured: mean intensity, random projection and PCA of the pixels; give --crops and --crops-table" in shown
    )


def test_a_well_is_known_by_its_plate_and_a_plate_by_itself(project: Path) -> None:
    table = pd.read_parquet(project / "embeddings.parquet")
    assert set(score._groups(table, schema.WELL)) == {f"{p}/A{w:02d}" for p in PLATES for w in range(1, 7)}
    by_plate = _run(project, group=schema.PLATE)
    assert (by_plate["groups"], by_plate["folds"]) == (2, 2)


def test_splits_and_classes_can_be_chosen(project: Path) -> None:
    assert _run(project, split=["test"])["split_of_the_model"] == {"test": 25}
    with pytest.raises(InputError, match=r"two classes with two groups each, 1 is left"):
        _run(project, without=["dark"])
    with pytest.raises(InputError, match=r"--without: Metadata_MoA has no 'drak'; did you mean 'dark'"):
        _run(project, without=["drak"])
    with pytest.raises(InputError, match=r"has no cell of split 'tset'; did you mean 'test'"):
        _run(project, split=["tset"])


def test_any_csv_with_features_by_prefix_is_read(project: Path) -> None:
    rng = np.random.default_rng(1)
    kind = np.repeat(["a", "b"], 30)
    table = {"Metadata_Plate": "0012", "Metadata_Well": np.repeat(np.arange(12), 5), "kind": kind}
    features = {f"Nuclei_{k}": rng.normal(size=60) + 4 * (kind == "b") for k in range(3)}
    pd.DataFrame({**table, **features, "Nuclei_Name": "x"}).to_csv(project / "any.csv", index=False)
    found = _run(project, "any.csv", by="kind", prefix=["Nuclei_0", "Nuclei_1"])
    assert _method(found, "embedding")["width"] == 2
    assert _method(found, "embedding")["accuracy"]["low"] > 0.9
    with pytest.raises(InputError, match="feature Nuclei_Name is not a number"):
        _run(project, "any.csv", by="kind", prefix=["Nuclei_"])
    with pytest.raises(SchemaError, match="has no column that starts with Cells_Latent_"):
        _run(project, "any.csv", by="kind")


def test_what_is_no_feature_is_never_learned_from(project: Path) -> None:
    table = pd.read_parquet(project / "embeddings.parquet").assign(Cells_Latent_class=1)
    table.to_parquet(project / "leak.parquet")
    with pytest.raises(InputError, match="takes Cells_Latent_class for a feature"):
        _run(project, "leak.parquet", by="Cells_Latent_class")
    with pytest.raises(InputError, match="takes Metadata_"):
        _run(project, prefix=["Cells_Latent_", "Metadata_C"])


def test_tables_that_do_not_fit_are_refused(project: Path) -> None:
    with pytest.raises(SchemaError, match=r"lacks Metadata_Moa; did you mean 'Metadata_MoA'"):
        _run(project, by="Metadata_Moa")
    table = pd.read_parquet(project / "embeddings.parquet")
    table.drop(columns=schema.PLATE).to_parquet(project / "one.parquet")
    with pytest.raises(SchemaError, match="lacks Metadata_Plate"):
        _run(project, "one.parquet")
    table.assign(**{schema.WELL: None}).to_parquet(project / "two.parquet")
    with pytest.raises(InputError, match="60 rows without a group"):
        _run(project, "two.parquet")
    with pytest.raises(InputError, match=r"none\.csv is missing"):
        _run(project, "none.csv")
    with pytest.raises(InputError, match=r"none\.parquet is missing"):
        _run(project, "none.parquet")
    (project / "empty.csv").write_text("")
    with pytest.raises(InputError, match="is not a table"):
        _run(project, "empty.csv")


def test_crops_that_do_not_fit_are_refused(project: Path) -> None:
    with pytest.raises(InputError, match="need both --crops and --crops-table"):
        _run(project, crops=project / "crops")
    table = pd.read_parquet(project / "crops.parquet")
    table[schema.CROP_STATUS] = ["border", *[schema.KEPT] * 59]
    table.to_parquet(project / "less.parquet")
    with pytest.raises(InputError, match="no kept crop for 1 row of the embedding, the first is P1, A01, 1, 1"):
        _run(project, crops=project / "crops", crops_table=project / "less.parquet")
    first = pd.read_parquet(project / "embeddings.parquet").iloc[0]
    packs.write(
        project / f"other/{first[schema.PLATE]}.zip", [(f"{first[schema.WELL]}_{first[schema.OBJECT]}.png", b"?")]
    )
    with pytest.raises(InputError, match="is not a readable PNG"):
        _run(project, crops=project / "other", crops_table=project / "crops.parquet")


def test_a_folder_of_something_else_is_not_replaced(project: Path) -> None:
    (project / "mine").mkdir()
    (project / "mine/thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"mine holds 1 file that morphospace did not write there \(first: thesis.tex"):
        _run(project, output=project / "mine")
    assert (project / "mine/thesis.tex").exists()
    for _ in "ab":
        assert _run(project)["cells"] == 50  # the second time over its own
    (project / "out/notes.txt").write_text("a person's, in a folder of ours")
    with pytest.raises(InputError, match="notes"):
        _run(project)


@pytest.mark.slow
def test_maps_are_drawn_for_every_column_and_repeat(project: Path) -> None:
    options = {"colour": [schema.MOA, schema.CONCENTRATION, "Cells_Latent_000"], "supervised": True}
    _run(project, **options)
    names = ["map_Cells_Latent_000.png", "map_Metadata_Concentration.png", "map_Metadata_MoA.png", "map_supervised.png"]
    first = {n: (project / "out" / n).read_bytes() for n in names}
    assert sorted(p.name for p in (project / "out").glob("map_*")) == names
    _run(project, **options)
    assert {n: (project / "out" / n).read_bytes() for n in names} == first
    with pytest.raises(SchemaError, match="lacks Metadata_Color"):
        _run(project, colour=["Metadata_Color"])


@pytest.mark.parametrize("seed", range(5))
def test_a_supervised_map_hides_about_as_much_of_each_class(seed: int) -> None:
    """Ten groups of one class, two of another, three of a third: none is hidden whole, none is shown whole."""
    groups = [f"g{i}" for i in range(15)]
    labels = ["a"] * 10 + ["b"] * 2 + ["c"] * 3
    task = folds.prepare(np.repeat(labels, 4), np.repeat(groups, 4), 3, 0)
    hidden = score.hidden_groups(task, seed)
    of = {c: hidden[np.unique(task.groups[task.labels == i])] for i, c in enumerate(task.classes)}
    assert {c: (int(h.sum()), len(h)) for c, h in of.items()} == {"a": (3, 10), "b": (1, 2), "c": (1, 3)}
    assert score._hiding(task, seed)["b"] == {"groups": 2, "groups_hidden": 1, "cells": 8, "cells_hidden": 4}


def test_groups_of_several_classes_hide_some_of_each() -> None:
    labels, groups = list("abc") * 6, [f"plate{i // 3}" for i in range(18)]
    task = folds.prepare(labels, groups, 3, 0)
    assert {of["groups_hidden"] for of in score._hiding(task, 0).values()} == {2}
