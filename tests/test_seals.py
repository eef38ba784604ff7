"""What is kept is used while it is as it was written, and made anew otherwise."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from morphospace import seals

CONTENT = bytes(range(256)) * 3


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "BLOCK", 100)


def maker(calls: list[Path]) -> Callable[[Path], None]:
    def make(aside: Path) -> None:
        calls.append(aside)
        if aside.is_dir():
            (aside / "a").mkdir()
            (aside / "a" / "b.bin").write_bytes(CONTENT)
            (aside / "c.txt").write_text("c")
        else:
            aside.write_bytes(CONTENT)

    return make


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_whole_is_made_once(tmp_path: Path, folder: bool, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[Path] = []
    for _ in range(3):
        assert seals.kept(tmp_path / "x", maker(calls), folder) == tmp_path / "x"
    assert len(calls) == 1
    assert not caplog.records


DAMAGE = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, len(CONTENT) - 1)),
    st.tuples(st.just("grown"), st.integers(1, 300)),
    st.tuples(st.just("flipped"), st.integers(0, 8 * len(CONTENT) - 1)),
    st.tuples(st.just("replaced"), st.sampled_from([b"Aborted.", b"", b"\0" * len(CONTENT)])),
)


def damaged(how: str, where: int | bytes) -> bytes:
    if isinstance(where, bytes):
        return where
    if how == "cut":
        return CONTENT[:where]
    if how == "grown":
        return CONTENT + b"\0" * where
    whole = bytearray(CONTENT)
    whole[where // 8] ^= 1 << where % 8
    return bytes(whole)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damage=DAMAGE, folder=st.booleans())
def test_any_damage_is_noticed_and_said_and_what_is_kept_is_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: tuple[str, int | bytes], folder: bool
) -> None:
    path = tmp_path / f"kept-{folder}"
    seals.kept(path, maker([]), folder)
    inside = path / "a" / "b.bin" if folder else path
    inside.write_bytes(damaged(*damage))
    caplog.clear()
    calls: list[Path] = []
    seals.kept(path, maker(calls), folder)
    assert len(calls) == 1
    assert inside.read_bytes() == CONTENT
    assert f"{path} is not as it was written (" in caplog.text


def test_the_message_says_what_is_wrong(tmp_path: Path) -> None:
    path = seals.kept(tmp_path / "x", maker([]))
    assert seals.fault(path) == ""
    path.write_bytes(CONTENT[:7])
    assert seals.fault(path) == "7 bytes of 768"
    path.write_bytes(CONTENT[:150] + b"!" + CONTENT[151:])
    assert seals.fault(path) == "other bytes in block 2 of 8"
    folder = seals.kept(tmp_path / "f", maker([]), folder=True)
    (folder / "later").write_bytes(b"is no matter")
    assert seals.fault(folder) == ""
    (folder / "c.txt").unlink()
    assert seals.fault(folder) == "c.txt is missing"
    (folder / seals.SUFFIX).unlink()
    assert seals.fault(folder) == "it has no seal"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"": "x"}', '{"": []}', "null", '{"": [768, 1]}'])
def test_a_damaged_seal_counts_as_damage(tmp_path: Path, text: str) -> None:
    path = seals.kept(tmp_path / "x", maker([]))
    path.with_name("x.seal").write_text(text)
    assert not seals.intact(path)
    calls: list[Path] = []
    seals.kept(path, maker(calls))
    assert len(calls) == 1
    assert seals.intact(path)


def test_what_could_not_be_made_leaves_nothing_that_is_believed(tmp_path: Path) -> None:
    def fail(aside: Path) -> None:
        aside.write_bytes(b"half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        seals.kept(tmp_path / "x", fail)
    assert not seals.intact(tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_what_has_no_seal_is_believed_only_where_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    assert seals.intact(tmp_path / "x", unsealed=True)
    assert not seals.intact(tmp_path / "x")
    seals.seal(tmp_path / "x")
    assert seals.intact(tmp_path / "x")
    seals.remove(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
