"""The stage that asks whether distance rises with dose, on the profiles of a 96-well plate."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from morphospace import reasons, schema
from morphospace.errors import InputError, SchemaError
from morphospace.metrics import dose as metric
from morphospace.stages import dose

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("profiles", "dose.csv", "distances.csv", "times.json", "metrics.json", "dose.json", "figures")
Run = Callable[[pd.DataFrame], dict[str, Any]]


def _wells() -> pd.DataFrame:
    """Return a plate: two columns of controls, taxol rising over nine doses (the last poscon), DNA damage flat."""
    rng = np.random.default_rng(0)
    rows = []
    for r, letter in enumerate("ABCDEFGH"):
        for c in range(11):
            treated = c > 1
            compound = ("taxol", "inert")[r >= 4] if treated else "DMSO"
            kind = schema.NEGCON if not treated else schema.POSCON if c == 10 and r < 4 else schema.TREATED
            place = ["P1", f"{letter}{c + 1:02d}", "1", "W1", compound, float(max(c - 1, 0)), "x", kind]
            first, *others = rng.normal(size=4)
            shift = (c - 1) * treated * (r < 4)
            rows.append([*place, 50 + int(rng.integers(20)), first + shift, *others])
    features = [f"Cells_Latent_{i:03d}" for i in range(4)]
    return pd.DataFrame(rows, columns=[*schema.METADATA, "Metadata_Object_Count", *features])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the stage on a table of wells, and return its metrics."""
    monkeypatch.chdir(tmp_path)
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    given["dose"]["bootstrap"] = 200
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))

    def stage(wells: pd.DataFrame) -> dict[str, Any]:
        (tmp_path / "profiles").mkdir(exist_ok=True)
        wells.to_parquet(tmp_path / "profiles" / "wells.parquet")
        dose.run(*(tmp_path / name for name in NAMES))
        record: dict[str, Any] = json.loads((tmp_path / "dose.json").read_text())
        return record

    return stage


def _drawn(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "figures").iterdir()}


def test_one_compound_rises_and_the_other_does_not(run: Run, tmp_path: Path) -> None:
    record = run(_wells())
    assert record["verdict"] == "the distance from the negative controls rises with dose in 1 of 2 compounds"
    assert (record["wells"], record["negative_controls"], record["positive_controls"]) == (88, 16, 4)
    table = pd.read_csv(tmp_path / "dose.csv").set_index("compound")
    assert table.index.tolist() == ["taxol", "inert"]
    assert table["low"]["taxol"] > 0.7
    assert table["low"]["inert"] < 0 < table["high"]["inert"]
    assert table["q"]["taxol"] == pytest.approx(2 * table["p"]["taxol"])
    assert (table["wells"] == 36).all()
    assert (table["doses"] == 9).all()
    assert (table["cell_count_low"] < 0.3).all()
    assert _drawn(tmp_path) == {"controls", "curves", "plate_P1"}


def test_the_distances_and_the_controls_are_those_of_the_metric(run: Run, tmp_path: Path) -> None:
    wells = _wells().sample(frac=1, random_state=0)
    record = run(wells)
    written = pd.read_csv(tmp_path / "distances.csv").set_index("Metadata_Well")["Distance"]
    wells = wells.sort_values("Metadata_Well")
    control = (wells["Metadata_PertType"] == "negcon").to_numpy()
    found = metric.distances(wells.filter(like="Latent").to_numpy(), control)
    np.testing.assert_allclose(written[wells["Metadata_Well"]], found)
    positive = found[(wells["Metadata_PertType"] == "poscon").to_numpy()]
    apart = (positive.mean() - found[control].mean()) / np.hypot(positive.std(ddof=1), found[control].std(ddof=1))
    assert record["ssmd"] == pytest.approx(apart)
    assert record["ssmd_low"] < apart < record["ssmd_high"]


def test_equal_profiles_give_equal_bytes(run: Run, tmp_path: Path) -> None:
    run(_wells())
    kept = {path: path.read_bytes() for name in NAMES[1:] for path in sorted((tmp_path / name).rglob("*"))}
    kept |= {tmp_path / name: (tmp_path / name).read_bytes() for name in ("dose.csv", "distances.csv", "dose.json")}
    run(_wells().sample(frac=1, random_state=1))
    assert len(kept) == 6
    assert [path.name for path, content in kept.items() if path.read_bytes() != content] == []


def test_a_single_dose_is_said_and_no_failure(run: Run, tmp_path: Path) -> None:
    record = run(_wells().assign(Metadata_Concentration=3.0))
    assert record["verdict"] == "no compound has a dose-response: one dose; two are needed"
    assert (record["compounds"], record["with_doses"], record["rho_median"]) == (2, 0, None)
    assert record["z_prime"] is not None
    assert _drawn(tmp_path) == {"controls", "plate_P1"}


def test_without_any_dose_or_positive_control_it_is_said(run: Run) -> None:
    wells = _wells().replace({"Metadata_PertType": {"poscon": "trt"}}).assign(Metadata_Concentration=np.nan)
    record = run(wells)
    assert record["verdict"] == "no compound has a dose-response: 0 wells with a dose; 4 are needed"
    assert record["controls"] == "0 positive and 16 negative controls with a distance; two of each are needed"
    assert record["z_prime"] is None


def test_too_few_controls_leave_no_distance_and_every_file(run: Run, tmp_path: Path) -> None:
    wells = _wells()
    controls = wells.index[wells["Metadata_PertType"] == "negcon"]
    for few in (2, 3):
        record = run(wells.drop(controls[few:]))
        reason = f"{few} wells of negative controls; 4 are needed for their scatter"
        assert record["verdict"] == f"no compound has a dose-response: {reason}"
        assert reasons.missing(record) == []
    assert set(pd.read_csv(tmp_path / "distances.csv")["Reason"]) == {reason}
    assert set(pd.read_csv(tmp_path / "dose.csv")["reason"]) == {reason}
    assert pd.read_csv(tmp_path / "distances.csv")["Distance"].isna().all()
    assert _drawn(tmp_path) == {"controls", "plate_P1"}


def test_only_controls_are_no_failure(run: Run) -> None:
    wells = _wells()
    record = run(wells[wells["Metadata_PertType"] == "negcon"])
    assert record["verdict"] == "no compound has a dose-response: no treated well"


def test_wells_that_are_on_no_plate_are_not_drawn_as_one(run: Run, tmp_path: Path) -> None:
    wells = _wells()
    run(wells.assign(Metadata_Well=[f"slide-{i}" for i in range(len(wells))]))
    assert _drawn(tmp_path) == {"controls", "curves"}


def test_profiles_that_are_missing_or_lack_a_column_are_named(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"wells\.parquet lacks Metadata_Concentration"):
        run(_wells().drop(columns="Metadata_Concentration"))
    (tmp_path / "profiles" / "wells.parquet").unlink()
    with pytest.raises(InputError, match=r"wells\.parquet is missing; run `dvc repro profile`"):
        dose.run(*(tmp_path / name for name in NAMES))
