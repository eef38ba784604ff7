"""`morphospace changes` on real git repositories."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from morphospace.apps.pull_request import command
from morphospace.errors import InputError

WHO = {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
PARAMS = "z_dim: 75\ntrain: {epochs: 8, r_loss_factor: 50000}\n"
SCORES = {"S": 0.986, "S_low": 0.984, "S_high": 0.988, "S_black": 0.971, "S_pca": 0.990, "currency": "EUR"}
LOCK = """
stages:
  train:
    cmd: train
    deps: [{path: src/a.py, md5: '1'}, {path: data/x, md5: '1'}]
    params: {params.yaml: {z_dim: 75}}
    outs: [{path: data/models, md5: '1'}]
  report: {cmd: report, deps: [{path: src/b.py, md5: '1'}]}
"""


class Repository:
    """A git repository in the current folder."""

    def git(self, *arguments: str) -> str:
        out = subprocess.run(["git", *arguments], capture_output=True, text=True, env=os.environ | WHO, check=True)
        return out.stdout.strip()

    def commit(self, **contents: str | bytes | None) -> str:
        """Write, or remove where None; `__` is a slash and the last `_` a point."""
        for key, text in contents.items():
            path = Path(".".join(key.replace("__", "/").rsplit("_", 1)))
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    folder = tmp_path / "repo"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made = Repository()
    made.git("init", "-q", "-b", "main")
    made.commit(
        params_yaml=PARAMS,
        dvc_lock=LOCK,
        reports__metrics__similarity_json=json.dumps(SCORES),
        reports__figures__latent__kl_png=b"one",
        reports__figures__latent__same_png=b"same",
        reports__curves__loss_tsv="1",
    )
    return made


def shown(capsys: pytest.CaptureFixture[str], base: str = "main", head: str = "HEAD", **more: str) -> str:
    command.run(base, head, **more)  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_what_a_branch_changes_is_shown(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    fork = repository.git("rev-parse", "main")
    repository.git("switch", "-q", "-c", "wide")
    head = repository.commit(
        params_yaml=PARAMS.replace("75", "150"),
        dvc_lock=LOCK.replace("z_dim: 75", "z_dim: 150").replace("models, md5: '1'", "models, md5: '2'"),
        reports__metrics__similarity_json=json.dumps(SCORES | {"S": 0.987, "S_high": 0.989}),
        reports__figures__latent__kl_png=b"two",
        reports__curves__loss_tsv="2",
    )
    text = shown(capsys, url="https://github.com/o/r/raw")
    assert text.startswith("### S 0.9860 [0.9840, 0.9880] → 0.9870 [0.9840, 0.9890], inside the interval")
    assert "| `z_dim` | `75` | `150` |" in text
    assert "epochs" not in text
    assert "| `train` | parameters, outputs |" in text
    assert "`report`" not in text
    picture = "reports/figures/latent/kl.png"
    assert f"![before](https://github.com/o/r/raw/{fork}/{picture})" in text
    assert f"![after](https://github.com/o/r/raw/{head}/{picture})" in text
    assert "same.png" not in text
    assert "| `reports/curves/loss.tsv` |" in text
    assert "| `similarity: S` | `0.986` | `0.987` | +0.001 |" in text
    assert "currency" not in text


def test_what_others_put_on_main_is_no_change_of_the_branch(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.git("branch", "quiet")
    repository.commit(params_yaml=PARAMS.replace("75", "999"))
    text = shown(capsys, head="quiet")
    assert "No parameter, metric, stage or picture changed." in text
    assert "999" not in text


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (("src/a.py, md5: '1'", "src/a.py, md5: '2'"), "code (1 file)"),
        (("data/x, md5: '1'", "data/x, md5: '2'"), "data"),
        (("cmd: train", "cmd: train harder"), "command"),
        (("  train:", "  fit:"), "new stage"),
    ],
)
def test_a_stage_says_in_what_its_lock_differs(
    repository: Repository, capsys: pytest.CaptureFixture[str], edit: tuple[str, str], said: str
) -> None:
    repository.commit(dvc_lock=LOCK.replace(*edit))
    text = shown(capsys, "HEAD~1")
    assert f"` | {said} |" in text
    assert ("`train` | removed" in text) == (said == "new stage")


def test_scores_that_were_deleted_are_missed(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.commit(reports__metrics__similarity_json=None)
    text = shown(capsys, "HEAD~1")
    assert text.startswith("### No S: this branch holds no scores, the base has 0.9860 [0.9840, 0.9880]")
    assert "| S | 0.9860 [0.9840, 0.9880] | – |" in text


def test_a_base_from_before_the_first_result_is_compared(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.git("rm", "-q", "-r", ".")
    repository.commit()
    text = shown(capsys, "HEAD", "HEAD~1")
    assert "No parameter" in text  # the empty commit comes later: nothing is a change of its ancestor
    repository.commit(params_yaml=PARAMS, reports__metrics__similarity_json=json.dumps(SCORES))
    assert "nothing to compare it with: the base holds no scores" in shown(capsys, "HEAD~1")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        "\ufeff\x00",
        "NaN",
        "1" * 5000,
        b"\xff\xfe{}",
        "a: &a {b: *a}",
        "? [1, 2]\n: 3",
        "- x",
    ],
    ids=range(9),
)
def test_a_file_that_is_broken_is_named_and_the_rest_is_shown(
    repository: Repository, capsys: pytest.CaptureFixture[str], text: str | bytes
) -> None:
    repository.commit(reports__metrics__train_json=text, params_yaml=text, dvc_lock=text)
    found = shown(capsys, "HEAD~1")
    assert found.startswith("### S 0.9860 [0.9840, 0.9880], unchanged")
    assert "Files that could not be read" in found
    assert "`reports/metrics/train.json at " in found


def test_a_file_that_is_too_deep_is_named(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.commit(reports__metrics__train_json="[" * 100_000)
    assert "`reports/metrics/train.json at " in shown(capsys, "HEAD~1")


def test_dates_and_odd_keys_are_shown(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.commit(params_yaml="day: 2026-11-21\n1: {null: [2.0, .nan]}\n")
    text = shown(capsys, "HEAD~1")
    assert "| `day` | – | `2026-11-21` |" in text
    assert "| `1.null` | – | `[2.0, NaN]` |" in text


def test_a_name_with_a_tab_a_line_feed_and_an_umlaut_is_a_file(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("reports/figures/a\tb\nü.png").write_bytes(b"1")
    repository.commit()
    assert "/reports/figures/a%09b%0A%C3%BC.png)" in shown(capsys, "HEAD~1", url="https://github.com/o/r/raw")


def test_an_experiment_of_dvc_has_a_name(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.git("switch", "-q", "--detach")
    for z in (100, 150):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-11-21T00:00:{z - 99}")
        commit = repository.commit(params_yaml=PARAMS.replace("75", str(z)))
        repository.git("update-ref", f"refs/exps/{z // 10}/beef/wide", commit)
        repository.git("switch", "-q", "--detach", "main")
    assert "| `z_dim` | `75` | `150` |" in shown(capsys, head="wide")
    with pytest.raises(InputError, match="no revision 'beef/wide'"):
        command.run("main", "beef/wide")


def test_a_shallow_clone_says_what_to_fetch(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.git("switch", "-q", "-c", "wide")
    repository.commit(params_yaml="z_dim: 1")
    repository.git("switch", "-q", "main")
    repository.commit(params_yaml="z_dim: 2")
    repository.git("clone", "-q", "--depth=1", "--no-single-branch", f"file://{Path.cwd()}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    with pytest.raises(InputError, match=r"no commit in common here; .*`git fetch --unshallow`"):
        command.run("origin/main", "origin/wide")
    with pytest.raises(InputError, match=r"knows no revision 'main~1' here; bring it with `git fetch"):
        command.run("main~1")


@pytest.mark.parametrize("name", ["nowhere", "", "-x", "--output=/tmp/x", "main:params.yaml", "main..HEAD", "a\nb"])
def test_a_name_that_is_no_revision_is_refused(repository: Repository, name: str) -> None:
    with pytest.raises(InputError, match="git knows no revision"):
        command.run(name)


def test_outside_a_repository_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(InputError, match="not a git repository"):
        command.run("main")


def test_without_git_the_message_says_so(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="git is not installed"):
        command.run("main")


def test_the_text_goes_to_a_file(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    command.run("main", output=Path("new/changes.md"))
    assert capsys.readouterr().out == ""
    assert Path("new/changes.md").read_text().startswith("### S 0.9860")


def test_only_light_libraries_are_imported() -> None:
    """A pull request's job installs them alone (environments/pull-request.txt)."""
    code = "import sys; from morphospace import cli; cli.COMMANDS['changes'].load(); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "torch", "matplotlib", "pydantic", "jinja2", "dvc", "pyarrow"}
    assert heavy & set(out.stdout.split()) == set()
