import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from morphospace import places
from morphospace.apps.shapes import command
from morphospace.errors import InputError, SchemaError
from morphospace.imaging import packs
from morphospace.metrics import forest

ROOT = Path(__file__).resolve().parents[3]
QUICK = {"points": 16, "latent": 4, "epochs": 2, "number": 3, "repeats": 1}


def _ellipse(a, b, at=(32, 32)):
    yy, xx = np.indices((64, 64))
    return ((yy - at[0]) / a) ** 2 + ((xx - at[1]) / b) ** 2 < 1


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    monkeypatch.setattr(forest, "TREES", 8)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())


@pytest.fixture
def folder(tmp_path):
    """24 masks of 6 wells, thin or round, then one of every kind that cannot be used, and their labels."""
    masks = tmp_path / "masks"
    masks.mkdir()
    rng = np.random.default_rng(1)
    rows = []
    for i in range(24):
        a = 6 if i % 2 else 15
        _save(masks / f"{i:02}.png", _ellipse(a + rng.uniform(-2, 2), 20 + rng.uniform(-2, 2)))
        rows.append((f"{i:02}.png", f"A0{i % 6}", "thin" if i % 2 else "round"))
    one, two, ring = np.zeros((64, 64), bool), _ellipse(8, 20), _ellipse(15, 20) & ~_ellipse(5, 5)
    one[9, 9], two[2:7, 2:7] = True, True
    odd = {"empty": one & False, "pixel": one, "two": two, "border": _ellipse(9, 9, (0, 30)), "ring": ring}
    for name, mask in odd.items():
        _save(masks / f"{name}.png", mask)
    rows += [("two.png", "A01", "thin"), ("empty.png", "A01", "thin"), ("nowhere.png", "A01", "thin")]
    table = pd.DataFrame(rows, columns=["file", "well", "form"])
    table.to_csv(tmp_path / "labels.csv", index=False)
    return masks


def _save(path, mask):
    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(path)


def test_masks_are_embedded_scored_and_drawn_and_the_bad_ones_counted(folder, tmp_path, caplog, capsys):
    out = tmp_path / "out"
    command.run(folder, tmp_path / "labels.csv", "form", "well", output=out, kind=["circular", "residual"], **QUICK)
    record = json.loads((out / "shapes.json").read_text())
    assert record["skipped"] == {"empty": 1, "too small": 1, "touches the border": 1}
    assert record["mended"] == {"largest part taken": 1, "holes filled": 1}
    assert (record["shapes"], record["without_label"], record["groups"]) == (26, 1, 6)
    assert record["classes"] == {"thin": 13, "round": 12}
    assert "1 labels without a mask, the first is nowhere.png" in caplog.text
    table = pd.read_parquet(out / "embeddings.parquet")
    assert list(table.columns) == ["file", "label", "group", *(f"Shape_Latent_{i}" for i in range(4))]
    assert table.set_index("file").loc["ring.png", "label"] == ""
    skipped = pd.read_csv(out / "skipped.csv").set_index("file")["detail"]
    assert skipped["pixel.png"] == "too small: 1 px, fewer than 16"
    together, torn = record["scores"][command.GROUPED], record["scores"][command.TORN]
    assert together["region properties, shape"]["accuracy"][0] > 0.9
    assert together["circular, learned in folds"]["repeats"] == 1
    assert set(together) - set(torn) == {"circular, learned in folds", "residual, learned in folds"}
    assert 0 < record["error_px"]["circular, learned in folds"] < 50
    history = pd.read_csv(out / "history.csv")
    assert len(history) == 2 * 2 * (1 + 3)  # kinds, epochs; from all, and three folds
    for name in ("reconstructions.png", "scores.png", "scores.csv", "scores.md"):
        assert (out / name).stat().st_size > 500
    assert "26 shapes, 3 skipped" in capsys.readouterr().out


@pytest.mark.slow
def test_without_labels_there_is_an_embedding_and_no_score(folder, tmp_path):
    command.run(folder, output=tmp_path / "out", parts="refuse", keep_border=True, scale="frobenius", **QUICK)
    record = json.loads((tmp_path / "out" / "shapes.json").read_text())
    assert record["skipped"] == {"empty": 1, "too small": 1, "several parts": 1}
    assert record["shapes"] == 26
    assert record["scores"] == {}
    assert not (tmp_path / "out" / "scores.png").exists()
    again = pd.read_parquet(tmp_path / "out" / "embeddings.parquet")
    command.run(folder, output=tmp_path / "out", parts="refuse", keep_border=True, scale="frobenius", **QUICK)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out" / "embeddings.parquet"), again)


def test_without_groups_every_shape_is_its_own(folder, tmp_path):
    command.run(folder, tmp_path / "labels.csv", "form", learn="all", output=tmp_path / "out", **QUICK)
    scores = json.loads((tmp_path / "out" / "shapes.json").read_text())["scores"]
    assert list(scores) == [command.ALONE]
    assert "circular, learned from all" in scores[command.ALONE]


@pytest.fixture
def objects(tmp_path):
    """Packs of one plate, 4 wells with 4 cells each, and their table; a nucleus in each cell."""
    folder = tmp_path / "objects"
    folder.mkdir()
    members, rows = [], []
    for w, well in enumerate(["A01", "A02", "B01", "B02"]):
        cells = np.zeros((64, 160), np.uint16)
        for n in range(4):
            a = 6 + n if w % 2 else 16
            cells[:, 40 * n : 40 * (n + 1)][_ellipse(a, 14, (32, 20))[:, :40]] = n + 1
            label = ["unknown", "other"][w % 2] if n == 3 and w < 2 else ["Round", "Flat"][w % 2]
            rows.append(("P1", well, "1", n + 1, label))
        for compartment in packs.COMPARTMENTS:
            members.append((f"{well}_1_{compartment}.tiff", packs.encode_labels(cells)))
    packs.write(folder / "P1.zip", members)
    names = ["Metadata_Plate", "Metadata_Well", "Metadata_Site", "ObjectNumber", "Metadata_MoA"]
    pd.DataFrame(rows, columns=names).to_parquet(folder / "objects.parquet")
    return folder


def test_the_projects_own_cells_are_read_from_packs(objects, tmp_path):
    command.run(objects, learn="all", output=tmp_path / "out", **{**QUICK, "number": 2})
    record = json.loads((tmp_path / "out" / "shapes.json").read_text())
    assert (record["shapes"], record["without_label"], record["groups"]) == (16, 1, 4)
    table = pd.read_parquet(tmp_path / "out" / "embeddings.parquet")
    assert table["group"].unique().tolist() == ["P1/A01", "P1/A02", "P1/B01", "P1/B02"]
    assert table["ObjectNumber"].tolist() == [1, 2, 3, 4] * 4
    assert record["scores"][command.GROUPED]["region properties, shape"]["accuracy"][0] > 0.8


def test_what_cannot_be_used_is_refused_in_one_line(folder, objects, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"none has no PNG and no objects\.parquet"):
        command.run(tmp_path / "none")
    with pytest.raises(InputError, match="masks, which is read"):
        places.guarded(command.run)(folder, output=folder)
    with pytest.raises(InputError, match="no autoencoder 'vae' of shapes"):
        command.run(folder, kind=["vae"], **QUICK)
    with pytest.raises(InputError, match="17 points"):
        command.run(folder, **{**QUICK, "points": 17})
    with pytest.raises(SchemaError, match="lacks colour"):
        command.run(folder, tmp_path / "labels.csv", "colour", "well", **QUICK)
    with pytest.raises(InputError, match=r"classes are in objects\.parquet; leave --labels out"):
        command.run(objects, tmp_path / "labels.csv", **QUICK)
    with pytest.raises(InputError, match="no compartment 'Membrane'"):
        command.run(objects, compartment="Membrane", **QUICK)
    with pytest.raises(SchemaError, match="lacks Metadata_Dose"):
        command.run(objects, by="Metadata_Dose", **QUICK)
    for path in folder.glob("[0-9r]*.png"):
        path.unlink()
    with pytest.raises(InputError, match=r"1 usable mask\(s\), 3 skipped"):
        command.run(folder, **QUICK)
