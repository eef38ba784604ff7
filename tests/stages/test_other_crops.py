"""Windows round nuclei and log ratios, through the whole stage: each pixel by a plain recomputation."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from rectangles import CHANNELS, ROOT, Plates, draw

from morphospace import params
from morphospace.errors import InputError, ParameterError
from morphospace.imaging import crops, flat, nuclei, packs


@pytest.fixture
def plates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plates:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    return draw(tmp_path, CHANNELS)


def images(plates: Plates, plate: str, well: str) -> list[np.ndarray]:
    return [tifffile.imread(plates.root / "raw" / f"{plate}_{well}_w{c}.tif") for c in range(3)]


def test_a_window_shows_what_surrounds_the_nucleus(plates: Plates) -> None:
    metrics = plates.run(center="nucleus", mask=False, scaling="bit_depth")
    table = plates.table()
    labels = packs.read_labels(plates.root / "objects" / "P1.zip", "A01", "1")["Nuclei"]
    statuses = dict(zip(table["ObjectNumber"], table["Crop_Status"], strict=True))
    assert statuses == {1: "near_edge", 2: "kept", 3: "kept", 4: "near_edge"}
    assert (metrics["near_edge"], metrics["kept"], "too_large" in metrics) == (8, 8, False)
    row = table.iloc[1]
    rows, columns = np.nonzero(labels == 2)
    assert row[nuclei.CENTRE].tolist() == [rows.mean(), columns.mean()]
    top, left = int(np.floor(rows.mean() + 0.5)) - 8, int(np.floor(columns.mean() + 0.5)) - 8
    expected = []
    for c, image in enumerate(images(plates, "P1", "A01")):
        light = np.load(plates.root / "illumination" / f"P1_{CHANNELS[c]}.npy").astype(float)
        share = (image / (light * 65_535))[top : top + 16, left : left + 16]
        expected.append(np.rint(255 * np.clip(share, 0, 1)))
    np.testing.assert_array_equal(plates.tiles(3)[0], np.stack(expected))


def test_with_its_mask_a_window_shows_the_cell_alone(plates: Plates) -> None:
    plates.run(center="nucleus", mask=False)
    whole = plates.tiles(3)
    plates.run(center="nucleus")
    masked = plates.tiles(3)
    labels = packs.read_labels(plates.root / "objects" / "P1.zip", "A01", "1")["Cells"]
    y, x = (int(np.floor(v + 0.5)) - 8 for v in plates.table().iloc[1][nuclei.CENTRE])
    inside = labels[y : y + 16, x : x + 16] == 2
    np.testing.assert_array_equal(masked[0], np.where(inside, whole[0], 0))


def test_a_tile_of_log_ratios_is_that_of_a_plain_recomputation(plates: Plates) -> None:
    metrics = plates.run(scaling="log_flat")
    expected = []
    for c, image in enumerate(images(plates, "P1", "A01")):
        field = flat.flat_field([plates.root / "raw" / f"P1_{w}_w{c}.tif" for w in ("A01", "A02")])
        top = flat.cutoff(image / 65_535, 0.99)
        values = np.minimum(np.log(np.maximum(np.minimum(image / 65_535, top) / field, 1)), 5)
        values = (values - values.min()) / (values.max() - values.min())
        expected.append(1 + np.rint(254 * values[20:32, 10:22]))
    np.testing.assert_array_equal(plates.tiles(3)[1, :, 2:14, 2:14], np.stack(expected))
    assert metrics["scaling"] == "log_flat"
    assert metrics["channels"]["Actin"]["constant_images"] == 0


def test_log_ratios_do_not_look_at_the_illumination_functions(plates: Plates) -> None:
    plates.run(scaling="log_flat")
    before = plates.tiles(3)
    for path in (plates.root / "illumination").iterdir():
        path.unlink()
    plates.run(scaling="log_flat")
    np.testing.assert_array_equal(plates.tiles(3), before)


def test_the_table_and_the_labels_must_be_of_one_run(plates: Plates) -> None:
    path = plates.root / "objects" / "objects.parquet"
    table = pd.read_parquet(path)
    table.assign(**{crops.AREA: table[crops.AREA] + 1}).to_parquet(path)
    with pytest.raises(InputError, match="plate P1, well A01, site 1: cell 1 has 62 px, the table says 63 px"):
        plates.run(center="nucleus")


def test_a_window_larger_than_every_field_says_what_to_do(plates: Plates) -> None:
    with pytest.raises(InputError, match=r"none of the 16 cells .* has a nucleus 32 px from every edge"):
        plates.run(center="nucleus", size=64)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"synthesize.mask": False}, "mask false needs center nucleus"),
        ({"synthesize.center": "nucleus", "synthesize.stride": 16}, "center nucleus and stride 16 exclude each other"),
        ({"synthesize.scaling": "log"}, "synthesize.scaling is 'log'"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        params.load(ROOT / "params.yaml", changes)
