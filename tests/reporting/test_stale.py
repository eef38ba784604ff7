import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from morphospace.reporting import contents, page, stale

ROOT = Path(__file__).resolve().parents[2]
NAMES = [
    "synthetic",
    "bbbc021: Week1_22123, negcon",
    "folder: may_2020/images",
    "folder: <b>&\"'/a on b",
    "folder: [x](y)*",
]


def _write(dataset: str, folder: Path) -> Path:
    """Write a report with scores, and its page."""
    scores = {"S": 0.987, "S_low": 0.98, "S_high": 0.99, "S_pca": 0.99, "pca_k": 75, "S_black": 0.97}
    whole = contents.build(contents.Inputs(metrics={"similarity": scores}), dataset, "conv_vae")
    (folder / "report.html").write_text(page.to_html(whole), encoding="utf-8")
    (folder / "report.md").write_text(page.to_markdown(whole, folder), encoding="utf-8")
    return folder / "report.md"


def _texts(report: Path) -> tuple[str, str]:
    return report.read_text(encoding="utf-8"), report.with_suffix(".html").read_text(encoding="utf-8")


@pytest.mark.parametrize("dataset", NAMES)
def test_the_first_line_names_the_data_set(tmp_path: Path, dataset: str) -> None:
    text, html = _texts(_write(dataset, tmp_path))
    assert text.splitlines()[0].startswith(f"# On {page.escape_markdown(dataset)}: conv\\_vae")
    assert str(stale.escape(f"morphospace report: conv_vae on {dataset}")) in html


@pytest.mark.parametrize("before", NAMES)
@pytest.mark.parametrize("now", NAMES)
def test_a_report_gives_way_to_another_data_set_and_to_no_other_run(tmp_path: Path, before: str, now: str) -> None:
    report = _write(before, tmp_path)
    written = _texts(report)
    named = stale.give_way(report, "mae", now, "fetch")
    if now == before:
        assert (named, _texts(report)) == (None, written)
        return
    for text in _texts(report):
        assert "0.987" not in text
        assert "No result on" in text
    assert f"# No result on {page.escape_markdown(now)} yet" in report.read_text(encoding="utf-8")
    noted = _texts(report)
    assert stale.give_way(report, "mae", now, "segment") is None  # the stages that follow find the note
    assert _texts(report) == noted
    assert stale.give_way(report, "mae", before, "index") is not None  # back again: a note, and no old number


def test_a_report_that_names_none_gives_way_and_one_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert stale.give_way(tmp_path / "report.md", "mae", "synthetic", "fetch") is None
    assert not list(tmp_path.iterdir())
    (tmp_path / "report.md").write_bytes(b"# S 0.99 \xff\n")
    assert stale.give_way(tmp_path / "report.md", "mae", "synthetic", "fetch") == ""
    assert "another data set" in (tmp_path / "report.md").read_text()
    assert not (tmp_path / "report.html").exists()


def test_the_committed_report_is_known_by_its_data_set() -> None:
    assert stale._named(ROOT / "reports/report.md") == "synthetic"


def test_a_stage_that_fails_leaves_no_report_of_another_data_set(tmp_path: Path) -> None:
    """As `dvc repro` calls it, with the option of dvc.yaml."""
    (tmp_path / "reports").mkdir()
    _write("synthetic", tmp_path / "reports")
    given = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"dataset": "folder"}
    given["folder"]["root"] = "no/such"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))
    called = yaml.safe_load((ROOT / "dvc.yaml").read_text())["vars"][0]["stage"].split()
    command = [sys.executable, *called[called.index("-m") :], "fetch", "raw", "t.json"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert out.returncode == 1
    assert "reports/report.md was the report of synthetic" in " ".join(out.stderr.split())
    assert (tmp_path / "reports/report.md").read_text().startswith("# No result on folder: no/such yet")
    assert "0.987" not in (tmp_path / "reports/report.html").read_text()
