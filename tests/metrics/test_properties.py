"""Properties of a table of cells: dose, mechanism, plate, size and intensity."""

import numpy as np
import pandas as pd
import pytest

from morphospace import schema
from morphospace.metrics import latent, properties

CELLS = 8  # a well


def _plate(plates: int = 2, controls: int = 3) -> pd.DataFrame:
    """Return cells of plates with controls, and two compounds at four doses in two wells each, the last poscon."""
    wells = []
    for p in range(plates):
        rows = [("DMSO", 0.0, "DMSO", schema.NEGCON)] * controls
        for dose in (1.0, 3.0, 10.0, 30.0):
            kind = schema.POSCON if dose == 30 else schema.TREATED
            rows += [("taxol", dose, "Stabilisers", kind), ("AZ138", dose / 10, "unknown", schema.TREATED)] * 2
        for w, (compound, dose, moa, kind) in enumerate(rows):
            wells.append([f"P{p}", f"A{w + 1:02d}", "1", "W1", compound, dose, moa, kind])
    table = pd.DataFrame(wells, columns=schema.METADATA)
    return table.loc[table.index.repeat(CELLS)].reset_index(drop=True)


def _tested(cells: pd.DataFrame, latents: np.ndarray, **measured: np.ndarray) -> dict[str, properties.Property]:
    return {p.name: p for p in properties.examine(cells, latents, measured)}


def _noise(cells: pd.DataFrame, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(cells), 6))


def test_each_planted_latent_moves_with_its_property() -> None:
    cells = _plate(controls=6)
    latents, area = 0.3 * _noise(cells), np.random.default_rng(1).normal(size=len(cells))
    doses = np.log10(cells[schema.CONCENTRATION].clip(lower=0.01))
    latents[:, 0] += doses - doses.groupby(cells[schema.COMPOUND]).transform("mean")
    latents[:, 1] += cells[schema.MOA] == "Stabilisers"
    latents[:, 2] += cells[schema.PLATE] == "P1"
    latents[:, 3] -= area
    found = _tested(cells, latents, area=area)
    assert list(found) == ["dose", "dose of AZ138", "dose of taxol", "mechanism", "plate", "area"]
    long = properties.table(list(found.values()), schema.latent_names(6), None, latent.active(latents))
    for name, wanted in [("dose", 0), ("dose of taxol", 0), ("mechanism", 1), ("plate", 2), ("area", 3)]:
        best = properties.top(long, name, 0.05, 1)
        assert best["latent"].tolist() == [f"Cells_Latent_00{wanted}"], name
    assert found["area"].tested.effect[3] < -0.8


def test_wells_are_counted_not_cells() -> None:
    cells = _plate()
    found = _tested(cells, _noise(cells), area=np.arange(len(cells)))
    assert {name: p.tested.wells for name, p in found.items()} == {
        "dose": 32,
        "dose of AZ138": 16,
        "dose of taxol": 16,
        "mechanism": 22,  # AZ138's is unknown
        "plate": 6,
        "area": 38,
    }
    assert found["plate"].rests_on == "wells of negative controls"


def test_plates_with_few_controls_are_compared_by_all_wells() -> None:
    cells = _plate(controls=2)
    found = _tested(cells, _noise(cells))["plate"]
    assert (found.rests_on, found.tested.wells) == ("wells", 36)


def test_dose_is_within_compound_and_plate() -> None:
    """The latent is the compound and the plate, nothing else: doses differ between both, yet there is no effect."""
    cells = _plate()
    latents = _noise(cells, 2)
    latents[:, 0] += 50 * (cells[schema.COMPOUND] == "taxol") + 500 * (cells[schema.PLATE] == "P1")
    assert _tested(cells, latents)["dose"].tested.p[0] > 0.01


def test_a_table_without_doses_mechanisms_or_plates_says_so() -> None:
    cells = _plate(plates=1).assign(**{schema.CONCENTRATION: 1.0, schema.MOA: "unknown"})
    found = _tested(cells, _noise(cells))
    assert found["dose"].tested.reason == "no compound has two doses on a plate"
    assert found["mechanism"].tested.reason == "two classes with 2 wells or more are needed, not 0"
    assert found["plate"].tested.reason == "two classes with 2 wells or more are needed, not 1"
    long = properties.table(list(found.values()), schema.latent_names(6), np.ones(6), np.ones(6, bool))
    assert long["q"].isna().all()
    assert len(long) == 18


def test_all_tests_are_adjusted_together_and_what_is_not_active_is_never_on_top() -> None:
    from scipy.stats import false_discovery_control

    cells = _plate()
    area = np.random.default_rng(0).normal(size=len(cells))
    latents = _noise(cells) + area[:, None]
    found = list(_tested(cells, latents, area=area).values())
    kl, active = np.arange(6.0), np.array([True, False, True, True, True, True])
    long = properties.table(found, schema.latent_names(6), kl, active)
    used = long["active"]
    np.testing.assert_allclose(long.loc[used, "q"], false_discovery_control(long.loc[used, "p"]))
    assert long.loc[~used, "q"].isna().all()
    assert set(long.loc[~used, "reason"]) == {"the latent is not active"}
    assert long.groupby("latent")["kl"].first().tolist() == kl.tolist()
    best = properties.top(long, "area", 0.05, 6)
    assert len(best) == 5
    assert "Cells_Latent_001" not in set(best["latent"])
    assert best["effect"].abs().is_monotonic_decreasing


@pytest.mark.parametrize("column", [schema.PERT_TYPE, schema.CONCENTRATION])
def test_the_order_of_the_cells_decides_nothing(column: str) -> None:
    cells = _plate().sort_values(column, kind="stable")
    latents = _noise(cells)
    order = np.random.default_rng(0).permutation(len(cells))
    one, other = _tested(cells, latents), _tested(cells.iloc[order].reset_index(drop=True), latents[order])
    for name in one:
        np.testing.assert_allclose(one[name].tested.effect, other[name].tested.effect, err_msg=name)
