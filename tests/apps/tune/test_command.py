"""What a search refuses before any work."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from morphospace.apps.tune import command, experiment
from morphospace.errors import InputError, ParameterError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        Path(name).write_text((ROOT / name).read_text())

    def worked(target: str) -> None:
        pytest.fail("work was begun")

    monkeypatch.setattr(experiment, "bring", worked)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("z_dimm=[1, 2]", "the space names 'z_dimm', which is not searched; did you mean 'z_dim'"),
        ("synthesize.size=[64, 128]", "'synthesize.size', which is not searched"),
        ("seed=[1, 2]", "'seed', which is not searched"),
        ("z_dim=0,75", "z_dim is 0, should be greater than or equal to 1"),
        ("z_dim=[25, wide]", "z_dim is 'wide', should be a valid integer"),
        ("z_dim={low: 25, high: 25.5}", "z_dim is a whole number; 25.5 is none"),
        ("z_dim={low: 300, high: 25}", "low 300 is not below high 25"),
        ("z_dim=[]", "z_dim: List should have at least 1 item"),
        ("train.learning_rate={low: 0, high: 1, log: true}", "log needs a low above 0"),
        ("train.learning_rate={low: 1e-4, high: 2}", "train.learning_rate is 2.0, should be less than or equal to 1"),
        ("train.learning_rate={low: 1e-4}", "train.learning_rate: Field required"),
        ("train.learning_rate={lo: 1, high: 2}", "train.learning_rate: "),
        ("train.channel_mode={low: 0, high: 1}", "train.channel_mode is 'joint', no number: give a list of choices"),
        ("conv_vae.dropout", r"--space 'conv_vae.dropout' is not KEY=\[1, 2\]"),
        ("z_dim=[1, 2", r"--space 'z_dim=\[1, 2' is not KEY"),
    ],
)
def test_a_mistake_in_the_space_is_refused_before_any_work(space: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        command.run([space])


def test_an_empty_space_and_a_wild_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match="may have letters"):
        command.run(["z_dim=4,8"], name="../other")
    values = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(values | {"tune": {}}))
    with pytest.raises(ParameterError, match="there is nothing to search"):
        command.run()


def test_a_store_of_another_kind_is_refused_before_any_work() -> None:
    opened = sqlite3.connect("mlflow.db")
    opened.execute("CREATE TABLE experiments (x)")
    opened.close()
    with pytest.raises(InputError, match="tables of another kind"):
        command.run(["z_dim=4,8"], storage=Path("mlflow.db"))


def test_a_pipeline_without_training_is_refused() -> None:
    Path("dvc.yaml").write_text("stages: {}")
    with pytest.raises(InputError, match=r"dvc\.yaml has no stage train"):
        command.run(["z_dim=4,8"])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("25,75", [25, 75]),
        ("75", [75]),
        ("[25, 75]", [25, 75]),
        ("linear,sigmoid", ["linear", "sigmoid"]),
        ("1e-4,2E-3", [1e-4, 2e-3]),
        ("{low: 1e-4, high: 2.0e-3, log: true}", {"low": 1e-4, "high": 2e-3, "log": True}),
    ],
)
def test_the_command_line_takes_what_dvc_takes_and_yaml(text: str, values: Any) -> None:
    assert command._option(f"z_dim={text}") == ("z_dim", values)


def test_what_makes_values_comparable_is_all_that_is_not_searched(tmp_path: Path) -> None:
    options = command.params.load()
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops" / "a.zip").write_bytes(b"pixels")
    stage = command.Stage([tmp_path / "crops"], [], "train.json")
    first = command._base(options, {"z_dim": [4]}, stage)
    assert command._base(command.params.load(changes={"z_dim": 4}), {"z_dim": [4]}, stage) == first
    assert command._base(command.params.load(changes={"train.beta": 4}), {"z_dim": [4]}, stage) != first
    assert command._base(command.params.load(changes={"similarity.bootstrap": 100}), {"z_dim": [4]}, stage) == first
    (tmp_path / "crops" / "a.zip").write_bytes(b"others")
    assert command._base(options, {"z_dim": [4]}, stage) != first


def test_the_committed_space_is_valid() -> None:
    options = command.params.load()
    assert set(command._checked(options, command._space(options, None))) == set(options.tune)


def test_a_model_that_draws_nothing_is_refused() -> None:
    values = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump(values | {"model": "metric_net"}))
    with pytest.raises(ParameterError, match="metric_net draws nothing, so its trials have no squared error"):
        command.run(["z_dim=25,75"])
