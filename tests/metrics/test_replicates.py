"""Replicates against matched random pairs: a slow obvious version, and the ends of the scale."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

from morphospace import reasons, schema
from morphospace.metrics import replicates

FEATURES = [f"Cells_{i}" for i in range(5)]


def wells(signal: float, plate_effect: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Six compounds at two doses and a control on each of three plates."""
    rng = np.random.default_rng(seed)
    own, plates = rng.standard_normal((2, 7, 5)), rng.standard_normal((3, 5))
    rows = []
    for p in range(3):
        for c in range(7):
            for d in range(2):
                values = signal * own[d, c] + plate_effect * plates[p] + rng.standard_normal(5)
                kind = schema.NEGCON if c == 0 else schema.TREATED
                rows.append([f"P{p}", f"W{c}{d}", f"c{c}", float(d), kind, *values])
    return pd.DataFrame(
        rows, columns=[schema.PLATE, schema.WELL, schema.COMPOUND, schema.CONCENTRATION, schema.PERT_TYPE, *FEATURES]
    )


def slow(table: pd.DataFrame) -> dict[tuple[str, float], float]:
    """Return the share of each treatment, by loops."""
    rows = [row for _, row in table.iterrows() if row[schema.PERT_TYPE] != schema.NEGCON]

    def correlation(a: Any, b: Any) -> float:
        return float(np.corrcoef(a[FEATURES].to_numpy(float), b[FEATURES].to_numpy(float))[0, 1])

    shares: dict[tuple[str, float], list[float]] = {}
    for a, b in combinations(rows, 2):
        key = (a[schema.COMPOUND], a[schema.CONCENTRATION])
        if key != (b[schema.COMPOUND], b[schema.CONCENTRATION]):
            continue
        others = [r for r in rows if r[schema.COMPOUND] != key[0]]
        random = [correlation(a, r) for r in others if r[schema.PLATE] == b[schema.PLATE]]
        random += [correlation(b, r) for r in others if r[schema.PLATE] == a[schema.PLATE]]
        shares.setdefault(key, []).append(float(np.mean(np.array(random) < correlation(a, b))))
    return {key: float(np.mean(values)) for key, values in shares.items()}


def scored(table: pd.DataFrame, features: list[str] = FEATURES) -> dict[str, Any]:
    found = replicates.compare(table, features)
    return replicates.score(found, 200, 0.95, np.random.default_rng(0))


def test_the_share_is_that_of_loops() -> None:
    table = wells(1.0)
    expected = slow(table)
    found = scored(table)
    assert found["share_above_random"] == pytest.approx(np.mean(list(expected.values())))
    assert (found["treatments"], found["compounds"], found["pairs"]) == (12, 6, 36)
    assert found["low"] < found["share_above_random"] < found["high"]


def test_replicates_that_are_equal_are_above_all_others() -> None:
    assert scored(wells(1e6))["share_above_random"] > 0.95
    table = wells(0.0)
    table[FEATURES] = np.random.default_rng(1).standard_normal((14, 5))[np.tile(np.arange(14), 3)]
    assert scored(table)["share_above_random"] == 1


def test_noise_and_plate_effects_are_chance() -> None:
    """Not one repetition but the mean of 20 is near 0.5, also where a plate moves all its wells."""
    for effect in (0.0, 5.0):
        shares = [scored(wells(0.0, effect, seed))["share_above_random"] for seed in range(20)]
        assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_a_profile_of_equal_values_has_no_correlation() -> None:
    table = wells(1.0)
    table.loc[2, FEATURES] = 3.0
    assert len(replicates.compare(table, FEATURES).alike) == 34


def test_without_replicates_the_reason_is_given() -> None:
    found = scored(wells(1.0).query("Metadata_Plate == 'P0'"))
    assert np.isnan(found["share_above_random"])
    assert found["pairs"] == 0
    assert reasons.of(found, "share_above_random") == "no treatment has two wells"


def test_one_feature_has_no_correlation() -> None:
    found = scored(wells(1.0), FEATURES[:1])
    assert "two features or more, not 1" in reasons.of(found, "share_above_random")
    assert reasons.missing(found) == []


def test_wells_without_a_compound_are_no_replicates() -> None:
    table = wells(1.0)
    nameless = table[schema.COMPOUND] == table[schema.COMPOUND].iloc[-1]
    for name in ("", schema.UNKNOWN):
        changed = table.assign(**{schema.COMPOUND: table[schema.COMPOUND].mask(nameless, name)})
        assert scored(changed)["pairs"] == scored(table[~nameless])["pairs"]
