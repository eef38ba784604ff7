"""The command reconstruct draws and scores as the stage similarity does, from the model alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from morphospace import files, schema
from morphospace.commands import reconstruct
from morphospace.errors import InputError, TrainingError
from morphospace.imaging import codec, packs
from morphospace.training import embedding


def test_the_scores_are_those_of_the_stage(fetched: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reconstruct.run(Path("model"), [Path("crops")])
    found = pd.read_csv("reconstructions/scores.csv")
    assert len(found) == 20
    test = found[found[schema.CROP_FILE].str.contains("_B04_|_B05_")]
    record = json.loads((trained / "reports/records/similarity.json").read_text())
    assert test["S"].mean() == pytest.approx(record["S"], abs=1e-6)
    assert test["mse"].mean() == pytest.approx(record["mse"], abs=1e-6)
    assert test["S_inside"].mean() == pytest.approx(record["S_inside"], abs=1e-6)
    assert "images: 20, mean S: 0." in capsys.readouterr().out


def test_the_pictures_are_the_reconstructions_of_the_library(fetched: Path) -> None:
    reconstruct.run(Path("model"), [Path("crops/P1.zip")], Path("out"))
    net, _ = embedding.load_model(Path("model"))
    for name, content in packs.members(fetched / "crops/P1.zip"):
        drawn = embedding.reconstruct(net, codec.decode_tile(content, 3)[None], 1)[0]
        there = codec.decode_tile((fetched / "out/images/P1" / name).read_bytes(), 3)
        np.testing.assert_allclose(there, drawn.clip(0, 1) * 255, atol=0.51)
    assert {p.name for p in Path("out").iterdir()} == {files.LIST, "images", "scores.csv", "contact_sheet.png"}


def test_the_table_says_which_picture_is_whose(fetched: Path) -> None:
    names = ("b.png", "a.png")
    for name, (_, content) in zip(names, packs.members(fetched / "crops/P1.zip"), strict=False):
        (fetched / name).write_bytes(content)
    reconstruct.run(Path("model"), [Path(n) for n in names], Path("out"))
    table = pd.read_csv("out/scores.csv")
    assert table[schema.SOURCE].tolist() == list(names)
    assert table[schema.RECONSTRUCTION].tolist() == ["images/b.png", "images/a.png"]
    for row in table.itertuples():
        original, drawn = (_pixels(path) for path in (row.Source, f"out/{row.Reconstruction}"))
        assert float(row.S) == pytest.approx(1 - np.abs(original - drawn).mean(), abs=0.5 / 255)


def _pixels(path: str) -> NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image, float) / 255


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (9, 2)])
def test_the_sheet_has_a_pair_of_rows_for_eight_images(fetched: Path, count: int, rows: int) -> None:
    for n, (_, content) in zip(range(count), packs.members(fetched / "crops/P1.zip"), strict=False):
        (fetched / f"{n:02}.png").write_bytes(content)
    reconstruct.run(Path("model"), sorted(fetched.glob("*.png")), Path("out"))
    height, width, _ = _pixels("out/contact_sheet.png").shape
    assert height / 120 == pytest.approx(rows * (1.07 + 1.45) + 0.35, abs=0.05)
    assert width / 120 == pytest.approx(min(count, 8) * 1.05 + 1.1, abs=0.05)


def test_a_sheet_that_leaves_images_out_says_so(fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    gallery = reconstruct.drawing.gallery
    monkeypatch.setattr(
        reconstruct.drawing,
        "gallery",
        lambda rows, title, **more: seen.append((rows, title)) or gallery(rows, title, **more),
    )
    monkeypatch.setattr(reconstruct, "SHOWN", 10)
    monkeypatch.setattr(reconstruct, "MINIBATCH", 7)
    reconstruct.run(Path("model"), [Path("crops")])
    rows, title = seen[0]
    assert title == "the first 10 of 20"
    assert [len(row.tiles) for row in rows] == [8, 8, 2, 2]


def test_a_folder_with_a_persons_file_is_left_alone(fetched: Path) -> None:
    Path("out").mkdir()
    Path("out/precious.txt").write_text("mine")
    with pytest.raises(InputError, match="out holds 1 file that morphospace did not write"):
        reconstruct.run(Path("model"), [Path("crops")], Path("out"))
    assert Path("out/precious.txt").read_text() == "mine"


def test_two_images_of_one_name_are_refused_and_nothing_is_left(fetched: Path) -> None:
    tile = np.zeros((3, 8, 8), np.uint8)
    Path("a.png").write_bytes(codec.encode_tile(tile))
    tifffile.imwrite("a.tif", tile, photometric="minisblack")
    with pytest.raises(InputError, match=r"two images would both be drawn as images/a\.png"):
        reconstruct.run(Path("model"), [Path("a.png"), Path("a.tif")])
    assert not Path("reconstructions").exists()


def test_a_model_that_draws_nan_is_named(fetched: Path) -> None:
    # finite, as a card's weights must be, and too large for what is drawn with them
    weights = {k: v * 1e30 for k, v in embedding.load_file(fetched / "model/model.safetensors").items()}
    embedding.save_model(fetched / "model", weights, embedding.read_card(fetched / "model"))
    with pytest.raises(TrainingError, match=r"model \(conv_vae\) reconstructs 20 of 20 cells as NaN"):
        reconstruct.run(Path("model"), [Path("crops")])
