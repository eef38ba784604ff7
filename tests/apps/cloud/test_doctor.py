import builtins
import json
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml

from morphospace.apps.cloud import doctor
from morphospace.apps.cloud.server import Server
from morphospace.errors import InputError

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def here(tmp_path: Path, s3: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with our settings and a server that answers them."""
    folder = tmp_path / "repo"
    (folder / ".dvc").mkdir(parents=True)
    shutil.copy2(ROOT / ".dvc" / "config", folder / ".dvc" / "config")
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    given["segment"]["engine"] = "native"
    (folder / "params.yaml").write_text(yaml.safe_dump(given))
    for command in ("init -q", "add -A", "-c user.name=a -c user.email=b commit -qm start"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(logging.getLogger("botocore"), "level", logging.WARNING)
    return folder


def _ask(capsys: pytest.CaptureFixture[str], code: int = 0) -> dict[str, tuple[str, str]]:
    """Return verdict and text by name, from the JSON."""
    if code:
        with pytest.raises(typer.Exit) as ended:
            doctor.run(as_json=True)
        assert ended.value.exit_code == code
    else:
        doctor.run(as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is (code == 0)
    return {c["name"]: (c["verdict"], c["says"]) for c in said["checks"]}


def test_all_is_well(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _ask(capsys)
    assert {verdict for verdict, _ in found.values()} == {"ok"}, found
    assert list(found) == [
        "claims",
        "lock",
        "transfers",
        "git",
        "files",
        "queue",
        "disk",
        "engine",
        "torch",
        "remote",
        "credentials",
        "bucket",
        "write",
    ]


def test_without_a_terminal_each_check_is_a_line(here: Path, s3: Server, capsys: pytest.CaptureFixture[str]) -> None:
    s3.kill()
    with pytest.raises(typer.Exit):
        doctor.run()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert lines[-1].startswith("fail  bucket       nothing answers at")


def test_on_a_terminal_it_is_a_table(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    doctor.run()
    out = capsys.readouterr().out
    assert "\x1b[" in out
    assert "objects can be written" in out


def test_a_wrong_secret_fails_the_command_and_shows_no_secret(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    found = _ask(capsys, code=1)
    assert found["bucket"][0] == "fail"
    assert "hush-hush" not in json.dumps(found)


def test_read_only_leaves_the_bucket_alone(here: Path, s3: Server, capsys: pytest.CaptureFixture[str]) -> None:
    doctor.run(read_only=True)
    assert "nothing to pull before" in capsys.readouterr().out
    assert list((s3.objects / "morphospace").iterdir()) == []


def test_another_remote_can_be_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / ".dvc" / "config.local").write_text("['remote \"other\"']\n    url = s3://other\n")
    with pytest.raises(typer.Exit):
        doctor.run(name="other")
    assert "no bucket other" in capsys.readouterr().out


def test_a_remote_that_is_a_folder_is_not_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / ".dvc" / "config.local").write_text(
        "[core]\n    remote = share\n['remote \"share\"']\n    url = /mnt/share\n"
    )
    assert _ask(capsys)["bucket"] == ("warn", "/mnt/share is no S3 bucket, and was not asked")


def test_mistakes_in_the_files_fail_beside_the_other_checks(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "params.yaml").write_text("seeed: 1\n")
    (here / ".dvc" / "config.local").write_text("[cor]\n    remote = store\n")
    found = _ask(capsys, code=1)
    assert found["git"][0] == "warn"
    assert found["engine"][0] == found["disk"][0] == found["remote"][0] == "fail"
    assert found["torch"][0] == "ok"
    assert found["transfers"][0] == "fail"
    assert "extra keys not allowed @ data['cor']" in found["transfers"][1]


def test_a_missing_cellprofiler_fails_only_when_it_is_chosen(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MORPHOSPACE_CELLPROFILER", "/nowhere")
    assert _ask(capsys)["engine"][0] == "ok"
    text = (here / "params.yaml").read_text()
    (here / "params.yaml").write_text(text.replace("engine: native", "engine: cellprofiler"))
    assert "no CellProfiler at MORPHOSPACE_CELLPROFILER=/nowhere" in _ask(capsys, code=1)["engine"][1]


def test_a_gpu_is_named_and_an_unused_one_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert doctor._torch().says.endswith("there is no GPU")
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    assert doctor._torch().verdict == "warn"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla V100")
    assert doctor._torch()[:2] == ("torch", "ok")
    assert doctor._torch().says.endswith("on Tesla V100")


def test_a_torch_that_does_not_load_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def broken(name: str, *rest: Any) -> Any:
        if name == "torch":
            raise OSError("libcudart.so: cannot open")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", broken)
    found = doctor._torch()
    assert found.verdict == "fail"
    assert "libcudart.so" in found.says


def test_mending_is_asked_for_with_care(here: Path) -> None:
    for given in ({}, {"every": True, "read_only": True}):
        with pytest.raises(InputError, match="give --objects with it, and not --read-only"):
            doctor.run(mend=True, **given)


def test_every_object_of_a_repository_without_a_lock_is_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "dvc.yaml").write_text("stages: {}\n")
    doctor.run(every=True)
    assert "0 of dvc.lock are in the bucket" in capsys.readouterr().out
