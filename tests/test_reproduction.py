"""Every id of an original system that is cited has its row in docs/reproduction.md, with a status and real files."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(00\d-\d\db?)` \|(.*)\| `([^`|]+)` \|$", PAGE, flags=re.MULTILINE)
CITED = re.compile(r"\b00[0-4]-\d\db?\b")


def _texts() -> list[Path]:
    folders = ("src", "tests", "docs", "pipelines", "cloud", ".github")
    found = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in {".py", ".md", ".yml", ".yaml"}]
    return [*found, ROOT / "params.yaml", ROOT / "README.md", ROOT / "dvc.yaml"]


def test_every_id_that_is_cited_has_one_row() -> None:
    ids = [row for row, _, _ in ROWS]
    assert len(ids) == len(set(ids))
    cited = {found for path in _texts() for found in CITED.findall(path.read_text(encoding="utf-8"))}
    assert cited - set(ids) == set()
    assert len(cited) > 60


def test_every_row_has_a_status_that_the_page_explains() -> None:
    explained = set(re.findall(r"^\| `(\w[\w ]*)` \| it is", PAGE, flags=re.MULTILINE)) | {"partly"}
    assert {status for _, _, status in ROWS} == explained == {"works", "partly", "different", "not yet"}
    lines = [line for line in PAGE.splitlines() if re.match(r"\| `00\d-", line)]
    assert len(lines) == len(ROWS), "a row without a status"


def test_every_module_that_a_row_names_is_there() -> None:
    named = {path for _, text, _ in ROWS for path in re.findall(r"`((?:\w+/)+\w+\.(?:py|yaml|sh|cppipe))`", text)}
    assert named, "the rows name no file"
    missing = [p for p in named if not ((ROOT / p).exists() or (ROOT / "src" / "morphospace" / p).exists())]
    assert missing == []
