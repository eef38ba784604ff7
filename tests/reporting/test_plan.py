import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

from morphospace.errors import InputError
from morphospace.reporting import costs, figures, plan
from morphospace.reporting.page import Table, Text
from morphospace.speeds import Chain, Line, Plate, Range, Shape, Speed, measured

SIZE = plan.Size(fields=100, plates=2, cells=1000, train=600, validation=200, test=200)
FIXED = {"train": 2.0, "embed": 1.0, "similarity": 3.0, "start": 5.0, "start_shared": 2.0}
PLATE = Plate(engine="native", method="watershed", height=10, width=20, cells_per_field=10, size=16)
CHAIN = Chain(
    plate=PLATE,
    jobs=2,
    decode=[0.002, 0.004],
    stages={
        "fetch": Line(fixed=1, rates=[0.1, 0.3], bytes_per_field=1e6),
        "illuminate": Line(fixed=4, rates=[0.5], bytes_per_field=1e6),
        "validate": Line(fixed=1, rates=[1.0], bytes_per_field=0),
    },
)


def speed(**changes: Any) -> Speed:
    shape = Shape(model="m", options={}, z_dim=10, minibatch=5, size=16, channels=3, threads=2)
    parts = {"train": [0.01, 0.03], "validate": [0.01], "epoch": [0.5], "embed": [0.002], "score": [0.004]}
    parts |= {"floors": [0.02], "fit": [0.001], "fit_once": [7.0]}
    return Speed.model_validate(
        {"shape": shape, "jobs": 1, "workers": 1, "weights_bytes": 10**9, "latents": 10} | parts | changes
    )


def member(epochs: int = 10, name: str = "a", size: plan.Size = SIZE) -> plan.Part:
    return plan.member(speed(), FIXED, size, epochs, 500, name, {"z_dim": 10, "train.epochs": epochs})


def before(fetched: bool = False) -> plan.Part:
    return plan.shared(CHAIN, 2.0, SIZE, 24, fetched, {"dataset": "synthetic"})


def test_a_member_takes_what_its_parts_take() -> None:
    stages = member().stages
    assert stages["train"].value == pytest.approx(2 + 10 * (600 * 0.02 + 200 * 0.01 + 0.5))
    assert stages["train"].low == pytest.approx(2 + 10 * (600 * 0.01 + 200 * 0.01 + 0.5))
    assert stages["train"].high == pytest.approx(2 + 10 * (600 * 0.03 + 200 * 0.01 + 0.5))
    assert stages["embed"].value == pytest.approx(1 + 1000 * 0.002)
    assert stages["similarity"].value == pytest.approx(3 + 1000 * 0.004 + 200 * 0.02 + 500 * 0.001 + 7)
    assert stages["start"].value == 15
    assert member().gb == pytest.approx(1 + 4e-9 * 1000 * 10)


def test_what_is_shared_grows_with_the_fields_and_plates() -> None:
    part = before()
    assert part.stages["fetch"] == pytest.approx((1 + 100 * 0.2, 1 + 100 * 0.1, 1 + 100 * 0.3))
    assert part.stages["illuminate"].value == pytest.approx(2 * 4 + 100 * 0.5)  # two plates, started twice
    assert part.stages["validate"].value == pytest.approx(1 + 24)  # validate.fields, not all
    assert part.stages["decode"].value == pytest.approx(1000 * 0.003 / 2)
    assert part.stages["start"].value == pytest.approx(6)
    assert part.gb == pytest.approx((100 * 1e6 + 2 * 6e6) / 1e9)


def test_the_network_is_not_predicted_but_its_bytes_are() -> None:
    part = before(fetched=True)
    assert "fetch" not in part.stages
    assert part.gb == before().gb


def test_the_work_of_a_grid_is_the_sum_of_its_parts_and_shared_stages_count_once() -> None:
    parts = [member(10), member(20), member(30)]
    whole = plan.Plan([before()], parts, 1)
    assert whole.work.value == pytest.approx(before().seconds.value + sum(p.seconds.value for p in parts))
    assert whole.wall == pytest.approx(whole.work)
    assert whole.gb == pytest.approx(before().gb + 3 * member().gb)
    alone = [plan.Plan([before()], [p], 1).work.value for p in parts]
    assert sum(alone) - whole.work.value == pytest.approx(2 * before().seconds.value)


def test_more_epochs_and_more_cells_never_take_less() -> None:
    seconds = [member(epochs).seconds for epochs in (1, 2, 10, 200)]
    assert all(a[i] < b[i] for a, b in itertools.pairwise(seconds) for i in range(3))
    larger = SIZE._replace(cells=2000, train=1200, validation=400, test=400)
    assert member(size=larger).seconds.value > member().seconds.value


def test_the_range_holds_the_prediction() -> None:
    for part in (member(), before()):
        assert all(s.low <= s.value <= s.high for s in part.stages.values())
    assert measured([1.0, 2.0, 6.0]) == Range(3.0, 1.0, 6.0)


@pytest.mark.parametrize("seed", range(20))
def test_workers_shorten_the_wall_clock_within_its_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    jobs = list(rng.uniform(1, 50, rng.integers(1, 12)))
    spans = [plan.makespan(jobs, workers) for workers in range(1, 14)]
    assert spans[0] == pytest.approx(sum(jobs))
    assert spans[-1] == pytest.approx(max(jobs))
    for workers, found in enumerate(spans, start=1):
        least = max(max(jobs), sum(jobs) / workers)
        assert least - 1e-9 <= found <= sum(jobs) / workers + max(jobs) + 1e-9
    equal = [plan.makespan([3.0] * len(jobs), workers) for workers in range(1, 14)]
    assert equal == sorted(equal, reverse=True)


def test_members_are_taken_in_the_order_of_the_queue() -> None:
    assert plan.makespan([1, 1, 10], 2) == 11
    assert plan.makespan([10, 1, 1], 2) == 10


def found(**changes: Any) -> dict[str, Any]:
    whole = plan.Plan([before()], [member(10, "a"), member(20, "b")], 1)
    base = {"processor": "x, 2 cores", "device": "cpu", "size": SIZE._asdict(), **plan.record(whole)}
    return {"plan": base | changes}


def stages(**changes: Any) -> pd.DataFrame:
    rows = [("index", 3.0, 100), ("validate", 50.0, 24), ("train", 100.0, 6000), ("embed", 3.0, 1000)]
    table = pd.DataFrame(rows, columns=["stage", "seconds", "items"]).assign(machine="x, 2 cores", device="cpu")
    return table.assign(**changes)


PARAMETERS = {"z_dim": 10, "train.epochs": 20, "dataset": "synthetic"}


def test_a_run_stands_beside_the_member_that_is_most_like_it() -> None:
    compared = plan.compare(found(), stages(), {"z_dim": 10, "train.epochs": 20}, price=2.0)
    assert compared is not None
    assert compared.sums["predicted_member"] == "b"
    assert compared.differs == []
    assert compared.sums["predicted_differs"] == "nothing"
    rows = compared.table.set_index("stage")
    assert list(rows.index) == ["validate", "train", "embed"]  # index was not measured here, similarity did not run
    assert rows.loc["validate", "ratio"] == pytest.approx(2.0)
    hours = (25 + member(20).stages["train"].value + 3) / 3600
    assert compared.sums["predicted_hours"] == pytest.approx(hours, abs=1e-6)
    assert compared.sums["predicted_cost_spot"] == pytest.approx(2 * hours, abs=1e-6)
    assert compared.sums["predicted_ratio"] == pytest.approx(153 / 3600 / hours, abs=1e-4)


def test_what_differs_between_run_and_plan_is_named() -> None:
    other = {"z_dim": 11, "train.epochs": 10}
    compared = plan.compare(found(device="GPU"), stages(items=7), other, price=2.0)
    assert compared is not None
    assert compared.differs == [
        "z_dim 11, planned 10",
        "machine x, 2 cores; cpu, planned x, 2 cores; GPU",
        "7 image sets, planned 100",
        "7 cells, planned 1,000",
    ]


def test_no_plan_is_no_comparison() -> None:
    assert plan.compare({"plan": None, "how": ""}, stages(), {}, 1.0) is None


@pytest.mark.parametrize("text", [{"plan": {}}, {"plan": {"members": []}}, {"plan": []}, {"plan": "x"}])
def test_a_damaged_plan_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match="the plan is not what `morphospace budget --plan` writes"):
        plan.compare(text, stages(), {}, 1.0)


def test_the_figure_can_be_drawn(tmp_path: Any) -> None:
    compared = plan.compare(found(), stages(), PARAMETERS, 1.0)
    assert compared is not None
    figures.save(plan.bars(compared.table), tmp_path / "predicted.png")
    assert (tmp_path / "predicted.png").stat().st_size > 5000


def _blocks(sums: dict[str, Any], table: pd.DataFrame) -> tuple[str, Table]:
    found = costs.blocks({"hours": 1.0, **sums}, table, "EUR", [])
    texts = [block.text for block in found if isinstance(block, Text)]
    (measured_,) = [b for b in found if isinstance(b, Table) and b.caption == "Each stage, measured"]
    return " ".join(texts), measured_


def test_the_report_shows_predicted_beside_actual() -> None:
    table = stages().assign(items_per_second=1.0, cpu_seconds=1.0, peak_memory_mb=1.0, gb_written=0.1, cost_spot=0.1)
    table = table.assign(unit="x")
    text, shown = _blocks({}, table)
    assert "Predicted: nothing; `morphospace budget --plan` before a run predicts it." in text
    assert "predicted (actual over it)" not in shown.head
    compared = plan.compare(found(), stages(), {"z_dim": 10, "train.epochs": 20}, price=2.0)
    assert compared is not None
    text, shown = _blocks(compared.sums, table.assign(predicted_seconds=[np.nan, 25.0, 40.0, 0.0]))
    assert "Planned, for b: " in text
    assert "The run and the plan differ in: nothing." in text
    assert [row[2] for row in shown.rows] == ["not predicted", "25 (x 2.00)", "40 (x 2.50)", "0"]
