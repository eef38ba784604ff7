from pathlib import Path

import drawn_cells
import pandas as pd
import pytest
from wells import sites

from morphospace import files, schema
from morphospace.errors import InputError
from morphospace.metrics.beside import FLOORS
from morphospace.stages import moa


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    return drawn_cells.write(tmp_path)


def run(root: Path) -> dict[str, object]:
    names = (
        "profiles",
        "crops",
        "crops.parquet",
        "splits.csv",
        "synthesize.json",
        "moa.csv",
        "t.json",
        "m.json",
        "moa.json",
    )
    moa.run(*(root / n for n in names), root / "figures/moa")
    found: dict[str, object] = files.read_json(root / "moa.json")
    return found


@pytest.mark.slow  # the map: UMAP is compiled on its first use
def test_scores_stand_beside_every_floor_in_flat_numbers_and_pictures(root: Path) -> None:
    found = run(root)
    for name in ("NSC", "NSCB", "mAP", "mAP_replicates", "top_hit"):
        assert {f"{name}_{floor}" for floor in FLOORS} <= set(found)
        assert all(found[f"{name}_{floor}"] is not None for floor in FLOORS)
    assert found["NSC_mean_intensity"] == 1  # the mechanism was drawn as brightness
    assert found["batch_from_controls_majority"] == 0.5
    pictures = {p.name for p in (root / "figures/moa").iterdir()}
    assert pictures == {"floors.png", "confusion_NSC.png", "confusion_NSCB.png", "map_wells.png"}
    assert pd.read_csv(root / "moa.csv")["treatment"].is_unique
    before = (root / "moa.json").read_bytes(), (root / "figures/moa/floors.png").read_bytes()
    run(root)
    assert before == ((root / "moa.json").read_bytes(), (root / "figures/moa/floors.png").read_bytes())


@pytest.mark.slow
def test_when_nothing_can_be_scored_the_stage_says_so_and_ends_well(root: Path) -> None:
    drawn_cells.write(root, sites(batches=2).assign(**{schema.MOA: schema.UNKNOWN}))
    found = run(root)
    assert found["NSC"] is None
    assert found["NSC_n"] == 0
    assert "NSC was not measured" in str(found["verdict"])
    assert {p.name for p in (root / "figures/moa").iterdir()} == {"floors.png", "map_wells.png"}


def test_profiles_of_another_run_are_refused(root: Path) -> None:
    drawn_cells.profile(root, sites(batches=2).iloc[:-2])
    with pytest.raises(InputError, match="both must be of the same run"):
        run(root)


def test_missing_profiles_are_named(root: Path) -> None:
    (root / "profiles/wells.parquet").unlink()
    with pytest.raises(InputError, match=r"wells\.parquet is missing; run `dvc repro profile`"):
        run(root)
