import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml

from morphospace.apps.cloud import doctor, lockfile
from morphospace.errors import StorageError

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")


def _lock(*stages: str) -> bytes:
    def outs(name: str) -> dict[str, object]:
        return {"path": name, "hash": "md5", "md5": "0" * 32, "size": 1}

    made = {"schema": "2.0", "stages": {s: {"cmd": f"make {s}", "outs": [outs(s)]} for s in stages}}
    return yaml.safe_dump(made, sort_keys=False).encode()


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with a committed lock; it stands below another folder of git's, as a monorepo would have it."""
    root = tmp_path / "below"
    (root / ".dvc").mkdir(parents=True)
    (root / "dvc.lock").write_bytes(_lock("a"))
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "start")):
        subprocess.run([*GIT, *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(root)
    return root / "dvc.lock"


@pytest.mark.parametrize("cut", [0, 1, 7, 15, 16, 40, 70, 101, -1])
def test_whatever_a_kill_leaves_dvc_can_read_it_after(lock: Path, cut: int) -> None:
    whole = _lock("a", "b", "c")
    lock.write_bytes(whole[:cut])
    torn = bool(lockfile._fault(whole[:cut]))
    found = lockfile.check()
    assert found.verdict == ("warn" if torn else "ok"), found
    assert not lockfile._fault(lock.read_bytes())
    aside = lock.with_name("dvc.lock.torn-1")
    assert aside.exists() == torn
    if torn:
        assert aside.read_bytes() == whole[:cut]
        assert lock.read_bytes() == _lock("a")
        assert "dvc.lock.torn-1, and the staged one is back: `dvc repro` goes on" in found.says
    assert torn or cut not in (0, 1, 7)


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"[]", b"schema: '2.0'\nstages:\n", b"\xff\xfe", b"a: [", b"\0" * 300]
)
def test_what_dvc_refuses_is_kept_aside_each_time_under_a_name_of_its_own(lock: Path, content: bytes) -> None:
    for number in (1, 2):
        lock.write_bytes(content)
        assert lockfile.check().verdict == "warn"
        assert lock.with_name(f"dvc.lock.torn-{number}").read_bytes() == content


def test_the_newest_good_one_that_git_has_comes_back(lock: Path) -> None:
    lock.write_bytes(_lock("a", "b"))
    subprocess.run([*GIT, "add", "dvc.lock"], cwd=lock.parent, check=True)  # as DVC stages it after a run
    lock.write_bytes(b"")
    assert "the staged one" in lockfile.check().says
    assert lock.read_bytes() == _lock("a", "b")
    lock.write_bytes(b"")
    subprocess.run([*GIT, "add", "dvc.lock"], cwd=lock.parent, check=True)
    subprocess.run([*GIT, "commit", "-qm", "torn"], cwd=lock.parent, check=True)
    assert "the one of commit" in lockfile.check().says  # the last but one
    assert lock.read_bytes() == _lock("a")


def test_without_a_good_one_dvc_begins_anew(lock: Path) -> None:
    subprocess.run(["rm", "-rf", str(lock.parent.parent / ".git")], check=True)
    lock.write_bytes(b"")
    assert "git has no good one" in lockfile.check().says
    assert not lock.exists()
    assert lockfile.check() == ("lock", "ok", "there is no dvc.lock yet")


def test_a_merge_is_left_to_the_person(lock: Path) -> None:
    content = b"<<<<<<< HEAD\n" + _lock("a") + b"=======\n" + _lock("b") + b">>>>>>> other\n"
    lock.write_bytes(content)
    found = lockfile.check()
    assert found.verdict == "fail"
    assert "git checkout --theirs dvc.lock" in found.says
    assert lock.read_bytes() == content


def test_while_dvc_is_at_work_nothing_is_touched(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dvc.lock.DEFAULT_TIMEOUT", 0.06)
    lock.write_bytes(b"")
    with (
        lockfile._alone(lock.parent, "lock", "held"),
        pytest.raises(StorageError, match="a DVC command is at work; ask again"),
    ):
        lockfile.check()
    assert lock.read_bytes() == b""


def test_the_doctor_mends_it_and_says_nothing_when_all_is_well(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor.run(lock=True)
    assert capsys.readouterr().out == ""
    lock.write_bytes(b"")
    with pytest.raises(typer.Exit):
        doctor.run(lock=True, read_only=True)
    assert "`morphospace doctor --lock` brings the last good one back" in " ".join(capsys.readouterr().out.split())
    assert lock.read_bytes() == b""
    doctor.run(lock=True)
    assert "warn" in capsys.readouterr().out
    assert lock.read_bytes() == _lock("a")


@pytest.mark.slow
def test_after_it_dvc_runs_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages ran, only the first is committed; a kill left the lock of the second empty."""
    monkeypatch.chdir(tmp_path)

    def dvc(*arguments: str, check: bool = True) -> str:
        out = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
        assert out.returncode == 0 or not check, out.stderr
        return out.stdout + out.stderr

    subprocess.run([*GIT, "init", "-q"], check=True)
    dvc("init", "-q")
    dvc("config", "--local", "core.site_cache_dir", str(tmp_path / "site"))
    stages = {n: {"cmd": f"echo {n} >> log; echo {n} > {n}", "deps": ["dep"], "outs": [n]} for n in ("one", "two")}
    Path("dep").write_text("1")
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    dvc("repro", "-q", "one")
    subprocess.run([*GIT, "add", "-A"], check=True)
    subprocess.run([*GIT, "commit", "-qm", "one"], check=True)
    dvc("repro", "-q")
    Path("dvc.lock").write_bytes(b"")
    assert "required key not provided" in dvc("status", check=False)
    assert lockfile.check().verdict == "warn"
    assert "is cached - skipping run" in dvc("repro")
    assert Path("log").read_text().split() == ["one", "two"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"read": 1}', b"\xff"])
def test_a_torn_list_of_who_uses_which_file_is_removed(lock: Path, content: bytes) -> None:
    listed = lock.parent / ".dvc" / "tmp" / "rwlock"
    listed.parent.mkdir(exist_ok=True)
    listed.write_bytes(content)
    assert lockfile.claims(mend=False).verdict == "fail"
    assert listed.read_bytes() == content
    found = lockfile.claims()
    assert found.verdict == "warn"
    assert ".dvc/tmp/rwlock is torn, as after a kill while DVC wrote it; it is removed" in found.says
    assert not listed.exists()
    assert lockfile.claims().verdict == "ok"


def test_a_whole_list_of_who_uses_which_file_stays(lock: Path) -> None:
    listed = lock.parent / ".dvc" / "tmp" / "rwlock"
    listed.parent.mkdir(exist_ok=True)
    listed.write_text('{"read": {"data/crops": [{"pid": 1, "cmd": "dvc repro"}]}, "write": {}}')
    assert lockfile.claims().verdict == "ok"
    assert listed.exists()


CUT = """
import sys
from dvc.repo import Repo
from dvc_data.index import collect

whole, seen = collect._collect_from_index, []

def some(*given, **more):
    if seen:
        sys.exit(3)  # where the kill comes
    seen.append(1)
    whole(*given, **more)

collect._collect_from_index = some
getattr(Repo("."), sys.argv[1])()
"""


@pytest.mark.parametrize("verb", ["push", "fetch"])
def test_what_a_transfer_cut_short_had_listed_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """DVC believes a list that a kill cut short: it says that all is there, until the list is forgotten."""
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.chdir(root)

    def dvc(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True, text=True
        ).stdout

    subprocess.run(["git", "init", "-q"], check=True)
    dvc("init", "-q")
    dvc("config", "--local", "core.site_cache_dir", str(tmp_path / "site"))
    dvc("remote", "add", "-q", "-d", "store", str(tmp_path / "store"))
    for name in ("a", "b", "c"):
        (root / name).write_text(name)
    dvc("add", "-q", "a", "b", "c")
    if verb == "fetch":
        dvc("push", "-q")
        shutil.rmtree(root / ".dvc/cache/files")
    assert lockfile.transfers().says == "no push or pull was cut short"
    assert subprocess.run([sys.executable, "-c", CUT, verb], check=False, capture_output=True).returncode == 3
    assert lockfile.transfers(mend=False).verdict == "warn"
    with lockfile._alone(root, "lock", "it"):  # as a push has it while it runs
        assert lockfile.transfers().says == "a DVC command is at work, and may be transferring"
    assert lockfile.transfers().verdict == "ok"
    assert "3 files" in dvc(verb)
    assert lockfile.transfers().says == "no push or pull was cut short"
