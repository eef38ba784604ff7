"""Models are compared end to end on miniature cells: budgets, floors, resumption, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from morphospace import files, schema, splitting
from morphospace.commands import _cell_sets, _contenders, _contest, _zoo, compare
from morphospace.errors import InputError, LeakError, ParameterError, SchemaError, TrainingError
from morphospace.imaging import packs
from morphospace.metrics import classification
from morphospace.models import conv_vae
from morphospace.models._base import Model
from morphospace.training import fitting

ROOT = Path(__file__).resolve().parents[2]
PLATES, CELLS, SIZE, Z = 12, 6, 16, 3


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve plates of six cells with discs: the mechanism is their brightness; params.yaml with few resamples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    monkeypatch.setattr(classification, "TREES", 5)
    monkeypatch.setattr(_cell_sets, "SIZE", SIZE)
    given = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"z_dim": Z}
    given["train"] |= {"minibatch": 8, "learning_rate": 3e-3}
    given["similarity"]["bootstrap"] = 100
    Path("params.yaml").write_text(yaml.safe_dump(given))
    write_cells(tmp_path / "cells")
    return tmp_path


def write_cells(folder: Path) -> pd.DataFrame:
    folder.mkdir()
    rng = np.random.default_rng(0)
    n, side = PLATES * CELLS, SIZE + 4
    bright = np.arange(n) % 2
    y, x = np.mgrid[:side, :side]
    radius = rng.uniform(2, 7, (n, 3, 1, 1))
    discs = (np.hypot(y - side / 2, x - side / 2) < radius) * (300 + 600 * bright[:, None, None, None])
    np.savez(folder / "a.npz", images=(discs + rng.integers(0, 50, discs.shape)).astype(np.uint16))
    table = pd.DataFrame({"plate": np.repeat([f"Week1_{p}" for p in range(PLATES)], CELLS), "well": "B02", "site": "1"})
    table["moa"] = np.where(bright, "bright", "dark")
    table = table.assign(compound="x", concentration="0.1")
    table.to_csv(folder / "a.csv", index=False)
    return table


def _run(project: Path, only: tuple[str, ...] = ("conv_vae", "autoencoder"), **options: Any) -> dict[str, Any]:
    given = {"models": True, "twin": False, "cells": project / "cells", "steps": 20, "only": list(only), **options}
    compare.run(project / "out", **given)
    return json.loads((project / "out/comparison.json").read_text())


def test_models_stand_beside_pca_and_floors(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _run(project)
    table = pd.read_csv(project / "out/comparison.csv").set_index("name")
    models = table[table["kind"] == "model"]
    assert set(models.index) == {"conv_vae", "autoencoder"}
    assert (models["steps"] == 20).all()
    assert (models["epochs"] >= 3).all()
    assert table.loc["PCA-3", "skill"] == 0
    skilled = table["skill"].dropna().tolist()
    assert skilled == sorted(skilled, reverse=True)
    mse = table["mse"]
    assert table["skill"]["conv_vae"] == pytest.approx(1 - mse["conv_vae"] / mse["PCA-3"])
    floors = table[table["kind"] == "floor"]
    assert list(floors.index) == ["majority class", "mean intensity", "random projection", "PCA of pixels"]
    assert floors["random_forest_macro_f1"].notna().all()
    names = {files.LIST, "comparison.csv", "comparison.json", "report.md", "report.html"}
    names |= {f"cells_{figure}.png" for figure in ("skill", "classes", "gallery", "curve")}
    assert {p.name for p in (project / "out").iterdir()} == names
    first = (project / "out/report.md").read_text().splitlines()[0]
    assert first.startswith("# On cells, ")
    assert "PCA-3" in first
    groups = found["data_sets"][0]["groups"]
    assert sum(groups.values()) == PLATES
    assert "20 training steps" in (project / "out/report.md").read_text()
    assert "CPU s, 20 steps, 10 epochs" in capsys.readouterr().out


@pytest.mark.slow
def test_cells_that_may_not_be_shown_are_in_no_picture(project: Path) -> None:
    _run(project, ("autoencoder",), gallery=False)
    figures = {p.name for p in (project / "out").glob("*.png")}
    assert figures == {f"cells_{figure}.png" for figure in ("skill", "classes", "curve")}
    assert "The same cells" not in (project / "out/report.html").read_text()


@pytest.mark.slow
def test_only_what_is_new_is_trained(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    fit = fitting.fit

    def counted(model: Model, *given: Any, **named: Any) -> fitting.Fitted:
        asked.append(type(model).__name__)
        return fit(model, *given, **named)

    monkeypatch.setattr(fitting, "fit", counted)
    first = _run(project, ("autoencoder",))
    second = _run(project)
    assert asked == ["ConvAutoencoder", "ConvVAE"]
    name = "autoencoder"
    assert second["data_sets"][0]["models"][name] == first["data_sets"][0]["models"][name]
    _run(project, ("autoencoder",), steps=10)
    assert asked == ["ConvAutoencoder", "ConvVAE", "ConvAutoencoder"]
    for path in files.scratch("compare", "").rglob("result/record.json"):
        path.write_text("{}")  # as if a disk had lost them
    _run(project, ("autoencoder",), steps=10)
    assert asked == ["ConvAutoencoder", "ConvVAE", "ConvAutoencoder", "ConvAutoencoder"]


@pytest.mark.slow
def test_a_kill_loses_the_model_in_work_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def dies(*given: Any, **named: Any) -> fitting.Fitted:
        raise Killed

    _run(project, ("autoencoder",))
    before = (project / "out/report.md").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "fit", dies)
        with pytest.raises(Killed):
            _run(project)  # the autoencoder is kept, conv_vae is in work
    assert (project / "out/report.md").read_bytes() == before
    assert set(_run(project)["data_sets"][0]["models"]) == {"autoencoder", "conv_vae"}


class Mute(conv_vae.ConvVAE):
    """Draws nothing."""

    decodes = reconstructs = False


class More(conv_vae.ConvVAE):
    """Draws from more than its latent point."""

    decodes = False


def test_what_a_model_cannot_do_stands_in_the_table(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"conv_vae": Mute, "autoencoder": More}
    monkeypatch.setattr(
        _contest.recipe._build, "build", lambda name, *given: kinds[name](3, SIZE, Z, "linear", False, 0.0, 10.0)
    )
    _run(project)
    text = (project / "out/report.md").read_text()
    assert "| conv\\_vae | draws nothing | – |" in text
    assert "| autoencoder \\* |" in text.replace("**", "")
    assert "its S is not one of 3 numbers" in text
    assert text.startswith("# On cells, no model is better than PCA-3.")
    table = pd.read_csv(project / "out/comparison.csv").set_index("name")
    assert pd.isna(table["skill"]["conv_vae"])
    assert pd.notna(table["skill"]["autoencoder"])
    assert (table["random_forest_macro_f1"][list(kinds)] >= 0).all()


@pytest.mark.slow
def test_a_model_that_refuses_the_cells_is_listed_with_its_reason(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = _contest.recipe._build.build

    def picky(name: str, *given: Any) -> Model:
        if name == "autoencoder":
            raise TrainingError("needs larger tiles")
        return build(name, *given)

    monkeypatch.setattr(_contest.recipe._build, "build", picky)
    found = _run(project)
    assert found["data_sets"][0]["not_compared"] == {"autoencoder": "needs larger tiles"}
    assert "Not compared: autoencoder: needs larger tiles" in (project / "out/report.md").read_text()


def write_twin(folder: Path) -> dict[str, Path]:
    """Write what the pipeline leaves up to its split: four discs in each of six wells."""
    paths = {"crops": folder / "crops", "crops_table": folder / "crops.parquet", "splits": folder / "splits.csv"}
    wells = np.repeat([f"B0{w}" for w in range(1, 7)], 4)
    table = pd.DataFrame({schema.PLATE: "P1", schema.WELL: wells, schema.SITE: "1", schema.OBJECT: range(1, 25)})
    table = table.assign(**{c: "x" for c in schema.METADATA if c not in table}, **{schema.CROP_STATUS: schema.KEPT})
    table[schema.MOA] = np.where(table[schema.OBJECT] % 2, "odd", "even")
    table[schema.CROP_FILE] = [f"{well}_{n}.png" for n, well in enumerate(wells)]
    tiles = np.random.default_rng(0).integers(0, 255, (24, 3, SIZE, SIZE)).astype(np.uint8)
    packs.write(folder / "crops/P1.zip", zip(table[schema.CROP_FILE], map(packs.encode_tile, tiles), strict=True))
    table.to_parquet(paths["crops_table"])
    sets = table.drop_duplicates(schema.IMAGE_SET_KEY)[schema.IMAGE_SET_KEY]
    sides = ["train", "train", "train", "validation", "test", "test"]
    sets.assign(Group=splitting.groups(sets, "well"), Split=sides).to_csv(paths["splits"], index=False)
    return paths


def test_the_crops_of_the_pipeline_are_compared(project: Path) -> None:
    found = _run(project, ("autoencoder",), twin=True, cells=None, **write_twin(project / "data"))
    assert found["data_sets"][0]["name"] == "twin"
    assert found["data_sets"][0]["groups"] == {"train": 3, "validation": 1, "test": 2}


def test_a_leak_in_the_split_is_refused(project: Path) -> None:
    paths = write_twin(project / "data")
    table, sides = pd.read_parquet(paths["crops_table"]), pd.read_csv(paths["splits"], dtype=str)
    more = table.iloc[:1].assign(**{schema.SITE: "2"})
    pd.concat([table, more]).to_parquet(paths["crops_table"])
    both = pd.concat([sides, sides.iloc[:1].assign(**{schema.SITE: "2", schema.SPLIT: "test"})])
    both.to_csv(paths["splits"], index=False)
    with pytest.raises(LeakError, match="well P1/B01 stands in test and train"):
        _run(project, twin=True, cells=None, **paths)


def test_only_training_cells_decide_the_grey_values() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 4000, (6, 2, 8, 8)).astype(np.uint16)
    train = np.arange(4)
    changed = images.copy()
    changed[4:] = 60_000
    assert np.array_equal(_cell_sets.scaled(images, train)[:4], _cell_sets.scaled(changed, train)[:4])
    assert (_cell_sets.scaled(changed, train)[4:] == 255).all()
    flat = _cell_sets.scaled(np.full((2, 1, 8, 8), 7, np.uint16), np.arange(1))
    assert (flat == 0).all()


def test_mistakes_are_refused_before_any_work(project: Path) -> None:
    with pytest.raises(ParameterError, match="called 'conv_vea'; did you mean 'conv_vae'"):
        _run(project, ("conv_vea",))
    with pytest.raises(InputError, match="nothing to compare on"):
        _run(project, cells=None)
    with pytest.raises(InputError, match=r"data/crops is missing: run `dvc repro split`"):
        _run(project, twin=True)
    with pytest.raises(InputError, match="--seconds is 0"):
        _run(project, seconds=0, steps=0)
    (project / "out").mkdir()
    (project / "out/thesis.tex").write_text("years")
    with pytest.raises(InputError, match="out holds 1 file that morphospace did not write"):
        _run(project)


def test_a_folder_that_is_not_one_of_cells_is_refused(project: Path) -> None:
    folder = project / "cells"
    table = pd.read_csv(folder / "a.csv")
    with pytest.raises(InputError, match=r"has 0 files \*\.npz"):
        _run(project, cells=project)
    table.iloc[1:].to_csv(folder / "a.csv", index=False)
    with pytest.raises(InputError, match="a cell for each of the 71 rows"):
        _run(project)
    table.drop(columns="moa").to_csv(folder / "a.csv", index=False)
    with pytest.raises(SchemaError, match="lacks moa"):
        _run(project)
    np.savez(folder / "a.npz", pictures=np.zeros(3))
    with pytest.raises(InputError, match="has no array `images`"):
        _run(project)


def test_every_variant_is_one_that_params_would_take(project: Path) -> None:
    found = {c.name: c.options for c in _contenders.contenders()}
    assert {"conv_vae", "autoencoder", *_contenders.VARIANTS} <= set(found)
    assert found["conv_vae_l1"].train.likelihood == "l1"
    assert {o.train.patience for o in found.values()} == {0}
    assert {o.z_dim for o in found.values()} == {Z}


def test_views_are_the_eight_symmetries() -> None:
    tiles = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 4)).astype(np.uint8)
    views = _contest._views(tiles).reshape(8, 2, 3, 4, 4)
    assert np.array_equal(views[0], tiles)
    assert len({v[0].tobytes() for v in views}) == 8
    assert {v[0].tobytes() for v in views[4:]} == {v[0].transpose(0, 2, 1).copy().tobytes() for v in views[:4]}


def test_the_first_line_counts_intervals_and_not_values() -> None:
    rows = [
        ("winner", 0.2, 0.1, 0.3, True),
        ("tie", 0.1, -0.1, 0.2, True),
        ("loser", -0.2, -0.3, -0.1, True),
        ("more", 0.9, 0.8, 1.0, False),
        ("mute", np.nan, np.nan, np.nan, False),
    ]
    table = pd.DataFrame(rows, columns=["name", "skill", "skill_low", "skill_high", "bottleneck"])
    table = table.assign(dataset="cells", kind="model", z_dim=75, random_forest_macro_f1=0.5)
    said = _zoo.drawing.verdict(table)
    parts = ["better than PCA-75: winner (+0.20)", "as good as PCA-75: tie (+0.10)", "worse than PCA-75: loser (-0.20)"]
    assert said == f"On cells, {'; '.join(parts)}."
