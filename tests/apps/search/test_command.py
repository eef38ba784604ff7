"""The command search, on a trained model in miniature."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from morphospace import cli, files, schema
from morphospace.apps.search import command
from morphospace.errors import InputError
from morphospace.imaging import packs


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with what the pipeline leaves; wells B01 to B05 of 4 cells, of two treatments."""
    shutil.copytree(trained / "data", tmp_path / "data")
    table = pd.read_parquet(tmp_path / "data/embeddings.parquet")
    control = table[schema.WELL].isin(["B01", "B04"])
    table[schema.COMPOUND] = np.where(control, "DMSO", "mevinolin/lovastatin")
    table[schema.CONCENTRATION] = np.where(control, 0.0, 1.5)
    table[schema.MOA] = np.where(control, "DMSO", "Cholesterol [lowering]")
    table[schema.PERT_TYPE] = np.where(control, schema.NEGCON, schema.TREATED)
    table.to_parquet(tmp_path / "data/embeddings.parquet")
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str], query: str, **options: Any) -> dict[str, Any]:
    capsys.readouterr()
    command.run(query, **{"form": "json", **options})
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_an_image_finds_the_cell_that_it_is(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, content = next(iter(packs.members(Path("data/crops/P1.zip"))))
    Path("one.png").write_bytes(content)
    found = _json(capsys, "one.png", top=3, metric="l2", sheet=Path("out/near.png"))
    assert found["hits"][0]["Crop_File"] == name
    assert found["hits"][0]["Distance"] == pytest.approx(0, abs=1e-3)
    assert found["exact"]
    assert found["model"] == json.loads(Path("data/models/model.json").read_text())["fingerprint"]
    with Image.open("out/near.png") as picture:
        assert picture.width > picture.height > 100
    mean = _json(capsys, "data/crops", top=1)
    assert mean["query"] == "data/crops (the mean of 20 crops)"


def test_a_cell_finds_others_by_tags_and_never_itself(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "P1/B01/1/1", top=50)
    assert len(found["hits"]) == 19
    assert "P1/B01/1/1" not in {h["Id"] for h in found["hits"]}
    assert [h["Rank"] for h in found["hits"]] == list(range(1, 20))
    some = _json(capsys, "P1/B01/1/1", with_=["well:B04", "well:B05"], without=["compound:mevinolin/lovastatin"])
    assert {h[schema.WELL] for h in some["hits"]} == {"B04"}


@pytest.mark.parametrize("level", ["well", "treatment"])
def test_a_cell_stands_for_its_well_or_treatment(
    here: Path, capsys: pytest.CaptureFixture[str], level: Any, tmp_path: Path
) -> None:
    by_cell = _json(capsys, "P1/B02/1/5", level=level, sheet=tmp_path / "x.png")
    name = {"well": "P1/B02", "treatment": "mevinolin/lovastatin/1.5"}[level]
    assert by_cell == _json(capsys, name, level=level)
    assert by_cell["query"] == f"{level} {name}"
    assert len(by_cell["hits"]) == {"well": 4, "treatment": 1}[level]


def test_the_table_shows_names_as_they_are_and_the_novelty(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.run("P1/B01/1/1", top=2, with_=["moa:Cholesterol [lowering]"], sheet=Path("x.png"))
    said = capsys.readouterr()
    assert "cell P1/B01/1/1: cosine distance to 20 cells, exact" in said.out
    assert "[lowering]" in said.out
    assert "novelty: it cannot be told; fewer than 19 wells calibrate" in said.out
    assert "p 0." in said.out
    assert "contact sheet: x.png" in said.err


def test_a_database_at_a_place_is_used_without_the_data(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = _json(capsys, "P1/B01/1/1", database="base")
    table = pd.read_parquet("data/embeddings.parquet")
    table.iloc[:-1].to_parquet("data/embeddings.parquet")
    with pytest.raises(InputError, match="base was built of other tables than data/embeddings"):
        command.run("P1/B01/1/1", database="base")
    shutil.move("data/embeddings.parquet", "kept.parquet")
    assert _json(capsys, "P1/B01/1/1", database="base") == first
    shutil.move("kept.parquet", "data/embeddings.parquet")
    assert _json(capsys, "P1/B01/1/1", database="base", rebuild=True)["searched"] == 19
    shutil.rmtree("data")
    with pytest.raises(InputError, match=r"data/embeddings\.parquet is missing"):
        command.run("P1/B01/1/1")


def _largest(folder: Path) -> Path:
    return max((f for f in folder.rglob("*.lance") if f.is_file()), key=lambda f: f.stat().st_size)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["altered", "cut", "gone", "manifest"])
def test_a_database_of_the_scratch_folder_that_was_damaged_is_built_anew(
    here: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    first = _json(capsys, "P1/B01/1/1")
    assert not caplog.records
    (folder,) = (f for f in files.scratch("search", "").iterdir() if f.is_dir())
    if damage == "altered":
        _flip(_largest(folder))
    elif damage == "cut":
        _largest(folder).write_bytes(b"Aborted.")
    elif damage == "gone":
        _largest(folder).unlink()
    else:
        for path in folder.rglob("_versions/*"):
            path.write_bytes(b"")
    assert _json(capsys, "P1/B01/1/1") == first
    assert "is not as it was written" in caplog.text
    caplog.clear()
    assert _json(capsys, "P1/B01/1/1") == first
    assert not caplog.records


def test_a_database_at_a_place_that_was_damaged_is_refused_and_can_be_replaced(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = _json(capsys, "P1/B01/1/1", database="base")
    _flip(_largest(Path("base")))
    with pytest.raises(InputError, match=r"base is not as it was written \(.*other bytes .*\): .*--rebuild"):
        command.run("P1/B01/1/1", database="base")
    assert _json(capsys, "P1/B01/1/1", database="base", rebuild=True) == first
    assert _json(capsys, "P1/B01/1/1", database="base") == first


def test_another_model_is_refused(here: Path) -> None:
    card = json.loads(Path("data/models/model.json").read_text())
    Path("data/models/model.json").write_text(json.dumps(card | {"weights": "0" * 64}))
    for query in ("P1/B01/1/1", "data/crops"):
        with pytest.raises(InputError, match=r"the embeddings are of model .* their spaces have nothing in common"):
            command.run(query)
    Path("data/models/model.json").write_text("[]")
    with pytest.raises(InputError, match="is no card of a model"):
        command.run("P1/B01/1/1")
    shutil.rmtree("data/models")
    command.run("P1/B01/1/1")
    with pytest.raises(InputError, match="data/models is no folder of a model"):
        command.run("data/crops")


def test_embeddings_that_do_not_name_their_model_are_no_match_for_an_image(here: Path) -> None:
    table = pd.read_parquet("data/embeddings.parquet")
    table.attrs = {}
    table.to_parquet("data/embeddings.parquet")
    command.run("P1/B01/1/1")
    with pytest.raises(InputError, match="do not say which model made them"):
        command.run("data/crops")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("P1/B01/1/99", r"there is no file and no cell 'P1/B01/1/99'; a cell is plate/well/site/object.*there are: 1,"),
        ("P9/B01/1/1", "did you mean 'P1'"),
        ("P1", "a cell is plate/well/site/object"),
        ("P1/B01/1/1/1", "a cell is plate/well/site/object"),
        ("absent.png", r"absent\.png is missing"),
    ],
)
def test_an_unknown_query_is_refused(here: Path, query: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        command.run(query)


def test_bad_options_and_crops_are_refused(here: Path) -> None:
    with pytest.raises(InputError, match=r"'mevinolin/1'.*a treatment is compound/concentration; did you mean"):
        command.run("mevinolin/1", level="treatment")
    with pytest.raises(InputError, match=r"near\.jpg: a contact sheet is a PNG"):
        command.run("P1/B01/1/1", sheet=Path("near.jpg"))
    Image.fromarray(np.zeros((40, 40, 3), dtype=np.uint8)).save("large.png")
    with pytest.raises(InputError, match=r"large\.png is 40 x 40 px, larger than the model's tile of 16 px"):
        command.run("large.png")
    Image.fromarray(np.zeros((16, 16), dtype=np.uint8)).save("grey.png")
    with pytest.raises(InputError, match=r"grey\.png .*the model wants an RGB PNG"):
        command.run("grey.png")
    table = pd.read_parquet("data/crops.parquet")
    table.loc[3, schema.CROP_STATUS] = "too_large"
    table.to_parquet("data/crops.parquet")
    with pytest.raises(InputError, match=r"has no kept crop of 1 of .*, the first is P1"):
        command.run("P1/B01/1/1")
    shutil.rmtree("data/crops")
    with pytest.raises(InputError, match="holds no crops"):
        command.run("P1/B01/1/1", sheet=Path("x.png"))


def test_help_teaches_the_tags() -> None:
    said = CliRunner().invoke(cli.app, ["search", "--help"], env={"COLUMNS": "200"}).output
    said = " ".join(said.split())
    assert "moa:DMSO" in said
    assert 'key mean "any of these"' in said
