"""Fuzzed inputs, kills and load, in short; ``make soak`` is the long version (docs/reliability.md)."""

from pathlib import Path

import fuzz
import kills
import pytest
from checkout import Checkout


@pytest.mark.parametrize("parser", fuzz.PARSERS, ids=lambda p: p.name)
def test_a_spoilt_input_is_read_or_refused_in_words(parser: fuzz.Parser, tmp_path: Path) -> None:
    found = fuzz.fuzz(parser, 500, 1, tmp_path)
    assert found.read + found.refused == 500
    assert found.refused, "nothing was spoilt"


def test_an_input_depends_on_its_number_alone(tmp_path: Path) -> None:
    """So that the number in a message repeats it."""
    seen: list[list[bytes]] = []
    for count in (5, 9):
        seen.append([])
        parser = fuzz.Parser("x", lambda: [b"a,b\n1,2\n"], lambda data, own: seen[-1].append(data))
        fuzz.fuzz(parser, count, 3, tmp_path)
    assert seen[0] == seen[1][:5]


def test_what_is_neither_read_nor_refused_is_found_and_kept(tmp_path: Path) -> None:
    def fails(data: bytes, own: Path) -> None:
        raise KeyError("x")

    with pytest.raises(fuzz.BrokenError, match=r"x 0 of seed 3: KeyError"):
        fuzz.fuzz(fuzz.Parser("x", lambda: [b"abc"], fails), 5, 3, tmp_path)
    assert (tmp_path / "x-0").is_file()


@pytest.mark.slow
def test_a_pipeline_that_was_killed_five_times_ends_in_the_same_bytes(tmp_path: Path) -> None:
    reference: dict[str, Checkout] = {"native": kills.even(tmp_path, "native")}
    killer = kills.Killer(seed=1, longest=15)
    kills.pipeline(killer, reference, 5)
    assert killer.tally.kills == 5
