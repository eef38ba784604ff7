import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from morphospace import files
from morphospace.commands import compare
from morphospace.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
TOY = """
import json, pathlib, sys, yaml
z = yaml.safe_load(open("params.yaml"))["z_dim"]
if z == 13:
    sys.exit("no luck")
pathlib.Path("reports/metrics").mkdir(parents=True, exist_ok=True)
s = {"S": 1 - 1 / z, "S_low": 1 - 1.1 / z, "S_high": 1 - 0.9 / z, "S_legacy": 0.8, "S_mean": 0.7, "S_pca": 0.95}
json.dump(s | {"pca_k": z}, open("reports/metrics/similarity.json", "w"))
"""
DVC = {
    "stages": {
        "toy": {
            "cmd": f"{sys.executable} toy.py",
            "params": ["z_dim"],
            "deps": ["toy.py"],
            "metrics": [{"reports/metrics/similarity.json": {"cache": False}}],
        }
    }
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump({k: v for k, v in given.items() if k not in OTHERS}))
    monkeypatch.chdir(folder)
    return folder


OTHERS = {"folder", "bbbc021"}


def test_a_recorded_answer_is_read_from_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("exp.json").write_text("[]")
    compare.run(Path("out"), json_file=Path("exp.json"))
    assert sorted(p.name for p in Path("out").iterdir()) == [
        files.LIST,
        "experiments.csv",
        "experiments.md",
        "similarity.png",
    ]
    assert "0 experiments" in capsys.readouterr().out


def test_outside_a_repository_the_message_says_so(here: Path) -> None:
    with pytest.raises(InputError, match=r"`dvc exp show` failed: .*not inside of a DVC repository"):
        compare.run(Path("out"))


@pytest.mark.slow
def test_real_experiments_are_compared(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "a")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "a@b.c")

    def run(*command: str, check: bool = True) -> str:
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        out = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert not check or out.returncode == 0, out.stdout + out.stderr
        return out.stdout

    dvc = [sys.executable, "-m", "dvc"]
    Path("toy.py").write_text(TOY)
    Path("dvc.yaml").write_text(yaml.safe_dump(DVC))
    run("git", "init", "-q")
    run(*dvc, "init", "-q")
    run(*dvc, "config", "--local", "core.site_cache_dir", str(here.parent / "site"))
    run(*dvc, "config", "core.analytics", "false")
    run(*dvc, "repro", "-q")
    run("git", "add", "-A")
    run("git", "commit", "-q", "-m", "x")
    run(*dvc, "exp", "run", "-q", "--temp", "-S", "z_dim=150", "-n", "wide")
    run(*dvc, "exp", "run", "-q", "--queue", "-S", "z_dim=300", "-n", "waiting")
    compare.run(Path("out"))
    found = pd.read_csv("out/experiments.csv").set_index("experiment")
    assert found.loc["wide", "S"] == pytest.approx(1 - 1 / 150)
    assert found.loc["waiting", "state"] == "queued"
    assert pd.isna(found.loc["waiting", "S"])
    assert list(found["z_dim"]) == [75, 150, 300]
    run("git", "commit", "-q", "--allow-empty", "-m", "without an experiment")
    run("git", "commit", "-q", "--allow-empty", "-m", "later")
    compare.run(Path("last"))
    assert not {"wide", "waiting"} & set(pd.read_csv("last/experiments.csv")["experiment"])
    asked: list[tuple[str, ...]] = []
    whole = compare._exp_show
    monkeypatch.setattr(compare, "_exp_show", lambda *given: asked.append(given) or whole(*given))
    compare.run(Path("every"), all_commits=True)
    again = pd.read_csv("every/experiments.csv").set_index("experiment")
    assert again.loc["wide"].equals(found.loc["wide"])
    assert again.loc["waiting", "state"] == "queued"
    assert [len(given) for given in asked] == [0, 3]  # the last commit, and the one that experiments began from
    shown = json.loads(run(*dvc, "exp", "show", "--json"))
    assert {e["rev"] for e in shown} >= {"workspace"}
