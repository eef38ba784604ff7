from typing import Any

import numpy as np
import pandas as pd
import pytest

from morphospace import reasons
from morphospace.errors import InputError
from morphospace.reporting import budget, figures


def timing(stage: str, seconds: float, items: int, **more: Any) -> dict[str, Any]:
    base = {"cpu_seconds": 2 * seconds, "peak_memory_mb": 100.0, "bytes": 2_000_000_000, "unit": "things"}
    return {"stage": stage, "seconds": seconds, "items": items, **base, **more}


PRICES = {"": budget.Price(1.8, 3.3)}  # of the machine without a name, on which these stages ran
RUN = [
    timing("train", 100.0, 5000, bytes=1_000_000, peak_memory_mb=900.0),
    timing("segment", 60.0, 10),
    timing("index", 5.0, 10),
    timing("embed", 10.0, 500),
    timing("validate", 30.0, 4),
]


def test_stages_stand_in_the_order_of_the_pipeline_and_unknown_ones_last() -> None:
    found = budget.table([*RUN, timing("profile", 1, 1)], PRICES)
    assert list(found["stage"]) == ["index", "segment", "validate", "train", "embed", "profile"]


def test_the_order_of_the_files_does_not_matter() -> None:
    pd.testing.assert_frame_equal(budget.table(RUN, PRICES), budget.table(RUN[::-1], PRICES))


def test_an_hour_costs_the_price_of_an_hour() -> None:
    row = budget.table([timing("train", 3600.0, 7200)], PRICES).iloc[0]
    assert row["cost_spot"] == pytest.approx(1.8)
    assert row["cost_on_demand"] == pytest.approx(3.3)
    assert row["items_per_second"] == pytest.approx(2.0)
    assert row["gb_written"] == pytest.approx(2.0)


def test_a_stage_without_items_has_no_speed_rather_than_zero() -> None:
    assert np.isnan(budget.table([timing("train", 3600.0, 0)], PRICES)["items_per_second"].iloc[0])


def test_a_timing_without_its_numbers_is_refused() -> None:
    with pytest.raises(InputError, match="timing of embed lacks seconds, cpu_seconds"):
        budget.table([{"stage": "embed", "items": 3}], PRICES)


def test_a_stage_timed_twice_is_refused() -> None:
    with pytest.raises(InputError, match="train is timed twice"):
        budget.table([RUN[0], RUN[0]], PRICES)


def test_the_same_size_costs_the_same_hours() -> None:
    stages = budget.table(RUN, PRICES)
    same = budget.extrapolate(stages, cells=500, fields=10, epochs=[10], prices=PRICES)
    assert same["factor"].to_numpy() == pytest.approx(1)
    assert same["hours"].sum() * 3600 == pytest.approx(stages["seconds"].sum())
    assert same["cost_spot"].sum() == pytest.approx(stages["cost_spot"].sum())
    assert same["gb_written"].sum() == pytest.approx(stages["gb_written"].sum())


def test_each_stage_grows_with_its_own_measure() -> None:
    stages = budget.table(RUN, PRICES)
    scaled = budget.extrapolate(stages, cells=1000, fields=40, epochs=[10, 30], prices=PRICES)
    factors = scaled.set_index(["epochs", "stage"])["factor"]
    assert factors[10]["segment"] == pytest.approx(4)
    assert factors[10]["embed"] == pytest.approx(2)
    assert factors[10]["train"] == pytest.approx(1000 * 10 / 5000)
    assert factors[30]["train"] == pytest.approx(1000 * 30 / 5000)
    assert factors[30]["validate"] == 1


def test_image_sets_that_were_split_are_not_taken_for_cells() -> None:
    stages = budget.table([timing("split", 1.0, 10), timing("synthesize", 4.0, 200)], PRICES)
    scaled = budget.extrapolate(stages, cells=400, fields=1, epochs=[1], prices=PRICES)
    assert scaled["factor"].to_numpy() == pytest.approx(2)


def test_training_longer_writes_no_more() -> None:
    stages = budget.table(RUN, PRICES)
    scaled = budget.extrapolate(stages, cells=500, fields=10, epochs=[10, 1000], prices=PRICES)
    written = scaled.groupby("epochs")["gb_written"].sum()
    assert written[10] == pytest.approx(written[1000])


def test_small_fields_count_by_their_pixels() -> None:
    stages = budget.table([timing("index", 5.0, 10), timing("segment", 60.0, 10)], PRICES)
    scaled = budget.extrapolate(stages, 1, 10, [1], prices=PRICES, megapixels=0.512 * 0.640)
    assert scaled["factor"].to_numpy() == pytest.approx(4)


def test_what_was_not_counted_is_not_extrapolated() -> None:
    stages = budget.table([timing("train", 100.0, 0), timing("index", 1.0, 3)], PRICES)
    scaled = budget.extrapolate(stages, cells=500, fields=10, epochs=[20], prices=PRICES)
    sums = budget.totals(stages, scaled, 0.023, 1)
    assert np.isnan(sums["thesis_20_epochs_hours"])
    assert np.isnan(sums["images_per_second"])


def test_the_sums_are_flat_numbers() -> None:
    stages = budget.table(RUN, PRICES)
    scaled = budget.extrapolate(stages, 250_783, 1320, [20, 50], PRICES)
    sums = budget.totals(stages, scaled, storage_gb_month=0.023, months=12)
    assert all(isinstance(v, float) for k, v in sums.items() if k != reasons.KEY)
    assert sums["hours"] == pytest.approx(205 / 3600, abs=1e-6)
    assert sums["peak_memory_mb"] == 900
    assert sums["storage_gb"] == pytest.approx(8.001)
    assert sums["storage_cost"] == pytest.approx(8.001 * 0.023 * 12)
    assert sums["images_per_second"] == pytest.approx(50)
    extra = 250_783 * 30 / 50 / 3600  # 30 epochs more at 50 images a second
    assert sums["thesis_50_epochs_hours"] - sums["thesis_20_epochs_hours"] == pytest.approx(extra)


def test_the_figures_can_be_drawn(tmp_path: Any) -> None:
    stages = budget.table(RUN, PRICES)
    scaled = budget.extrapolate(stages, 250_783, 1320, [20, 50, 200], PRICES)
    figures.save(budget.bars(stages), tmp_path / "stages.png")
    figures.save(budget.scenarios(scaled, 250_783), tmp_path / "extrapolation.png")
    assert (tmp_path / "stages.png").stat().st_size > 5000
    assert (tmp_path / "extrapolation.png").stat().st_size > 5000


def test_hours_of_a_machine_without_a_price_cost_nothing_that_is_known() -> None:
    """The hours of a processor are not those of the GPU that happens to be in the price list."""
    mixed = [timing("segment", 3600.0, 10, machine="gpu"), timing("train", 3600.0, 500, machine="laptop, 2 cores")]
    for run, known in ((mixed[:1], True), (mixed, False)):
        stages = budget.table(run, {"gpu": budget.Price(1.8, 3.3)})
        scaled = budget.extrapolate(stages, 500, 10, [20], {"gpu": budget.Price(1.8, 3.3)})
        sums = budget.totals(stages, scaled, 0.023, 1)
        assert np.isfinite([sums["cost_spot"], sums["thesis_20_epochs_cost_on_demand"]]).all() == known
        assert reasons.missing(sums) == []
    assert stages["cost_spot"].tolist() == pytest.approx([1.8, np.nan], nan_ok=True)
    said = reasons.of(sums, "thesis_20_epochs_cost_spot")
    assert said == "no price of the machine that ran (laptop, 2 cores) in budget.machines of params.yaml"
