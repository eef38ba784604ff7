"""The stage that cuts cells, on plates drawn here: two plates, rectangles for cells, known values."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from rectangles import CHANNELS, HEIGHT, ROOT, WIDTH, Plates, draw

from morphospace import params, schema
from morphospace.errors import InputError, ParameterError
from morphospace.imaging import crops, packs
from morphospace.stages import _crop_report


@pytest.fixture
def plates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plates:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    return draw(tmp_path, CHANNELS)


def test_every_cell_is_listed_and_the_tall_and_the_wide_one_are_dropped_and_counted(plates: Plates) -> None:
    metrics = plates.run()
    table = plates.table()
    assert len(table) == 16
    assert table.groupby("ObjectNumber")["Crop_Status"].unique().map(list).to_dict() == {
        1: ["kept"], 2: ["kept"], 3: ["too_large"], 4: ["too_large"]}  # fmt: skip
    assert {k: metrics[k] for k in ("cells", "kept", "too_large", "empty", "kept_share", "size")} == {
        "cells": 16, "kept": 8, "too_large": 8, "empty": 0, "kept_share": 0.5, "size": 16}  # fmt: skip
    assert table[schema.OBJECT_KEY].apply(tuple, axis=1).is_monotonic_increasing
    assert (table.loc[table["Crop_Status"] != "kept", "Crop_File"] == "").all()
    assert table["Crop_File"].iloc[0] == "P1_A01_1_1.png"
    assert [n for n, _ in packs.members(plates.root / "crops" / "P2.zip")] == [
        "P2_A01_1_1.png", "P2_A01_1_2.png", "P2_A02_1_1.png", "P2_A02_1_2.png"]  # fmt: skip


def test_each_pixel_is_that_of_a_plain_recomputation(plates: Plates) -> None:
    """An independent reference: whole planes, NumPy's percentiles, one plate and channel after another."""
    plates.run(low=1.0, high=99.0)
    labels = packs.read_labels(plates.root / "objects" / "P1.zip", "A01", "1")["Cells"]
    expected = []
    for c, channel in enumerate(CHANNELS):
        light = np.load(plates.root / "illumination" / f"P1_{channel}.npy").astype(float)
        planes = [tifffile.imread(plates.root / "raw" / f"P1_{w}_w{c}.tif") / light for w in ("A01", "A02")]
        inside = np.rint(np.concatenate([p[labels > 0] for p in planes]))
        low, high = np.percentile(inside, [1.0, 99.0], method="inverted_cdf")
        value = 1 + np.rint(254 * np.clip((planes[0] - low) / (high - low), 0, 1))
        expected.append(np.where(labels == 1, value, 0)[2:11, 2:9])
    tile = plates.tiles(3)[0]
    # 9 x 7 in 16 x 16: 3 above, 4 below; 4 at the left, 5 at the right
    assert np.array_equal(tile[:, 3:12, 4:11], np.stack(expected))
    assert np.count_nonzero(tile[0]) == 9 * 7 - 1
    assert tile[0, 3, 4] == 0


def test_the_png_opens_as_rgb_in_the_order_asked_for(plates: Plates) -> None:
    plates.run(channels=["DNA", "Actin", "Tubulin"])
    turned = plates.tiles(3)
    content = dict(packs.members(plates.root / "crops" / "P1.zip"))["P1_A01_1_2.png"]
    picture = Image.open(io.BytesIO(content))
    assert (picture.mode, picture.size) == ("RGB", (16, 16))
    red, green, blue = (np.asarray(b) for b in picture.split())
    plates.run()
    straight = plates.tiles(3)
    assert np.array_equal(turned, straight[:, [2, 0, 1]])
    assert np.array_equal(np.stack([green, blue, red]), straight[1])


@pytest.mark.parametrize("names", [["DNA", "Actin"], ["a", "b", "c", "d", "e"]])
def test_two_and_five_channels_go_all_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    plates = draw(tmp_path, names, np.uint8)
    metrics = plates.run()
    assert list(metrics["channels"]) == names
    tiles = plates.tiles(len(names))
    assert tiles.shape == (8, len(names), 16, 16)
    assert len({hashlib.md5(t.tobytes()).hexdigest() for t in tiles[0]}) == len(names)


def test_one_and_two_processes_write_the_same_bytes(plates: Plates, monkeypatch: pytest.MonkeyPatch) -> None:
    written = ["crops/P1.zip", "crops/P2.zip", "crops.parquet", "metrics.json", "figures/size_histogram.png",
               "figures/contact_sheet.png"]  # fmt: skip
    plates.run()
    one = [(plates.root / p).read_bytes() for p in written]
    monkeypatch.setenv("MORPHOSPACE_JOBS", "2")
    plates.run()
    assert [(plates.root / p).read_bytes() for p in written] == one


def test_scales_belong_to_the_plate_and_are_told(plates: Plates) -> None:
    metrics = plates.run(low=0.0, high=100.0)
    actin = metrics["channels"]["Actin"]
    assert 0.2 < actin["high_min"] <= 0.25
    assert 0.6 < actin["high_max"] <= 0.75
    assert 0 < actin["saturated_share"] < 0.01
    assert actin["constant_plates"] == 0
    assert (plates.tiles(3).max(axis=(2, 3)) > 200).all()


def test_the_thesis_s_rule_keeps_plates_apart(plates: Plates) -> None:
    metrics = plates.run(scaling="bit_depth", brightness=1.0)
    assert metrics["channels"]["Actin"]["high_max"] == 1.0
    tiles = plates.tiles(3)
    assert tiles[:4, 0].max() <= 64 < tiles[4:, 0].max()
    assert plates.run(scaling="bit_depth", brightness=4.0)["channels"]["Actin"]["saturated_share"] > 0.2


def test_a_constant_channel_is_1_inside_and_warned_of(plates: Plates, caplog: pytest.LogCaptureFixture) -> None:
    for well in ("A01", "A02"):
        tifffile.imwrite(plates.root / "raw" / f"P1_{well}_w2.tif", np.zeros((HEIGHT, WIDTH), np.uint16))
    metrics = plates.run()
    assert metrics["channels"]["DNA"]["constant_plates"] == 1
    assert "plate P1: DNA is constant inside the cells" in caplog.text
    assert set(np.unique(plates.tiles(3)[:4, 2])) == {0, 1}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"channels": ["Actin", "Tubulinn"]}, r"no channel 'Tubulinn'; did you mean 'Tubulin'\? \(there are: Actin,"),
        ({"channels": ["Actin", "Actin"]}, "names a channel twice: Actin, Actin"),
    ],
)
def test_channels_that_are_not_there_are_refused(plates: Plates, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        plates.run(**options)


def change(plates: Plates, edit: Any) -> None:
    path = plates.root / "objects" / "objects.parquet"
    edit(pd.read_parquet(path)).to_parquet(path)


def test_a_plate_without_a_cell_that_fits_ends_with_the_size_that_would(plates: Plates) -> None:
    change(plates, lambda t: t[t["ObjectNumber"] > 2])
    with pytest.raises(InputError, match=r"none of the 8 cells of .* fits a tile of 16 px: the smallest is 21 px"):
        plates.run()
    change(plates, lambda t: t[:0])
    with pytest.raises(InputError, match=r"objects\.parquet lists no cell"):
        plates.run()


def test_an_object_without_a_pixel_is_listed_as_empty(plates: Plates) -> None:
    change(plates, lambda t: t.assign(**{c: t[c].where(t["ObjectNumber"] != 1) for c in [*crops.BOX, crops.AREA]}))
    metrics = plates.run()
    assert (metrics["empty"], metrics["kept"]) == (4, 4)
    assert metrics["longest_side"]["median"] == 21


def test_what_does_not_belong_together_is_named_and_nothing_half_is_left(plates: Plates) -> None:
    plates.run()
    before = (plates.root / "crops" / "P1.zip").read_bytes()
    good = {p: (plates.root / p).read_bytes() for p in ("objects/objects.parquet", "illumination/P1_DNA.npy")}

    def restored(match: str) -> None:
        with pytest.raises(InputError, match=match):
            plates.run()
        assert (plates.root / "crops" / "P1.zip").read_bytes() == before
        for path, content in good.items():
            (plates.root / path).write_bytes(content)

    change(plates, lambda t: t.assign(**{crops.AREA: t[crops.AREA] + 1}))
    restored("plate P1, well A01, site 1: cell 1 has 62 px in its box, the table says 63 px")
    change(plates, lambda t: t.replace({"Metadata_Well": {"A02": "H12"}}))
    restored("has cells of P1 H12 1, which the image sets lack")
    np.save(plates.root / "illumination" / "P1_DNA.npy", np.ones((3, 3), np.float32))
    restored(r"P1_DNA\.npy is \(3, 3\) px, the label images of plate P1, well A01, site 1 are \(60, 80\) px")
    (plates.root / "illumination" / "P1_DNA.npy").write_bytes(b"no array")
    restored(r"P1_DNA\.npy is not a readable illumination function")
    (plates.root / "illumination" / "P1_DNA.npy").unlink()
    restored(r"P1_DNA\.npy is not a readable illumination function")
    (plates.root / "objects" / "objects.parquet").unlink()
    restored(r"objects\.parquet is missing")
    truncated = plates.root / "raw" / "P2_A02_w1.tif"
    truncated.write_bytes(truncated.read_bytes()[:900])
    restored(r"P2_A02_w1\.tif is truncated")


def test_many_compounds_share_a_page_and_the_rest_is_counted(plates: Plates) -> None:
    plates.run()
    kept = plates.table().query("Crop_Status == 'kept'")
    drawn: list[Any] = []
    many = pd.concat([kept.assign(Metadata_MoA=f"moa {i}") for i in range(20)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_crop_report.drawing, "contact_sheet", lambda r, t, _: drawn.append((r, t)))
        patch.setattr(_crop_report.figures, "save", lambda *_: None)
        options = params.load(ROOT / "params.yaml").synthesize
        _crop_report.draw(many, options, ["A", "B", "C"], plates.root / "crops", plates.root / "pictures")
    rows, title = drawn[0]
    assert len(rows) == 14
    assert title.endswith("14 of 20 shown")
    assert rows[0][0] == "moa 0 (8)"
