import errno
import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morphospace import files
from morphospace.errors import DiskError, InputError


@pytest.mark.parametrize("name", ["Week1_22123", "B02", "s-1.a"])
def test_ordinary_names_are_safe(name: str) -> None:
    assert files.is_safe_name(name)


@pytest.mark.parametrize(
    "name", ["", "..", "a..b", "../up", "a/b", ".hidden", "a b", "naïve", "a\0", "x" * 101, "-x", "a\n"]
)
def test_names_that_could_leave_a_folder_are_not_safe(name: str) -> None:
    assert not files.is_safe_name(name)


@given(st.text())
def test_a_safe_name_joined_to_a_folder_stays_in_it(name: str) -> None:
    if files.is_safe_name(name):
        assert os.path.normpath(f"/folder/{name}") == f"/folder/{name}"


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with files.replacing(target) as aside:
        aside.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]
    assert target.stat().st_mode & 0o777 == 0o666 & ~files._umask()


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half() -> None:
        with files.replacing(target) as aside:
            aside.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_half()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_whole_and_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for content in ("one", "two"):
        with files.replacing_folder(target) as aside:
            (aside / content).touch()
        assert [p.name for p in target.iterdir()] == [content]
    with pytest.raises(RuntimeError, match="stop"), files.replacing_folder(target):
        raise RuntimeError("stop")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    assert [p.name for p in target.iterdir()] == ["two"]


def test_json_has_no_nan_and_takes_numpy(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": float("nan"), "b": np.float32(0.5), "c": [np.int64(3), float("inf")], 1: True})
    assert json.loads(path.read_text()) == {"a": None, "b": 0.5, "c": [3, None], "1": True}
    assert files.read_json(path)["b"] == 0.5


def test_json_that_is_missing_or_broken_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.json is missing"):
        files.read_json(tmp_path / "gone.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"bad\.json is not JSON"):
        files.read_json(tmp_path / "bad.json")


def test_a_fingerprint_follows_content_and_names_but_not_places(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a").write_text("same")
    one, two = (files.fingerprint({"z": 1}, tmp_path / p) for p in ("one", "two"))
    assert one == two
    (tmp_path / "two" / "a").write_text("other")
    assert files.fingerprint({"z": 1}, tmp_path / "two") != one
    assert files.fingerprint({"z": 2}, tmp_path / "one") != one
    assert files.fingerprint("ab", "c") != files.fingerprint("a", "bc")


def test_scratch_lies_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MORPHOSPACE_SCRATCH", str(tmp_path / "s"))
    assert files.scratch("train", "abc") == tmp_path / "s" / "train" / "abc"
    assert (tmp_path / "s" / "train" / "abc").is_dir()
    assert "made by morphospace" in (tmp_path / "s" / "train" / "CACHEDIR.TAG").read_text()
    (tmp_path / "s" / "mine").mkdir()
    files.scratch("mine", "abc")
    assert not (tmp_path / "s" / "mine" / "CACHEDIR.TAG").exists()  # it was there: `make clean` leaves it


def test_jobs_are_counted_or_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MORPHOSPACE_JOBS", "3")
    assert files.jobs() == 3
    monkeypatch.setenv("MORPHOSPACE_JOBS", "none")
    assert files.jobs() == len(os.sched_getaffinity(0))


def test_a_lock_is_held_by_one_at_a_time_and_the_wait_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.db"
    said = r"has held .*x\.db\.lock for 0\.1 s"
    with files.alone(path, 0), pytest.raises(TimeoutError, match=said), files.alone(path, 0.1):
        pytest.fail("two were inside")
    with files.alone(path, 0):
        pass


def test_the_repository_is_the_one_that_dvc_names_or_the_nearest_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "repository" / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(inner)
    assert files.repository() == inner.resolve()
    (tmp_path / "repository" / ".dvc").mkdir()
    assert files.repository() == (tmp_path / "repository").resolve()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert files.repository() == tmp_path


def test_a_listed_folder_replaces_what_it_wrote_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "out"
    for content in ("one", "two"):
        with files.replacing_folder(target, listed=True) as aside:
            (aside / "deep").mkdir()
            (aside / "deep" / content).write_text(content)
            (aside / "a.txt").touch()
        assert sorted(p.name for p in target.rglob("*")) == sorted([files.LIST, "a.txt", "deep", content])
    for name in (".DS_Store", "deep/Thumbs.db"):
        (target / name).touch()
    files.require_own(target)
    (target / "deep" / "mine.tif").write_text("mine")
    (target / "link").symlink_to(tmp_path)
    said = r"out holds 2 files that morphospace did not write there \(first: deep/mine"
    with pytest.raises(InputError, match=said), files.replacing_folder(target, listed=True):
        pytest.fail("it began")
    assert (target / "deep" / "mine.tif").read_text() == "mine"


def test_a_file_that_a_person_adds_while_a_listed_folder_is_written_is_kept(tmp_path: Path) -> None:
    def write() -> None:
        with files.replacing_folder(tmp_path / "out", listed=True) as aside:
            (aside / "a").touch()
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "mine").touch()

    with pytest.raises(InputError, match="mine"):
        write()
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "mine"]


def test_a_folder_without_a_list_or_a_file_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    files.require_own(tmp_path / "out")  # empty
    (tmp_path / "out" / "a").touch()
    with pytest.raises(InputError, match="holds 1 file that"):
        files.require_own(tmp_path / "out")
    (tmp_path / "out" / files.LIST).write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="holds 1 file that"):
        files.require_own(tmp_path / "out")
    with pytest.raises(InputError, match="is a file, where a folder is to be written"):
        files.require_own(tmp_path / "out" / "a")


def test_a_folder_that_links_to_another_disk_stays_there(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "large")
    with files.replacing_folder(tmp_path / "out") as aside:
        (aside / "a").touch()
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "large" / "a").exists()


_WRITER = """
import sys, time
from pathlib import Path
from morphospace import files
what = files.replacing_folder if sys.argv[2] == "folder" else files.replacing
with what(Path(sys.argv[1])) as aside:
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path: Path, what: str) -> None:
    mine = tmp_path / ".crops.original"  # a hidden file of a person's, named like one of `tempfile`
    mine.touch()
    command = [sys.executable, "-c", _WRITER, str(tmp_path / "crops"), what]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "writing\n"
        writers[0].kill()
        writers[0].wait()
        assert len(list(tmp_path.glob(".crops.aside-*"))) == 2
        with files.replacing(tmp_path / "other.txt") as aside:
            aside.touch()
        assert len(list(tmp_path.glob(".crops.aside-*"))) == 1
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    files._swept.clear()
    with files.replacing(tmp_path / "other.txt"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == [".crops.original", "other.txt"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "x"),
            r"^a\.txt: no space left on device; [\d,]+ bytes are free in .*, it needs more: make",
        ),
        (
            OSError("196608 requested and 22424 written"),
            r"^a\.txt: 196608 requested and 22424 written; [\d,]+ bytes are",
        ),
        (OSError(errno.EDQUOT, "x"), r"^a\.txt: disk quota exceeded; [\d,]+ bytes are free"),
        (OSError(errno.EROFS, "x", "/b"), "^/b: read-only file system; see who may write in /"),
        (PermissionError(errno.EACCES, "x", b"/b/c"), "^/b/c: permission denied; see who may write in /"),
        (OSError(errno.ENAMETOOLONG, "x"), r"^a\.txt: file name too long"),
        (RuntimeError("lance error: IO: No space left on device (os error 28)"), r"^a\.txt: no space left on device"),
        (sqlite3.OperationalError("database or disk is full"), r"^a\.txt: database or disk is full; [\d,]+ bytes"),
        (sqlite3.OperationalError("attempt to write a readonly database"), r"^a\.txt: attempt to write"),
    ],
)
def test_what_a_disk_refuses_is_one_line(error: Exception, said: str) -> None:
    found = files.disk_error(error, Path("a.txt"))
    assert re.search(said, str(found)), str(found)
    assert "\n" not in str(found)


def test_what_is_said_of_a_disk_is_found_through_errors_around_it_and_nothing_else_is() -> None:
    around = RuntimeError("saving failed")
    around.__cause__ = OSError(errno.ENOSPC, "x", "/b")
    assert str(files.disk_error(around)).startswith("/b: no space left on device")
    bug = ValueError("a bug")
    bug.__context__, bug.__suppress_context__ = OSError(errno.EACCES, "x"), True
    assert files.disk_error(bug) is None
    assert files.disk_error(FileNotFoundError(errno.ENOENT, "x", "/b")) is None
    assert files.disk_error(InputError("a.zip: Permission denied")) is None
    assert str(files.disk_error(RuntimeError("x: Disk quota exceeded"))).startswith("x: Disk quota exceeded; make room")


def test_a_file_in_a_folder_that_is_written_is_named_as_it_would_have_been(full: Path) -> None:
    with (
        pytest.raises(
            DiskError, match=r"full/out/deep/a\.npy: \d+ requested and \d+ written; .* free in \S*full, it had"
        ),
        files.replacing_folder(full / "out") as folder,
        files.replacing(folder / "deep" / "a.npy") as aside,
    ):
        np.save(aside, np.zeros(2 << 17))


@pytest.mark.parametrize("folder", [False, True])
def test_a_full_disk_says_what_is_free_and_what_was_written_and_leaves_nothing(full: Path, folder: bool) -> None:
    said = r"out: no space left on device; [\d,]+ bytes are free in .*, it had [\d,]+ bytes and needs more"
    what = files.replacing_folder if folder else files.replacing
    with pytest.raises(DiskError, match=said), what(full / "out") as aside:
        (aside / "a" if folder else aside).write_bytes(bytes(2 << 20))
    assert list(full.iterdir()) == []


def test_a_read_only_disk_is_named(full: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(full)], check=True)
    for write in (lambda: files.write_json(full / "a.json", 1), lambda: files.write_json(full / "b" / "a.json", 1)):
        with pytest.raises(DiskError, match=r"(a\.json|b): read-only file system; see who may write in"):
            write()
    with pytest.raises(DiskError, match="read-only file system"), files.alone(full / "x"):
        pytest.fail("it was locked")


def test_a_name_that_is_too_long_or_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="file name too long"):
        files.write_json(tmp_path / f"{'a' * 300}.json", 1)
    (tmp_path / "a").touch()
    for below in ("a/b.json", "a/b/c.json"):
        with pytest.raises(DiskError, match=r"(file exists|not a directory); a file stands"):
            files.write_json(tmp_path / below, 1)


def test_a_scratch_folder_that_cannot_be_made_is_named(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(full)], check=True)
    monkeypatch.setenv("MORPHOSPACE_SCRATCH", str(full / "s"))
    with pytest.raises(DiskError, match="read-only file system"):
        files.scratch("train", "abc")
