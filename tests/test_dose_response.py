"""A real plate from its images to its dose-response: BBBC013, two compounds at ten doses, in four wells each."""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from morphospace import schema

ROOT = Path(__file__).resolve().parents[1]
PATTERN = r"Channel(?P<channel>\d)-\d+-(?P<row>[A-H])-(?P<column>\d\d)"
STAGES = ["fetch", "index", "illuminate", "segment", "synthesize", "split", "train", "embed"]
STAGES += ["profile", "dose", "interpret"]
CHANGES: dict[str, dict[str, Any]] = {
    "folder": {"pattern": PATTERN, "channels": ["GFP=1", "DNA=2"], "plate": "1049", "metadata": "plate.csv"},
    "segment": {"engine": "native", "cells_channel": "GFP", "min_diameter": 5, "max_diameter": 20, "opening_radius": 1},
    "synthesize": {"size": 32},
    "train": {"epochs": 2, "minibatch": 32},
}
MIDDLE = slice(160, 480)  # px, of 640


def _images(plate: Path, out: Path) -> None:
    """Write the middle of each field at half its resolution: a quarter of its area in a sixteenth of the pixels."""
    out.mkdir()
    for path in sorted(plate.glob("Channel*.tif")):
        image = tifffile.imread(path)[MIDDLE, MIDDLE].astype(np.float32)
        half = (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2]) / 4
        tifffile.imwrite(out / path.name, half.round().astype(np.uint8))


def _metadata(plate: Path, path: Path) -> None:
    table = pd.read_csv(plate / "1049_Metadata.csv", dtype=str)
    compound = np.where(table["Row"] < "E", "wortmannin", "LY294002")
    table["Compound"] = np.where(table["SBS_Controls"] == "-1", "untreated", compound)
    names = {"SBS_Doses": "Concentration", "SBS_Controls": "PertType"}
    table.drop(columns="ImageNumber").rename(columns=names).to_csv(path, index=False)


@pytest.mark.slow
def test_distance_rises_with_dose_in_both_compounds_of_a_real_plate(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segmented, cut, embedded by a model that trained briefly, profiled: no number of it was tuned to this."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI=http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES=0"):
        monkeypatch.setenv(*name.split("="))
    plate = real_data / "bbbc013_plate"
    _images(plate, tmp_path / "images")
    _metadata(plate, tmp_path / "plate.csv")
    given = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"dataset": "folder", "z_dim": 16, "model": "conv_vae"}
    for section, values in CHANGES.items():
        given[section] |= values
    given["folder"]["root"] = str(tmp_path / "images")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))
    (tmp_path / "pipelines").symlink_to(ROOT / "pipelines")
    (tmp_path / "data" / "raw" / "folder").mkdir(parents=True)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name in STAGES:
        paths = stages[name]["cmd"].replace("${dataset}", "folder").split()[2:]
        importlib.import_module(f"morphospace.stages.{name}").run(*map(Path, paths))

    record = json.loads(Path("reports/records/dose.json").read_text())
    assert (record["wells"], record["negative_controls"], record["positive_controls"]) == (96, 16, 8)
    table = pd.read_csv("data/dose.csv").set_index("compound")
    assert set(table.index) == {"wortmannin", "LY294002"}
    assert (table["wells"] == 40).all()
    assert (table["low"] > 0).all(), table.to_string()
    assert record["rising"] == 2
    assert record["ssmd_low"] > 0
    assert Path("reports/figures/dose/plate_1049.png").is_file()
    meaning = json.loads(Path("reports/records/interpret.json").read_text())
    assert meaning["dose"]["latents"] >= 1
    assert schema.latent_names(16)[0] in pd.read_csv("data/meaning.csv")["latent"].to_numpy()
