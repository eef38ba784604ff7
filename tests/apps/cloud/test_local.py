import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from morphospace.apps.cloud import local
from morphospace.apps.cloud.remote import Remote
from morphospace.errors import InputError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit, whose lock names a file of 3 GB in the cache and a folder of 4 GB that is not."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    outs = [{"md5": "ab12", "size": 3 * 10**9, "path": "a"}, {"md5": "cd34.dir", "size": 4 * 10**9, "path": "b"}]
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": {"s": {"cmd": "true", "outs": outs}, "t": {}}}))
    (tmp_path / ".dvc" / "cache" / "files" / "md5" / "ab").mkdir(parents=True)
    (tmp_path / ".dvc" / "cache" / "files" / "md5" / "ab" / "12").write_bytes(b"12345")
    (tmp_path / ".dvc" / "config").write_text("")
    for command in ("init -q", "add dvc.lock .dvc/config", "-c user.name=a -c user.email=b commit -qm start"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_repository_names_its_commit(root: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True).stdout
    assert local.git(root) == ("git", "ok", f"commit {head.strip()}")


def test_results_that_are_not_committed_are_named(root: Path) -> None:
    (root / "dvc.lock").write_text("{}")
    (root / "params.yaml").write_text("{}")
    (root / "note.txt").write_text("")
    found = local.git(root)
    assert found.verdict == "warn"
    assert "not committed: dvc.lock, params.yaml; a colleague pulls" in found.says


def test_a_repository_without_a_commit_fails(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert local.git(tmp_path).verdict == "fail"
    assert "no commit" in local.git(tmp_path).says


def test_a_folder_without_git_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "no git repository; `git init`" in local.git(tmp_path).says


def test_a_machine_without_git_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert local.git(tmp_path).says.startswith("git is not installed")


def test_sizes_are_those_of_the_lock_and_of_the_cache(root: Path) -> None:
    assert local.measure(root, root / ".dvc" / "cache") == (7 * 10**9, 4 * 10**9, 5)


@pytest.mark.parametrize(
    ("free", "verdict", "says"),
    [(8, "ok", "8.0 GB free"), (5, "warn", "another version"), (3, "fail", "4.0 GB of them are to be pulled")],
)
def test_the_disk_must_hold_what_is_to_come(
    root: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str, says: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free * 10**9))
    found = local.disk(root)
    assert found.verdict == verdict
    assert says in found.says


def test_a_repository_before_its_first_run_needs_nothing(root: Path) -> None:
    (root / "dvc.lock").unlink()
    assert local.disk(root).verdict == "ok"


def test_a_lock_with_a_conflict_is_named(root: Path) -> None:
    (root / "dvc.lock").write_text("<<<<<<< HEAD\nstages: {\n=======\n")
    with pytest.raises(InputError, match=r"dvc.lock cannot be read; after a merge"):
        local.disk(root)


@pytest.mark.parametrize("content", [b"", b"[]", b"schema: '2.0'", b"stages: [1]", b"\xff", b"stages: {a: 1}"])
def test_a_torn_lock_names_the_command_that_mends_it(root: Path, content: bytes) -> None:
    (root / "dvc.lock").write_bytes(content)
    with pytest.raises(InputError, match="after a kill, `morphospace doctor --lock`"):
        local.disk(root)


def test_a_remote_that_does_not_verify_is_a_warning(root: Path) -> None:
    found = local.settings(Remote("store", "s3://b/dvc", {"verify": False}), root)
    assert found[:2] == ("remote", "warn")
    assert found.says.endswith("`dvc remote modify store verify true`")


def test_secrets_that_git_would_publish_fail(root: Path) -> None:
    (root / ".dvc" / "config").write_text("['remote \"store\"']\n    url = s3://b\n    access_key_id = AKIA\n")
    found = local.settings(Remote("store", "s3://b", {"verify": True}), root)
    assert found[:2] == ("remote", "fail")
    assert "store.access_key_id" in found.says


def test_a_good_remote_is_named(root: Path) -> None:
    assert local.settings(Remote("store", "s3://b", {"verify": True}), root).verdict == "ok"


@pytest.fixture
def written(root: Path) -> Path:
    """The repository, with a folder that the cache lists, and one of figures that git knows."""
    cache = root / ".dvc/cache/files/md5/ef"
    cache.mkdir()
    (cache / "56.dir").write_text('[{"md5": "00", "relpath": "P1.zip"}, {"md5": "01", "relpath": "deep/P2.zip"}]')
    outs = [{"md5": "ef56.dir", "nfiles": 2, "path": "crops"}, {"md5": "aa.dir", "nfiles": 1, "path": "figures"}]
    outs += [{"md5": "bb.dir", "nfiles": 1, "path": "never-pulled"}]
    (root / "dvc.lock").write_text(yaml.safe_dump({"stages": {"s": {"outs": outs}}}))
    for name in ("crops/P1.zip", "crops/deep/P2.zip", "figures/a.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    subprocess.run(["git", "add", "figures"], cwd=root, check=True)
    return root


def test_what_the_pipeline_wrote_is_no_stranger(written: Path) -> None:
    for junk in ("crops/.DS_Store", "figures/Thumbs.db"):
        (written / junk).touch()
    assert local.strangers(written).verdict == "ok"


@pytest.mark.parametrize("name", ["crops/mine.tif", "crops/deep/mine.tif", "figures/mine.png"])
def test_a_persons_file_in_a_folder_of_the_pipeline_is_named(written: Path, name: str) -> None:
    (written / name).touch()
    found = local.strangers(written)
    assert found.verdict == "fail"
    assert found.says.startswith(f"{name}: not written by the pipeline, and DVC deletes the folder")
    (written / "crops" / "a.tif").touch()
    assert local.strangers(written).says.startswith("crops/a.tif and 1 more: not written by the pipeline")
