import math

import numpy as np
import pytest
from wells import sites

from morphospace import reasons, schema
from morphospace.metrics import batches

FEATURES = [f"Cells_Latent_{i:03d}" for i in range(6)]


def scored(shift: float, **changes: object) -> batches.BatchScore:
    table = sites().assign(**changes)
    week = table[schema.BATCH].astype("category").cat.codes.to_numpy()
    values = table[FEATURES].to_numpy() + shift * np.eye(6)[week % 6]
    return batches.from_controls(table, values, 5, 1, 200, 0.95)


def test_a_batch_that_shows_is_found_on_plates_that_were_never_seen() -> None:
    found = scored(20.0)
    assert (found.by, found.batches, found.accuracy.cells) == ("plate", 4, 48)
    assert found.accuracy.value == 1
    assert found.majority.value == 0.25


def test_one_that_does_not_show_is_guessed() -> None:
    found = scored(0.0)
    assert found.accuracy.low < 0.3 < 0.6
    record = found.record()
    assert record["batch_from_controls_majority"] == 0.25


def test_a_plate_that_shows_is_no_batch_that_shows() -> None:
    table = sites()
    plate = table[schema.PLATE].astype("category").cat.codes.to_numpy()
    values = table[FEATURES].to_numpy() + 50 * np.random.default_rng(0).normal(size=(8, 6))[plate]
    assert batches.from_controls(table, values, 5, 1, 200, 0.95).accuracy.value < 0.8


def test_with_one_plate_a_batch_wells_are_held_out() -> None:
    table = sites()
    table = table[table[schema.PLATE].isin(["Week0_P0", "Week1_P2"])]
    found = batches.from_controls(table, table[FEATURES].to_numpy(), 5, 1, 200, 0.95)
    assert (found.by, found.batches) == ("well", 2)


@pytest.mark.parametrize("changes", [{schema.BATCH: "Week1"}, {schema.PERT_TYPE: schema.TREATED}])
def test_without_two_batches_it_says_why(changes: dict[str, str]) -> None:
    found = scored(0.0, **changes)
    assert math.isnan(found.accuracy.value)
    assert "two are needed" in reasons.of(found.record(), "batch_from_controls")


def test_a_table_without_batches_says_why() -> None:
    table = sites().drop(columns=schema.BATCH)
    found = batches.from_controls(table, table[FEATURES].to_numpy(), 5, 1, 200, 0.95)
    assert math.isnan(found.accuracy.value)
    assert found.accuracy.reason.startswith("0 batches with controls in two plates or more")
