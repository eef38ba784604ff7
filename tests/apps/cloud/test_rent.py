"""The command rent up to the point where a machine would start: what it shows, and what it refuses."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from morphospace.apps.cloud import machine, parcel, rent
from morphospace.apps.cloud.bucket import Check
from morphospace.apps.cloud.remote import Remote
from morphospace.errors import MorphospaceError, ParameterError, RentalError, StorageError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with params.yaml and a remote; the region is set, no server is asked."""
    folder = tmp_path / "repo"
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n remote = store\n['remote \"store\"']\n url = s3://bench/dvc\n")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["budget"] |= {"machine": "g5.xlarge", "machines": {"g5.xlarge": {"spot": 0.5, "on_demand": 2.0}}}
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@b.c")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "state"]):
        subprocess.run(["git", *command], check=True)
    return folder


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that asks a server says yes, and is noted."""
    told: list[str] = []
    monkeypatch.setattr(rent, "_refuse_unready", lambda store: told.append("ready"))
    monkeypatch.setattr(machine, "refuse_open_group", lambda ec2: told.append("closed"))
    monkeypatch.setattr(rent, "_call", lambda *words, **_: told.append(" ".join(words)))
    monkeypatch.setattr(parcel, "send", lambda run, settings: told.append(f"send {run.key('')} {settings}"))
    monkeypatch.setattr(rent, "_launch", lambda run, offer, region: told.append(f"launch {offer.minutes} {region}"))
    monkeypatch.setattr(rent, "_fetch", lambda run: told.append("fetch"))
    monkeypatch.setattr(rent, "_verify", lambda session: told.append("verify"))
    return told


def _rent(*words: str, answer: str = "") -> Any:
    app = typer.Typer()
    app.command()(rent.run)
    return CliRunner().invoke(app, list(words), input=answer)


def test_the_price_is_shown_before_the_question_and_a_no_costs_nothing(root: Path, ready: list[str]) -> None:
    out = _rent("wide", "z_dim=150", answer="n\n")
    assert out.exit_code == 1
    for said in ("wide: z_dim=150", "0.50 EUR an hour by spot", "300 minutes", "2.50 EUR", "in eu-central-1?"):
        assert said in out.output
    assert ready == ["ready", "closed"]


def test_data_go_first_then_the_parcel_then_the_machine_and_then_it_is_looked_for(root: Path, ready: list[str]) -> None:
    assert _rent("wide", "z_dim=150", "--yes", "--hours", "1").exit_code == 0
    assert ready == [
        "ready", "closed", "dvc push", "send runs/wide/ ['z_dim=150']", "launch 60 eu-central-1", "fetch", "verify",
    ]  # fmt: skip


def test_fetching_rents_nothing(root: Path, ready: list[str]) -> None:
    assert _rent("wide", "--fetch").exit_code == 0
    assert ready == ["fetch", "verify"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["wide", "--machine", "g5.xlargo"], "no price of 'g5.xlargo'; did you mean 'g5.xlarge'"),
        (["../wide"], "'../wide' cannot name a run"),
        (["wide", "z_dim"], "'z_dim' is no setting; write key=value"),
        (["wide", "synthesize.size=64"], "synthesize.size changes the data"),
        (["wide", "bbbc021.wells=all"], "bbbc021.wells changes the data"),
    ],
)
def test_what_cannot_be_rented_is_refused_in_one_line(root: Path, words: list[str], said: str) -> None:
    error = _rent(*words).exception
    assert isinstance(error, ParameterError)
    assert said in str(error)


def test_without_a_region_nothing_starts(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert "export AWS_DEFAULT_REGION" in str(_rent("wide").exception)


def test_a_profile_that_is_not_there_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StorageError, match=r"nobody.*check AWS_PROFILE"):
        rent._session()


STORE = Remote("store", "s3://bench/dvc", {})


def test_open_changes_are_refused_but_reports_may_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rent, "_call", lambda *_, **__: "Running stage 'segment':")
    (root / "reports").mkdir()
    (root / "reports" / "new.md").write_text("x")
    with pytest.raises(RentalError, match=r"data are not up to date \(segment\)"):
        rent._refuse_unready(STORE)
    (root / "model.py").write_text("x")
    with pytest.raises(RentalError, match="commit first"):
        rent._refuse_unready(STORE)


def test_a_bucket_that_refuses_and_a_missing_skypilot_say_what_to_do(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rent, "_call", lambda *_, **__: "Running stage 'train':")
    monkeypatch.setattr(rent.bucket, "ask", lambda store: [Check("credentials", "fail", "they have expired")])
    with pytest.raises(StorageError, match="they have expired"):
        rent._refuse_unready(STORE)
    monkeypatch.setattr(rent.bucket, "ask", lambda store: [Check("write", "ok", "")])
    with pytest.raises(RentalError, match="run `make sky`"):
        rent._refuse_unready(STORE)


def test_a_program_that_fails_is_named(root: Path) -> None:
    with pytest.raises(RentalError, match=r"`json\.tool nothing\.json` failed with code"):
        rent._call("json.tool", "nothing.json", quiet=True)


@pytest.fixture
def sky(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that stands for SkyPilot and notes what it is told; the home is empty."""
    program = root / ".venv-sky" / "bin" / "sky"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "$*" >> {root}/told\n')
    program.chmod(0o755)
    (root / "cloud").mkdir()
    (root / "cloud" / "sky.yaml").write_text((ROOT / "cloud" / "sky.yaml").read_text())
    monkeypatch.setenv("HOME", str(root))
    return root


RUN = parcel.Run(None, "bench", "wide")


def test_a_server_with_other_settings_is_refused(sky: Path) -> None:
    with pytest.raises(RentalError, match="sky api stop"):
        rent._launch(RUN, machine.Offer("g5.xlarge", 0.5, 2.0, 1.0, 10.0), "eu-central-1")


def test_the_limit_is_set_when_the_machine_boots(sky: Path) -> None:
    (sky / rent.CONSOLIDATED).parent.mkdir()
    (sky / rent.CONSOLIDATED).touch()
    rent._launch(RUN, machine.Offer("g5.xlarge", 0.5, 2.0, 1.0, 10.0), "eu-central-1")
    config = yaml.safe_load((sky / ".venv-sky" / "sky.yaml").read_text())
    assert config["aws"]["post_provision_runcmd"] == ["shutdown -P +60"]
    assert config["aws"]["security_group_name"] == machine.GROUP
    told = (sky / "told").read_text().splitlines()[-1]
    for word in (
        "jobs launch",
        "--infra aws/eu-central-1",
        "--instance-type g5.xlarge",
        "MORPHOSPACE_MINUTES=60",
        "AWS_REGION=eu-central-1",
    ):
        assert word in told


@pytest.mark.parametrize(("answer", "said"), [(["i-1 (g5.xlarge, running)"], "left in eu-central-1: i-1"), ([], None)])
def test_what_is_left_is_said(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: list[str], said: str | None
) -> None:
    monkeypatch.setattr(machine, "left", lambda ec2: answer)
    if said:
        with pytest.raises(RentalError, match=said):
            rent._verify(rent._session())
    else:
        rent._verify(rent._session())
        assert "No machine is left in eu-central-1" in capsys.readouterr().out


def test_what_cannot_be_verified_is_not_claimed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(ec2: Any) -> list[str]:
        raise MorphospaceError("no right")

    monkeypatch.setattr(machine, "left", refuse)
    with pytest.raises(typer.Exit):
        rent._verify(rent._session())
    assert "could NOT be verified: no right" in capsys.readouterr().err
