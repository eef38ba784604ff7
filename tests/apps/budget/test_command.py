"""The command ``budget``: grids, price lists, plans, the cap. The speeds are made up but for the tests marked slow."""

import datetime
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
import yaml

from morphospace import files, params, speeds, spending
from morphospace.apps.budget import command, grid, measure, price_list, printed, trainings
from morphospace.errors import EngineError, InputError, ParameterError
from morphospace.reporting import plan as planning

ROOT = Path(__file__).resolve().parents[3]
SHARED = ("fetch", "index", "illuminate", "segment", "validate", "synthesize", "split")
FIXED = {"train": 2.0, "embed": 1.0, "similarity": 3.0, "start": 5.0, "start_shared": 2.0}
RATES = {"train": [0.01, 0.03], "validate": [0.01], "epoch": [0.5], "embed": [0.002], "score": [0.004]}
RATES |= {"floors": [0.02], "fit": [0.001], "fit_once": [7.0]}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params.yaml, the numbers of a run, and no data."""
    folder = tmp_path / "repo"
    (folder / "reports" / "records").mkdir(parents=True)
    (folder / ".dvc").mkdir()
    text = (ROOT / "params.yaml").read_text()
    (folder / "params.yaml").write_text(re.sub(r"(?m)^model: \w+", "model: conv_vae", text))
    index = {
        "dataset": "synthetic",
        "image_sets": 10,
        "plates": 1,
        "channels": ["A", "B", "C"],
        "images": {"height": 512, "width": 640},
    }
    (folder / "reports" / "records" / "index.json").write_text(json.dumps(index))
    (folder / "reports" / "records" / "synthesize.json").write_text('{"dataset": "synthetic", "kept": 100}')
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "2")
    monkeypatch.setenv("COLUMNS", "200")
    return folder


def benchmark(z_dims: tuple[int, ...] = (75, 150), machine: str = "p3.2xlarge", workers: int = 1) -> speeds.Benchmark:
    """Return measurements of the shapes that params.yaml makes with these latent sizes, by two threads each."""
    options = {"output_activation": "linear", "max_logvar": 10.0, "batch_norm": False, "dropout": 0.0, "refine": 0}
    shapes = {}
    for z in z_dims:
        shape = speeds.Shape(model="conv_vae", options=options, z_dim=z, minibatch=35, size=128, channels=3, threads=2)
        given = {"shape": shape, "jobs": 2, "workers": workers, "weights_bytes": 4 * z, "latents": z}
        shapes[shape.key(2, workers)] = speeds.Speed.model_validate(given | RATES)
    plate = speeds.Plate(
        engine="cellprofiler", method="propagation", height=512, width=640, cells_per_field=10, size=128
    )
    line = speeds.Line(fixed=1, rates=[2.0], bytes_per_field=1e6)
    chain = speeds.Chain(plate=plate, jobs=2, stages=dict.fromkeys(SHARED, line), decode=[0.001])
    said = dict.fromkeys(("host", "versions", "date"), "then") | {"processor": "fast, 8 cores", "device": "V100"}
    return speeds.Benchmark(machine=machine, fixed=FIXED, shapes=shapes, plates={plate.key(2): chain}, **said)


def plan(*settings: str, file: bool = True, **given: Any) -> dict[str, Any]:
    if file:
        speeds.write(Path("speeds.json"), benchmark(workers=given.get("workers", 1)))
        given["benchmark"] = Path("speeds.json")
    command.run(plan=True, settings=list(settings), **{"workers": 1, "seconds": 60, **given})
    return dict(files.read_json(Path("reports/plan.json"))["plan"])


def test_a_grid_is_the_product_in_the_order_of_dvc() -> None:
    found = grid.members(["z_dim=75,150", "train.r_loss_factor=elbo,10000"])
    assert [(m.options.z_dim, m.options.train.r_loss_factor) for m in found] == [
        (75, "elbo"),
        (75, 10000),
        (150, "elbo"),
        (150, 10000),
    ]
    assert found[0].name == "z_dim=75 train.r_loss_factor=elbo"
    assert [m.options.z_dim for m in grid.members(["z_dim=range(1,4)"])] == [1, 2, 3]
    assert grid.members([])[0].options == params.load()


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("z_dmi=75", "no key 'z_dmi'; did you mean 'z_dim'?"),
        ("train.epocs=5", "did you mean 'train.epochs'"),
        ("qqqqq=1", "params.yaml has no key 'qqqqq'$"),
        ("z_dim", "has no value; type -S key=value"),
        ("z_dim=75,0", r"z_dim=0: .*z_dim is 0, should be greater than or equal to 1"),
        ("segment.engine=natve", "did you mean 'native'"),
        ("z_dim=[", "-S z_dim=\\["),
    ],
)
def test_a_member_that_would_be_refused_is_refused_now(setting: str, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        grid.members([setting])


def test_a_plan_predicts_each_member_and_shared_stages_once(capsys: pytest.CaptureFixture[str]) -> None:
    found = plan("z_dim=75,150", "train.epochs=50")
    assert [m["parameters"]["z_dim"] for m in found["members"]] == [75, 150]
    assert len(found["shared"]) == 1
    train = 2 + 50 * (60 * 0.02 + 20 * 0.01 + 0.5)
    assert found["members"][0]["seconds"]["train"][0] == pytest.approx(train)
    assert found["shared"][0]["seconds"]["segment"][0] == pytest.approx(1 + 10 * 2)
    said = capsys.readouterr().out
    assert said.startswith("Speed and prices of p3.2xlarge (fast, 8 cores, V100")
    assert "its price is of 2020" in said
    assert "10 image sets and 100 cells (60 for training, 20 for validation, 20 for the test)" in said
    assert "Not counted: transfers" in said
    assert "z_dim=150 train.epochs=50" in said
    assert found["measured_on_it"]


def test_stages_that_differ_before_training_are_counted_for_each_kind() -> None:
    assert len(plan("split.by=well,site", "z_dim=75,150")["shared"]) == 2


def test_the_speed_of_another_machine_is_said_in_the_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("p.yaml").write_text("machines: {g5: {spot: 0.5, on_demand: 1.0, date: 2026-11-01}}")
    found = plan("z_dim=75", machine="g5", prices=Path("p.yaml"))
    first = " ".join(capsys.readouterr().out.split())
    assert first.startswith(
        "The speed is that of p3.2xlarge (fast, 8 cores, V100), only the prices are those of g5: g5"
    )
    assert not found["measured_on_it"]
    assert (found["spot"], found["machine"]) == (0.5, "g5")


def test_a_benchmark_of_a_busy_machine_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    speeds.write(Path("speeds.json"), benchmark().model_copy(update={"load": 4.2}))
    assert plan("z_dim=75", file=False, benchmark=Path("speeds.json"))["load"] == 4.2
    assert "busy with 4.2 other processes a core when it was measured" in " ".join(capsys.readouterr().out.split())


def test_workers_share_the_machine_that_is_paid(capsys: pytest.CaptureFixture[str]) -> None:
    alone = plan("z_dim=75,150")
    two = plan("z_dim=75,150", workers=2)
    first = sum(seconds[0] for seconds in alone["shared"][0]["seconds"].values())
    assert two["work_seconds"] == alone["work_seconds"] == alone["wall_seconds"]
    assert two["wall_seconds"][0] == pytest.approx(first + (alone["wall_seconds"][0] - first) / 2, rel=0.01)
    assert "MORPHOSPACE_JOBS=2 dvc queue start -j 2" in capsys.readouterr().out


def test_a_benchmark_without_a_shape_says_what_to_type_there() -> None:
    with pytest.raises(InputError, match=r"speeds.json lacks conv_vae-z300.*--benchmark-only --workers 1 -S z_dim=300"):
        plan("z_dim=300")
    speeds.write(Path("other.json"), benchmark(workers=2))
    with pytest.raises(InputError, match=r"other\.json lacks anything on as many workers"):
        plan("z_dim=75", file=False, benchmark=Path("other.json"))


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": 0}', "nothing"])
def test_a_benchmark_of_another_format_is_refused(text: str) -> None:
    Path("speeds.json").write_text(text)
    with pytest.raises(InputError, match=r"speeds\.json is no(t JSON| benchmark of this version)"):
        plan(file=False, benchmark=Path("speeds.json"))
    with pytest.raises(InputError, match=r"no\.json is missing; write it with `morphospace budget --benchmark-only`"):
        plan(file=False, benchmark=Path("no.json"))


def test_without_data_the_size_is_that_of_the_parameters() -> None:
    shutil.rmtree("reports/records")
    assert command._size([], params.load(), None, None)[:3] == (1320, 6, 250783)
    size = command._size([], params.load(), 10, 5)
    assert (size.fields, size.cells, size.train + size.validation + size.test) == (5, 10, 10)


def test_the_size_of_another_data_set_is_not_taken_for_that_of_this_one() -> None:
    for name in ("index", "synthesize"):
        path = Path(f"reports/records/{name}.json")
        path.write_text(path.read_text().replace("synthetic", "folder: may/images"))
    assert command._size([], params.load(), None, None)[:3] == (1320, 6, 250783)


def test_a_grid_that_changes_the_size_of_the_data_needs_to_say_it() -> None:
    with pytest.raises(ParameterError, match="say how much with --cells and --fields"):
        plan("synthetic.plates=6")


def test_plan_and_benchmark_exclude_each_other() -> None:
    with pytest.raises(ParameterError, match="exclude each other"):
        command.run(plan=True, benchmark_only=True)


def test_a_machine_without_a_price_is_named_with_the_nearest() -> None:
    with pytest.raises(ParameterError, match=r"budget.machines has no machine 'p3.8xlarge'; did you mean 'p3.2xlarge'"):
        plan(machine="p3.8xlarge")
    with pytest.raises(ParameterError, match="has no machine 'x'"):
        command.run(cap="5", machine="x")


def _prices_of(text: str, name: str = "p.csv") -> price_list.Prices:
    Path(name).write_text(text)
    return price_list.load(params.load().budget, Path(name))


def test_a_price_list_is_read_from_csv_and_yaml() -> None:
    found = _prices_of("machine,spot,on_demand,date,currency\ng5,0.5,1,2026-11,USD\nbox,0,0,,USD\n")
    assert (found.currency, found.of("g5").spot, found.of("box").date) == ("USD", 0.5, None)
    assert _prices_of("currency: USD\nmachines: {g5: {spot: 0.5, on_demand: 1}}", "p.yaml").of("g5").on_demand == 1


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.csv", "machine,spot\na,1\n", "lacks the column on_demand"),
        ("p.csv", "machine,spot,on_demand\na,1,x\n", "machine a: on_demand: Input should be a valid number"),
        ("p.csv", "machine,spot,on_demand\na,1,2\na,1,2\n", "line 3: the machine 'a' is empty or comes twice"),
        ("p.csv", "machine,spot,on_demand\n,1,2\n", "line 2: the machine '' is empty"),
        ("p.csv", "machine,spot,on_demand\na,-1,2\n", "machine a: spot"),
        ("p.csv", "machine,spot,on_demand\n", "names no machine"),
        ("p.csv", "machine,spot,on_demand,currency\na,1,2,EUR\nb,1,2,USD\n", "several currencies: EUR, USD"),
        ("p.csv", "machine,spot,on_demand,date\na,1,2,2026-13\n", "machine a: date 2026-13"),
        ("p.csv", "machine,spot,on_demand,date\na,1,2,soon\n", "machine a: date: String should match"),
        ("p.yaml", "machines: [", "is not YAML"),
        ("p.yaml", "machines: {a: 3}", "needs `machines:"),
        ("p.yaml", "machines: {a: {spot: 1}}", "machine a: on_demand: Field required"),
        ("p.yaml", "machines: {a: {spot: 1, on_demand: 1, gpu: 3}}", "machine a: gpu: Extra inputs"),
    ],
)
def test_a_price_list_that_cannot_be_used_is_refused(name: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        _prices_of(text, name)


def test_a_price_list_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match=r"the price list no\.csv cannot be read"):
        price_list.load(params.load().budget, Path("no.csv"))


@pytest.mark.parametrize(
    ("date", "said"),
    [
        ("2026-11-01", ""),
        ("2026-09", ""),
        ("2026", ""),
        ("2020", "of 2020, 2,154 days old or more"),
        ("2026-01", "of 2026-01, 297 days old or more"),
        (None, "no date"),
    ],
)
def test_an_old_price_is_said_to_be_old(date: str | None, said: str) -> None:
    price = params.Machine(spot=1, on_demand=1, date=date)
    found = price_list.age(price, datetime.date(2026, 11, 21))
    assert said in found
    assert bool(found) == bool(said)


def test_the_cap_is_set_moved_shown_and_lifted(capsys: pytest.CaptureFixture[str]) -> None:
    command.run(cap="20")
    assert (
        "Spending cap: 20 EUR; 0 spent by 0 trainings at 1.8 an hour (p3.2xlarge), 20 left." in capsys.readouterr().out
    )
    command.run(cap="30.5", on_demand=True)
    limit = spending.cap()
    assert limit is not None
    assert (limit.amount, limit.price) == (30.5, 3.3)
    command.run()
    assert "30.5 EUR" in capsys.readouterr().out
    command.run(cap="none")
    assert "No spending cap" in capsys.readouterr().out
    assert spending.cap() is None


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "much"])
def test_a_cap_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match=f"--cap is '{text}'; it should be an amount above 0, in EUR, or `none`"):
        command.run(cap=text)


SUMS = {"dataset": "synthetic", "hours": 0.5, "cost_spot": 0.9, "cost_on_demand": 1.65, "machine": "p3.2xlarge"}
PREDICTED = {"predicted_member": "z_dim=75", "predicted_hours": 1.0, "predicted_hours_low": 0.5}
PREDICTED |= {"predicted_hours_high": 2.0, "predicted_actual_hours": 0.5, "predicted_ratio": 0.5}


def test_without_options_the_last_run_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    command.run()
    assert "Nothing has run yet: `dvc repro`" in capsys.readouterr().out
    Path("reports/records/budget.json").write_text(json.dumps(SUMS))
    Path("data").mkdir()
    Path("data/budget.csv").write_text("stage,seconds,gb_written,cost_spot\ntrain,1800,0.1,0.9\n")
    command.run()
    said = " ".join(capsys.readouterr().out.split())
    assert "The last run, on synthetic: 30 min, 0.90 EUR spot, 1.65 on demand, at the prices of p3.2xlarge." in said
    assert "Nothing is planned" in said
    Path("reports/plan.json").write_text('{"plan": {"members": []}}')
    command.run()
    assert "no run beside it yet" in capsys.readouterr().out
    Path("reports/records/budget.json").write_text(json.dumps(SUMS | PREDICTED | {"predicted_differs": "nothing"}))
    Path("data/budget.csv").write_text(
        "stage,seconds,gb_written,cost_spot,predicted_seconds\ntrain,1800,0.1,0.9,3600\nsplit,1,0,0,\n"
    )
    command.run()
    said = " ".join(capsys.readouterr().out.split())
    assert "Predicted for z_dim=75: 1 h (0.5 to 2); actual 30 min, 0.50 times that." in said
    assert "│ train │ 1,800.0 │ 3,600.0 │ 0.50" in said


@pytest.mark.parametrize(("seconds", "said"), [(7200, "2 h"), (90, "1.5 min"), (0.5, "0.5 s")])
def test_durations_are_in_the_unit_that_suits_them(seconds: float, said: str) -> None:
    assert printed.span(speeds.Range(seconds, seconds, seconds)) == said
    assert " to " in printed.span(speeds.Range(seconds, seconds / 2, seconds * 2))


def test_threads_are_shared_unless_the_environment_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measure.threads(2) == (2, 2)
    monkeypatch.delenv("MORPHOSPACE_JOBS")
    monkeypatch.setattr(files, "jobs", lambda: 8)
    assert measure.threads(3) == (2, 8)
    assert measure.threads(16) == (1, 8)


def test_what_two_processes_measure_at_once_is_kept_of_both() -> None:
    one, two = (measure.this_machine("box").model_copy(update={"shapes": benchmark((z,)).shapes}) for z in (75, 150))
    measure._kept(one)
    measure._kept(two)
    found = measure.this_machine()
    assert len(found.shapes) == 2
    assert found.machine == "box"


@pytest.mark.parametrize("text", ["", "Aborted.", "{}", None])
def test_speeds_that_were_damaged_are_measured_anew(text: str | None, caplog: pytest.LogCaptureFixture) -> None:
    measured = measure._kept(measure.this_machine("box").model_copy(update={"shapes": benchmark((75,)).shapes}))
    assert measure.this_machine() == measured
    content = speeds.here().read_text()
    speeds.here().write_text(content.replace('"machine": "box"', '"machine": "bot"') if text is None else text)
    assert not measure.this_machine().shapes
    assert "is not as it was written" in caplog.text


def test_a_speed_of_other_software_is_measured_anew() -> None:
    speeds.write(speeds.here(), benchmark())
    assert not measure.this_machine().shapes
    assert measure.this_machine().machine == "p3.2xlarge"


def test_when_the_time_is_up_it_is_said_and_what_was_measured_stays() -> None:
    known = benchmark((75,))
    shapes = [s.shape for s in benchmark((75, 150)).shapes.values()]
    plates = [c.plate for c in known.plates.values()]
    with pytest.raises(EngineError, match=r"1 s did not suffice: conv_vae-z150.* type the same again"):
        measure.measure(known, shapes, plates, 2, 1, 2, seconds=1)


def _small(z_dim: int = 4, minibatch: int = 8, size: int = 32) -> speeds.Shape:
    options = {"output_activation": "linear", "max_logvar": 10.0, "batch_norm": False, "dropout": 0.0}
    return speeds.Shape(
        model="conv_vae", options=options, z_dim=z_dim, minibatch=minibatch, size=size, channels=3, threads=2
    )


def test_tiles_are_generated_as_crops_are() -> None:
    tiles = trainings.generated(5, 3, 32)
    assert (tiles.shape, tiles.dtype) == ((5, 3, 32, 32), np.uint8)
    assert (tiles == 0).mean() > 0.2
    assert tiles.max() > 200


def test_a_shape_is_really_trained_and_every_part_repeated() -> None:
    found = trainings.speed(_small(), 1, 1, 0.2)
    for name, rates in found:
        if isinstance(rates, list) and name != "fit_once":
            assert len(rates) >= 2, name
            assert all(rate >= 0 for rate in rates)
    assert min(found.train) > 0
    assert found.weights_bytes > 4 * 64 * 4 * 4 * 8
    assert found.latents == _small().z_dim


@pytest.mark.parametrize("minibatch", [2, 7])
def test_a_model_of_pairs_is_trained_on_labels_and_not_scored(minibatch: int) -> None:
    options = {"widths": [8, 16], "map_dropout": [], "dropout": 0.0}
    found = trainings.speed(
        _small(minibatch=minibatch).model_copy(update={"model": "metric_net", "options": options}), 1, 1, 0.2
    )
    assert min(found.train) > 0
    assert min(found.validate_) > 0
    assert found.score == [0.0]
    assert min(found.floors) > 0


@pytest.mark.slow
def test_two_processes_at_once_are_measured_together() -> None:
    found = trainings.speed(_small(), 1, 2, 1)
    assert found.workers == 2
    assert len(found.fit_once) == 2  # once a process


@pytest.mark.slow
def test_training_takes_about_what_was_predicted(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A factor of 4: other work on the machine may slow the benchmark or the run, but not the wrong formula down."""
    from morphospace import schema
    from morphospace.imaging import codec, packs
    from morphospace.stages import train

    tiles = trainings.generated(400, 3, 64)
    number = np.arange(len(tiles))
    table = pd.DataFrame(dict.fromkeys(schema.METADATA, "x"), index=number)
    table[schema.PLATE], table[schema.WELL], table[schema.SITE] = "P1", [f"B0{n % 5}" for n in number], "1"
    table[schema.OBJECT], table[schema.CROP_STATUS] = number + 1, schema.KEPT
    table[schema.CROP_FILE] = [f"{n}.png" for n in number]
    table = table.sort_values(schema.OBJECT_KEY, ignore_index=True)
    table.to_parquet("crops.parquet")
    content = ((name, codec.encode_tile(tile)) for name, tile in zip(table[schema.CROP_FILE], tiles, strict=True))
    packs.write(Path("crops/P1.zip"), content)
    sides = table[schema.IMAGE_SET_KEY].drop_duplicates()
    sides["Group"] = sides[schema.WELL]
    sides[schema.SPLIT] = sides[schema.WELL].map(dict.fromkeys(("B00", "B01", "B02"), "train") | {"B03": "validation"})
    sides.fillna({schema.SPLIT: "test"}).to_csv("splits.csv", index=False)
    Path("synthesize.json").write_text('{"channels": ["A", "B", "C"], "size": 64}')
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")

    def ran(epochs: int) -> float:
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        values |= {"z_dim": 16, "model": "conv_vae"}
        values["train"] |= {"epochs": epochs, "patience": 0, "pictures": 1}
        Path("params.yaml").write_text(yaml.safe_dump(values))
        inputs = ("crops", "crops.parquet", "splits.csv", "synthesize.json")
        train.run(*map(Path, (*inputs, "models", "t.json", "m.json", "train.json", "curves", "training")))
        return float(files.read_json(Path("t.json"))["seconds"])

    speed = trainings.speed(_small(16, 35, 64), 1, 1, 4)
    size = planning.Size(fields=1, plates=1, cells=400, train=240, validation=80, test=80)
    one = ran(1)
    an_epoch = planning.member(speed, dict.fromkeys(FIXED, 0.0), size, 1, 10, "", {}).stages["train"]
    fixed = max(0.0, one - an_epoch.value)
    predicted = planning.member(speed, FIXED | {"train": fixed}, size, 6, 10, "", {}).stages["train"]
    actual = ran(6)
    with capsys.disabled():
        typer.echo(f"\npredicted {predicted}, actual {actual:.1f} s: {actual / predicted.value:.2f} times that")
    assert 1 / 4 < actual / predicted.value < 4


@pytest.mark.slow
def test_a_plan_is_measured_for_real_and_its_speeds_can_be_brought_elsewhere(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measure, "REPEATS", 1)
    monkeypatch.setattr(measure, "MOST", measure.LEAST)
    for name in ("dvc.yaml", "pipelines"):
        Path(name).symlink_to(ROOT / name)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values |= {"model": "conv_vae"}
    values["segment"]["engine"] = "native"
    values["synthesize"]["size"] = 96
    values["validate"]["fields"] = 1
    values["similarity"]["bootstrap"] = 100
    Path("params.yaml").write_text(yaml.safe_dump(values))
    found = plan("z_dim=4", file=False, machine="p3.2xlarge", seconds=800, fields=12, cells=100)
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("The speed is that of this machine")
    seconds = {**found["shared"][0]["seconds"], **found["members"][0]["seconds"]}
    assert set(seconds) == {*SHARED, "decode", "start", "train", "embed", "similarity"}
    assert all(0 <= low <= value <= high for value, low, high in seconds.values())
    assert not list((files.scratch("benchmarks", "x").parent).glob("native*/*"))

    for part in ("_plate", "_kept"):  # what is measured is not measured again
        monkeypatch.setattr(measure, part, lambda *_: pytest.fail("it is measured again"))
    command.run(
        benchmark_only=True,
        settings=["z_dim=4"],
        machine="box",
        benchmark=Path("box.json"),
        workers=1,
        fields=12,
        cells=100,
        seconds=1,
    )
    Path("p.csv").write_text("machine,spot,on_demand\nbox,1,2\n")
    monkeypatch.setenv("MORPHOSPACE_SCRATCH", str(here / "elsewhere"))
    brought = plan(
        "z_dim=4", file=False, machine="box", prices=Path("p.csv"), benchmark=Path("box.json"), fields=12, cells=100
    )
    assert brought["members"] == found["members"]
    assert brought["measured_on_it"]
    assert "Speed and prices of box" in capsys.readouterr().out
