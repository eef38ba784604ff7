"""Models that have no posterior, or draw nothing, through every stage from train to report."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from morphospace import files, schema, splitting
from morphospace.commands import embed as embed_command
from morphospace.commands import reconstruct
from morphospace.errors import InputError, TrainingError
from morphospace.stages import embed, package, report, similarity, train

ROOT = Path(__file__).resolve().parents[2]
STAGES = {"train": train, "embed": embed, "similarity": similarity, "package": package, "report": report}
SMALL = {"widths": [8, 16, 32], "map_dropout": [0.05], "dropout": 0.0}


@pytest.fixture
def root(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The inputs of training: five wells of four discs, two mechanisms of two compounds in every well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nobody
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    shutil.copytree(trained / "data/crops", tmp_path / "data/crops")
    shutil.copy(trained / "data/splits.csv", tmp_path / "data")
    (tmp_path / "reports/records").mkdir(parents=True)
    shutil.copy(trained / "reports/records/synthesize.json", tmp_path / "reports/records")
    table = pd.read_parquet(trained / "data/crops.parquet")
    number = table[schema.OBJECT] % 4
    table[schema.COMPOUND], table[schema.MOA] = number.map("compound {}".format), (number % 2).map("moa {}".format)
    table.to_parquet(tmp_path / "data/crops.parquet")
    proved = splitting.verify(splitting.read(tmp_path / "data/splits.csv"), table, "well")
    files.write_json(tmp_path / "reports/records/split.json", {"dataset": "synthetic", "by": "well", **proved})
    shutil.copy(trained / "params.yaml", tmp_path)
    return tmp_path


def _setting(root: Path, model: str, **changes: Any) -> None:
    given = yaml.safe_load((root / "params.yaml").read_text()) | {"model": model, "metric_net": SMALL}
    given["train"] |= {"epochs": 2} | changes
    (root / "params.yaml").write_text(yaml.safe_dump(given))


def _run(root: Path, *names: str) -> None:
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for name in names:
        STAGES[name].run(*(root / path for path in declared[name]["cmd"].split()[2:]))


def _metrics(root: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((root / f"reports/records/{name}.json").read_text()))


def _pictures(root: Path, name: str) -> set[str]:
    return {path.stem for path in (root / "reports/figures" / name).iterdir()}


@pytest.mark.slow
def test_an_autoencoder_goes_through_every_stage(root: Path) -> None:
    _setting(root, "autoencoder")
    _run(root, *STAGES)
    assert _metrics(root, "train")["train_kl"] == 0
    assert _pictures(root, "training") == {"curves", "epochs"}
    assert _pictures(root, "latent") == {"histogram", "walks"}
    found = _metrics(root, "similarity")
    assert found["reconstructs"] is True
    assert found["S"] > 0
    assert _pictures(root, "similarity") == {"bars", "per_channel", "random", "best", "worst"}
    assert "autoencoder" in (root / "data/package/README.md").read_text().splitlines()[0]
    assert "autoencoder" in (root / "reports/report.md").read_text().splitlines()[0]
    reconstruct.run(root / "data/package", [root / "data/crops"], root / "drawn")
    assert pd.read_csv(root / "drawn/scores.csv")["S"].between(0, 1).all()


@pytest.mark.slow
def test_a_model_that_draws_nothing_goes_through_every_stage(root: Path) -> None:
    _setting(root, "metric_net")
    _run(root, *STAGES)
    trained = _metrics(root, "train")
    assert trained["classes"] == 2
    assert trained["train_loss"] == pytest.approx(trained["train_pairs"])
    assert trained["validation_loss"] == pytest.approx(trained["validation_pairs"])
    assert _pictures(root, "training") == {"curves"}
    assert _pictures(root, "latent") == {"histogram"}
    latent = pd.read_parquet(root / "data/embeddings.parquet").filter(like=schema.LATENT_PREFIX)
    assert ((latent**2).sum(axis=1) - 1).abs().max() < 1e-5

    found = _metrics(root, "similarity")
    assert found["reconstructs"] is False
    assert all(found[f"{metric}{end}"] is None for metric in ("S", "skill_mae", "skill_pca") for end in ("", "_low"))
    assert all(0 < found[f"S_{floor}"] < 1 for floor in ("black", "constant", "mean", "median", "pca"))
    assert (found["n_cells_test"], found["n_groups_test"]) == (8, 2)
    assert found["verdict"].startswith("metric_net draws nothing: it has no similarity")
    assert "model" not in set(pd.read_csv(root / "data/similarity.csv")["method"])
    assert _pictures(root, "similarity") == {"bars", "per_channel", "random"}

    card = (root / "data/package/README.md").read_text()
    assert card.startswith("# On synthetic: metric\\_net draws nothing")
    assert "morphospace embed" in card
    assert "morphospace reconstruct" not in card
    assert "as metric\\_net draws them" not in card
    page = (root / "reports/report.md").read_text()
    assert page.startswith("# On synthetic: metric\\_net draws nothing")
    assert "The model on each split" not in page
    with pytest.raises(InputError, match="holds a metric_net, which encodes and draws nothing"):
        reconstruct.run(root / "data/package", [root / "data/crops"], root / "drawn")
    embed_command.run(root / "data/package", [root / "data/crops"], root / "embedded.csv")
    assert len(pd.read_csv(root / "embedded.csv")) == 20


def test_treatments_are_held_together_across_wells(root: Path) -> None:
    _setting(root, "conv_vae", contrastive=0.5, minibatch=8)
    _run(root, "train")
    found = _metrics(root, "train")
    whole = found["train_reconstruction"] + found["train_kl"] + found["train_contrastive"]
    assert found["train_loss"] == pytest.approx(whole, rel=1e-5)
    assert found["validation_contrastive"] == 0  # the cells of validation are of one well
    assert "classes" not in found


def test_what_cannot_be_learnt_from_is_refused_before_a_tile_is_read(root: Path) -> None:
    shutil.rmtree(root / "data/crops")
    _setting(root, "conv_vae", contrastive=0.5, contrastive_across="batch")
    with pytest.raises(TrainingError, match=r"train\.contrastive_across to well"):
        _run(root, "train")
    table = pd.read_parquet(root / "data/crops.parquet")
    table[schema.MOA] = schema.UNKNOWN
    table.to_parquet(root / "data/crops.parquet")
    _setting(root, "metric_net", contrastive=0.0)
    with pytest.raises(TrainingError, match="two classes of Metadata_MoA"):
        _run(root, "train")
