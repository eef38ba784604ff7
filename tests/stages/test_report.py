import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from morphospace.errors import InputError
from morphospace.stages import report

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert(1)</script>|x"
PATHS = [
    Path(p)
    for p in (
        "data/dropped.csv",
        "data/similarity.csv",
        "data/budget.csv",
        "data/dose.csv",
        "reports/records",
        "reports/curves",
        "reports/figures",
        "reports/report.html",
        "reports/report.md",
    )
]
HTML, MARKDOWN = PATHS[7:]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    given = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"model": "conv_vae"}
    given = {name: value for name, value in given.items() if name not in {"folder", "bbbc021"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))
    for folder in (*PATHS[4:7], Path("data")):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _fill() -> None:
    Path("data/dropped.csv").write_text(f'Source,Reason,Detail\nW1 B02 1,truncated,"{HOSTILE}"\n')
    Path("data/budget.csv").write_text(
        "stage,seconds,items,unit,items_per_second,cpu_seconds,peak_memory_mb,gb_written,cost_spot,cost_on_demand,"
        'megapixels,device,machine\ntrain,10,100,images,10,20,300,0.1,0.005,0.009,,cpu,"x86_64, 2 cores"\n'
    )
    Path("data/similarity.csv").write_text(
        "split,region,channel,method,metric,value,low,high,n_cells,n_groups\n"
        "test,all,all,model,S,0.9,0.8,0.95,10,2\ntest,all,all,pca,S,0.95,0.9,0.97,10,2\n"
        f'test,inside,all,model,S,0.5,,,10,2\ntest,inside,"{HOSTILE}",model,S,0.6,,,10,2\n'
    )
    metrics = {
        "dataset": "synthetic",
        "S": 0.9,
        "S_low": 0.8,
        "S_high": 0.95,
        "S_pca": 0.95,
        "pca_k": 75,
        "S_black": 0.7,
    }
    metrics |= {"skill_pca": -1, "skill_pca_low": -2, "skill_pca_high": -0.5, "n_cells_test": 10, "n_groups_test": 2}
    Path("reports/records/similarity.json").write_text(json.dumps(metrics))
    Path("reports/records/segment.json").write_text(
        json.dumps({"dataset": "synthetic", "plates": {HOSTILE: {"cells": 3}}})
    )
    Path("reports/curves/history.csv").write_text("epoch,train_loss,validation_loss\n1,5,6\n2,4,5\n")
    for folder, name in [("similarity", "random"), ("segmentation", "P1_<b>_1"), ("odd", "thing")]:
        Path("reports/figures", folder).mkdir()
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(Path("reports/figures", folder, f"{name}.png"))


def test_the_verdict_comes_first_and_hostile_names_stay_text(here: Path) -> None:
    _fill()
    report.run(*PATHS)
    page, text = HTML.read_text(), MARKDOWN.read_text()
    assert "<h1>On synthetic: PCA-75 beats conv_vae: similarity S = 0.9000 [0.8000,\N{NO-BREAK SPACE}0.9500]" in page
    assert text.startswith("# On synthetic: PCA-75 beats conv\\_vae: similarity S = 0.9000")
    assert "<script" not in page
    assert "<script" not in text
    assert page.count("&lt;script&gt;") == 3
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page.replace("http-equiv", "")
    assert "](figures/similarity/random.png)" in text
    assert "x86_64, 2 cores; trained on cpu" in page


def test_equal_inputs_give_equal_bytes(here: Path) -> None:
    _fill()
    report.run(*PATHS)
    first = HTML.read_bytes(), MARKDOWN.read_bytes()
    report.run(*PATHS)
    assert first == (HTML.read_bytes(), MARKDOWN.read_bytes())


def test_a_run_without_any_result_still_gives_a_report(here: Path) -> None:
    report.run(*PATHS)
    assert "was not measured" in HTML.read_text()
    Path("data/dropped.csv").write_text("")
    report.run(*PATHS)
    assert MARKDOWN.exists()


def test_the_commit_and_what_changed_since_are_named(here: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", "params.yaml")
    git("commit", "-q", "-m", "x", "--date", "2020-01-02T03:04:05+00:00")
    report.run(*PATHS)
    assert git("rev-parse", "HEAD") in HTML.read_text()
    assert "<td>nothing</td>" in HTML.read_text()
    Path("params.yaml").write_text(Path("params.yaml").read_text() + "\n# changed\n")
    report.run(*PATHS)
    assert '<th scope="row">changed since the commit</th><td>params.yaml</td>' in HTML.read_text()


def test_a_table_that_is_no_table_is_named(here: Path) -> None:
    Path("data/dropped.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(InputError, match=r"dropped\.csv is not a table"):
        report.run(*PATHS)


@pytest.mark.slow
def test_a_browser_opens_the_page_and_the_network_stays_silent(here: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("chromium is not installed")
    _fill()
    report.run(*PATHS)
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={here / 'profile'}"]
    # Every host name resolves to nothing: a page that needs one would show it in its tree.
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=3000", "--dump-dom"]
    out = subprocess.run([chromium, *flags, HTML.absolute().as_uri()], capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr
    assert "<h1>On synthetic: PCA-75 beats conv_vae" in out.stdout
    assert out.stdout.count("<figure") == 3
    assert "<script" not in out.stdout


def test_fields_taken_whole_are_said_to_be_so(here: Path) -> None:
    given = yaml.safe_load((here / "params.yaml").read_text())
    given["segment"]["engine"] = "field"
    given["synthesize"]["stride"] = 16
    (here / "params.yaml").write_text(yaml.safe_dump(given))
    report.run(*PATHS)
    text = MARKDOWN.read_text()
    assert "none: fields are taken whole" in text
    assert "128 px every 16 px" in text
