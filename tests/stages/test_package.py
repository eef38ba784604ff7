"""The package: the model with its card, the same bytes for the same inputs, and nothing that cannot be used."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from morphospace import files, params, registry
from morphospace.errors import InputError
from morphospace.stages import package
from morphospace.training import embedding, loggers

ROOT = Path(__file__).resolve().parents[2]
DVC: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PATHS = DVC["stages"]["package"]["cmd"].split()[2:]


@pytest.fixture
def root(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody; packaging goes on without it
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return tmp_path


def _package(root: Path) -> dict[str, bytes]:
    package.run(*(root / path for path in PATHS))
    return {path.name: path.read_bytes() for path in (root / "data/package").iterdir()}


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_it_holds_the_weights_byte_by_byte_the_facts_a_card_and_a_picture(root: Path) -> None:
    there = {path.name: path.read_bytes() for path in (root / "data/package").iterdir()}
    assert sorted(there) == ["README.md", "model.json", "model.safetensors", "reconstructions.png"]
    assert there["model.safetensors"] == (root / "data/models/model.safetensors").read_bytes()
    facts = json.loads(there["model.json"])
    plain = json.loads((root / "data/models/model.json").read_text())
    assert {**facts, "provenance": {}} == plain
    assert facts["data"] == files.fingerprint(*(root / "data" / n for n in ("crops", "crops.parquet", "splits.csv")))
    assert facts["provenance"]["similarity"] == json.loads((root / "reports/records/similarity.json").read_text())


def test_equal_inputs_give_equal_bytes_whatever_the_time_and_the_speed(root: Path) -> None:
    before = _package(root)
    _change(root / "reports/records/train.json", images_per_second=1.0)
    assert _package(root) == before


def test_the_run_of_the_training_gets_the_scores_and_the_card(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
    fingerprint = embedding.read_card(root / "data/models").fingerprint
    run = loggers.MlflowRun("trained", {}, {loggers.KEY_TAG: fingerprint})
    run.end("FINISHED")
    card = _package(root)["README.md"]
    found = run.store.client.get_run(run.run_id)
    scores = json.loads((root / "reports/records/similarity.json").read_text())
    numbers = {f"similarity/{k}": v for k, v in scores.items() if isinstance(v, float)}
    assert numbers.items() <= found.data.metrics.items()
    assert (Path(found.info.artifact_uri.removeprefix("file://")) / "README.md").read_bytes() == card


def test_the_model_of_the_package_is_the_model_of_the_run(root: Path) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    drawn = [embedding.reconstruct(embedding.load_model(root / "data" / n)[0], tiles, 3) for n in ("models", "package")]
    np.testing.assert_array_equal(*drawn)


def test_the_card_says_who_wins_first_then_what_a_user_must_know(root: Path) -> None:
    _change(root / "reports/records/similarity.json", S=0.96)  # above the trivial floors, below PCA
    text = _package(root)["README.md"].decode()
    found = json.loads((root / "reports/records/similarity.json").read_text())
    assert text.startswith("# On synthetic: PCA-4 beats conv\\_vae: similarity S = 0.9600")
    facts = json.loads((root / "data/package/model.json").read_text())
    for said in (
        found["verdict"].replace("|", "\\|"),
        "Model card of morphospace-vae: conv\\_vae with z\\_dim 4, trained on synthetic",
        "Actin, Tubulin, DNA",
        "16 x 16 px",
        facts["fingerprint"],
        facts["data"],
        facts["weights"],
        f"{found['S']:.4f} [{found['S_low']:.4f}, {found['S_high']:.4f}]".replace("[", "\\[").replace("]", "\\]"),
        *(f"{found[f'S_{floor}']:.4f}" for floor in ("black", "constant", "mean", "median", "pca")),
        "1 at the percentile 0.5 and 255 at the percentile 99.8",
        "2 are larger and were left out",
        "| train | 8 | 2 |",
        "no licence file",
        "drawn by morphospace",
        "Not for diagnosis",
        "morphospace reconstruct morphospace-vae",
        "![Test cells drawn at random](reconstructions.png)",
    ):
        assert said in text, said


def test_the_tiles_of_the_thesis_are_described_as_they_are(root: Path) -> None:
    values = yaml.safe_load((root / "params.yaml").read_text())
    values["synthesize"] |= {"scaling": "bit_depth", "brightness": 4.0}
    (root / "params.yaml").write_text(yaml.safe_dump(values))
    text = _package(root)["README.md"].decode()
    assert "as a share of what the file's depth can hold, times 4, times 255" in text
    assert "percentile" not in text.partition("## The data")[0]


def test_a_model_of_an_older_format_is_refused_and_what_to_do_is_said(root: Path) -> None:
    path = root / "data/models/model.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "format"}))
    with pytest.raises(InputError, match=r"has format 1, .*dvc repro -f train"):
        _package(root)


def test_scores_that_could_not_be_given_are_said_to_be_missing(root: Path) -> None:
    absent = dict.fromkeys(("S_low", "S_high", "skill_pca_low", "skill_pca_high", "mse_black"))
    _change(root / "reports/records/similarity.json", S=0.96, **absent)
    text = _package(root)["README.md"].decode()
    assert text.startswith("# On synthetic: conv\\_vae against PCA-4 is undecided")
    row = next(line for line in text.splitlines() if line.startswith("| an all-black picture"))
    assert row.split(" | ")[2] == "not measured"


def test_a_model_below_a_picture_that_knows_nothing_is_said_to_be_so(root: Path) -> None:
    _change(root / "reports/records/similarity.json", S=0.5)
    assert (
        _package(root)["README.md"].decode().startswith("# On synthetic: conv\\_vae is no better than the median image")
    )


def test_crops_of_another_run_and_metrics_that_are_none_are_refused(root: Path) -> None:
    _change(root / "reports/records/synthesize.json", size=32)
    with pytest.raises(InputError, match=r"knows tiles of \['Actin', .*16 px, the crops are .*32"):
        _package(root)
    (root / "reports/records/synthesize.json").write_text("[]")
    with pytest.raises(InputError, match=r"synthesize\.json does not name its data set"):
        _package(root)


def test_a_model_that_cannot_be_loaded_is_not_packed(root: Path) -> None:
    path = root / "data/models/model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="cannot be read"):
        _package(root)


def test_the_artefact_is_the_package(root: Path) -> None:
    artefact = DVC["artifacts"][package.NAME]
    assert (artefact["path"], artefact["type"]) == (PATHS[-1], "model")
    assert artefact["desc"]


@pytest.mark.parametrize("name", registry.names("datasets"))
def test_every_data_set_says_its_licence(name: str) -> None:
    assert len(registry.load("datasets", name).LICENCE) > 10


def test_a_declared_licence_of_the_code_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package.importlib.metadata, "metadata", lambda name: {"License-Expression": "BSD-3-Clause"})
    assert "Code: BSD-3-Clause." in _package(root)["README.md"].decode()


def test_the_weights_are_what_training_kept(root: Path) -> None:
    kept = load_file(root / "data/package/model.safetensors")
    model, card = embedding.load_model(root / "data/package")
    assert all(torch.equal(kept[k], v.cpu()) for k, v in model.state_dict().items())
    assert card["z_dim"] == params.load(root / "params.yaml").z_dim


def test_the_card_of_a_model_of_chunks_speaks_of_squares_and_of_their_images_scale(root: Path) -> None:
    counts = {"cells": 30, "kept": 20, "too_large": 0, "empty": 0, "too_dark": 4, "too_bright": 6, "stride": 8}
    _change(root / "reports/records/synthesize.json", **counts)
    given = yaml.safe_load((root / "params.yaml").read_text())
    given["synthesize"] |= {"stride": 8, "scaling": "positive"}
    given["segment"]["engine"] = "field"
    (root / "params.yaml").write_text(yaml.safe_dump(given))
    card = _package(root)["README.md"].decode()
    assert "A square of a field of 16 x 16 px" in card
    assert "one standard deviation below the mean of its image" in card
    assert "Of 30 squares, one every 8 px, 20 were kept. Left out by their mean: 4 too dark, 6 too bright." in card
    assert "A chunk is no cell" in card
    assert "0 outside the cell" not in card
    assert "Cells larger than the tile" not in card


def test_the_card_says_which_cells_the_mean_left_out(root: Path) -> None:
    _change(root / "reports/records/synthesize.json", too_dark=2, too_bright=0)
    assert "20 were kept; 2 are larger and were left out. Left out by their mean: 2 too dark." in (
        _package(root)["README.md"].decode()
    )
