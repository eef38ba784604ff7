import json
from pathlib import Path

import boto3
import pytest

from morphospace.apps.cloud import objects
from morphospace.apps.cloud.objects import compare
from morphospace.apps.cloud.remote import Remote
from morphospace.apps.cloud.server import Server

FILE, LIST, ONE, TWO = "aa" * 16, "bb" * 16 + ".dir", "cc" * 16, "dd" * 16
WHOLE = {FILE: 3, ONE: 4, TWO: 5}


def _put(folder: Path, name: str, content: bytes) -> None:
    path = folder / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A cache with a file of 3 bytes and a folder of files of 4 and 5."""
    folder = tmp_path / ".dvc" / "cache" / "files" / "md5"
    for name, size in WHOLE.items():
        _put(folder, name, b"." * size)
    _put(folder, LIST, json.dumps([{"md5": ONE, "relpath": "1"}, {"md5": TWO, "relpath": "2"}]).encode())
    return folder


def _sizes(kept: Path) -> dict[str, int]:
    return WHOLE | {LIST: (kept / LIST[:2] / LIST[2:]).stat().st_size}


def test_a_bucket_that_equals_the_cache_is_whole(kept: Path) -> None:
    assert compare([FILE, LIST], kept, _sizes(kept)) == ({FILE, LIST, ONE, TWO}, set(), set(), set(), set())


def test_what_was_never_pushed_is_left_to_the_push(kept: Path) -> None:
    found = compare([FILE, LIST], kept, {})
    assert (found.unsent, found.spoilt) == ({FILE, LIST}, set())


def test_a_torn_file_and_a_lost_member_are_spoilt_with_their_list(kept: Path) -> None:
    sizes = _sizes(kept) | {FILE: 2}
    del sizes[TWO]
    found = compare([FILE, LIST], kept, sizes)
    assert (found.spoilt, found.lists, found.absent) == ({FILE, TWO}, {LIST}, set())
    assert found.whole == {LIST, ONE}


def test_what_this_cache_cannot_replace_is_said(kept: Path) -> None:
    sizes = _sizes(kept)
    del sizes[TWO]
    (kept / TWO[:2] / TWO[2:]).unlink()
    assert compare([LIST], kept, sizes).absent == {TWO}


def test_a_folder_that_was_never_pulled_is_judged_by_its_list_alone(tmp_path: Path) -> None:
    assert compare([LIST], tmp_path, {LIST: 9}).whole == {LIST}


@pytest.mark.parametrize("mend", [False, True])
def test_nothing_is_deleted_that_cannot_be_replaced(
    kept: Path, tmp_path: Path, s3: Server, monkeypatch: pytest.MonkeyPatch, mend: bool
) -> None:
    """The bucket's only copy of the list stays, even when the user asks to mend."""
    (tmp_path / ".dvc" / "config").write_text("")
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("s3")  # boto3.client would remember the keys of another test
    for name, size in _sizes(kept).items():
        if name != TWO:
            client.put_object(Bucket="morphospace", Key=f"dvc/files/md5/{name[:2]}/{name[2:]}", Body=b"." * size)
    (kept / TWO[:2] / TWO[2:]).unlink()
    monkeypatch.setattr(objects, "_outputs", lambda root: iter([FILE, LIST]))
    found = objects.check(Remote("store", "s3://morphospace/dvc", {}), tmp_path, mend)
    assert found.verdict == "fail"
    assert "where the cache has them, not here" in found.says
    assert len([p for p in s3.objects.rglob("*") if p.is_file()]) == 3
