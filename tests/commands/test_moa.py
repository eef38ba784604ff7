from pathlib import Path
from typing import Any

import drawn_cells
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner
from wells import sites

from morphospace import files
from morphospace.cli import app
from morphospace.errors import InputError, MorphospaceError
from morphospace.metrics.beside import FLOORS
from morphospace.models._base import Model
from morphospace.training import data, fitting


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    monkeypatch.setenv("COLUMNS", "200")
    return drawn_cells.write(tmp_path)


def run(*arguments: str) -> str:
    found = CliRunner().invoke(app, ["moa", *arguments])
    if isinstance(found.exception, MorphospaceError):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def test_profiles_are_scored_beside_all_floors(root: Path) -> None:
    said = run("profiles", "--crops", "crops", "--crops-table", "crops.parquet", "--output", "out")
    found = files.read_json(root / "out/moa.json")
    assert all(found[f"NSC_{floor}"] is not None for floor in FLOORS)
    assert "rule strict" in said
    assert "NSC" in said
    assert {"moa.csv", "floors.png", "confusion_NSC.png"} <= {p.name for p in (root / "out").iterdir()}


def test_no_accuracy_is_shown_without_the_floors_of_the_pixels(root: Path) -> None:
    with pytest.raises(InputError, match="no accuracy is shown without its floors"):
        run("profiles")
    assert not (root / "reports").exists()


def test_without_pixels_the_reason_is_shown_everywhere(root: Path) -> None:
    said = run("profiles", "--without-pixels", "means as published", "--rule", "joined", "--metric", "correlation")
    assert "(means as published)" in said
    assert "rule joined" in said
    found = files.read_json(root / "reports/moa/moa.json")
    assert found["floors_not_measured"] == "mean intensity, random projection, pca (means as published)"
    assert (found["batch_rule"], found["metric"], found["NSC_pca"]) == ("joined", "correlation", None)


def test_profiles_in_csv_are_read_with_the_settings_beside_them(root: Path) -> None:
    for path in (root / "profiles").glob("*.parquet"):
        pd.read_parquet(path).to_csv(path.with_suffix(".csv.gz"), index=False)
        path.unlink()
    files.write_json(root / "profiles/profiles.json", {"profile": {"normalize": "none", "missing": "error"}})
    run("profiles", "--without-pixels", "none here", "--output", "out")
    table = pd.read_csv(root / "out/moa.csv")
    assert len(table) == 18


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give a folder of profiles, or --cells FOLDER"),
        (("profiles", "--cells", "x"), "one of the two"),
        (("nowhere", "--without-pixels", "x"), "nowhere is no folder of profiles"),
        (("profiles", "--metric", "cosin"), "--metric 'cosin' is none of cosine, correlation"),
        (("profiles", "--rule", "loose"), "--rule 'loose' is none of strict, joined"),
        (("--cells", "raw", "--seconds", "0"), "--seconds is 0"),
    ],
)
def test_what_was_typed_wrong_is_named(root: Path, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run(*arguments)


def test_a_folder_that_holds_something_else_is_left_alone(root: Path) -> None:
    (root / "out").mkdir()
    (root / "out/mine.txt").write_text("mine")
    with pytest.raises(InputError, match="out holds 1 file that morphospace did not write"):
        run("profiles", "--without-pixels", "x", "--output", "out")


def raw(root: Path) -> None:
    """Write a folder of raw cells, 64 px, from the drawn sites."""
    table = sites(batches=2)
    rng = np.random.default_rng(0)
    codes = table["Metadata_MoA"].astype("category").cat.codes.to_numpy()
    y, x = np.mgrid[:64, :64]
    discs = np.hypot(y - 32, x - 32)[None, None] < (5 + 4 * codes)[:, None, None, None]
    images = (discs * 3000 + rng.integers(0, 500, (len(table), 3, 64, 64))).astype(np.uint16)
    (root / "raw").mkdir()
    np.savez(root / "raw/cells.npz", images=images)
    names = {f"Metadata_{n}": n.lower() for n in ("Plate", "Well", "Site", "Compound", "Concentration")}
    table.rename(columns={**names, "Metadata_MoA": "moa"})[[*names.values(), "moa"]].to_csv(
        root / "raw/cells.csv", index=False
    )


@pytest.mark.slow
def test_models_without_labels_stand_beside_what_is_measured_by_hand(root: Path) -> None:
    raw(root)
    said = run("--cells", "raw", "--only", "autoencoder", "--seconds", "0.5", "--output", "out")
    found = files.read_json(root / "out/moa.json")
    assert set(found["embeddings"]) == {"autoencoder", "measured by hand"}
    assert found["widths"] == {"autoencoder": 75, "measured by hand": 34}
    hand = found["embeddings"]["measured by hand"]
    assert hand["NSC"] > 2 * hand["NSC_uniform"]  # mechanisms were drawn as sizes
    assert all(found["embeddings"]["autoencoder"][f"NSC_{floor}"] is not None for floor in FLOORS)
    assert "measured by hand" in said


@pytest.mark.slow
def test_a_model_that_learns_from_the_labels_never_saw_the_compound_that_asks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw(root)
    compounds = pd.read_csv(root / "raw/cells.csv")["compound"]
    treated = sorted(set(compounds) - {"DMSO"})
    trained: list[tuple[set[str], data.Labels]] = []
    fit = fitting.fit

    def watched(model: Model, tiles: Any, train: Any, validation: Any, *given: Any, **named: Any) -> fitting.Fitted:
        trained.append((set(compounds[np.concatenate([train, validation])]), named["labels"]))
        return fit(model, tiles, train, validation, *given, **named)

    monkeypatch.setattr(fitting, "fit", watched)
    run("--cells", "raw", "--only", "metric_net", "--seconds", "0.1", "--output", "out")
    assert [set(treated) - seen for seen, _ in trained] == [{name} for name in treated]
    assert all("DMSO" in seen for seen, _ in trained)
    found = files.read_json(root / "out/moa.json")
    assert found["models"] == {"metric_net": len(treated)}
    assert found["embeddings"]["metric_net"]["top_hit_n"] > 0
    trained.clear()
    run("--cells", "raw", "--only", "metric_net", "--seconds", "0.1", "--output", "out")
    assert trained == []
