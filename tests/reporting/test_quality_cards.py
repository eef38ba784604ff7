from morphospace.reporting import quality_cards
from morphospace.reporting.page import Table, Text

PLATES = {"median": 3.0, "as_named": 3, "look_swapped": 0, "unclear": 0, "too_few_nuclei": 0}
FIELDS = {"examined": 9, "doubtful": 0, "doubts": {"cells_without_an_edge": 0}, "plates": {}}


def text(blocks: list[object]) -> str:
    return " ".join(block.text for block in blocks if isinstance(block, Text))


def test_channels_as_named_are_a_quiet_line_with_their_plates() -> None:
    found = quality_cards.stains({"DNA and Actin": PLATES})
    assert text(found) == "No two channels look exchanged."
    assert isinstance(found[1], Table)
    assert found[1].rows == [["DNA and Actin", "3", "3", "0", "0", "0"]]
    assert not found[1].marked


def test_exchanged_channels_are_loud_and_say_what_to_do() -> None:
    swapped = PLATES | {"as_named": 1, "look_swapped": 2, "median": -2.0}
    found = quality_cards.stains({"DNA and Actin": PLATES, "Tubulin and Actin": swapped})
    assert "CHANNELS LOOK EXCHANGED: Tubulin and Actin on 2 plates" in text(found)
    assert "folder.channels" in text(found)
    assert isinstance(found[1], Table)
    assert found[1].marked == [1]


def test_what_was_not_judged_is_not_called_right() -> None:
    assert "not measured" in text(quality_cards.stains(None))
    assert "was not judged" in text(quality_cards.stains({}))
    assert "not measured" in text(quality_cards.doubts(None))
    assert "not measured" in text(quality_cards.doubts(FIELDS | {"examined": 0}))


def test_doubtful_fields_are_counted_with_their_plates_and_what_each_doubt_means() -> None:
    assert "all 9 fields" in text(quality_cards.doubts(FIELDS))
    some = {"doubtful": 4, "doubts": {"cells_without_an_edge": 4, "cells_end_at_their_nuclei": 1}}
    found = quality_cards.doubts(FIELDS | some | {"plates": {"P1": 1, "P2": 3}})
    assert "OF 4 OF 9 FIELDS IS DOUBTFUL, most of them on P2 (3), P1 (1)" in text(found)
    assert isinstance(found[1], Table)
    assert [row[:2] for row in found[1].rows] == [["cells without an edge", "4"], ["cells end at their nuclei", "1"]]
    assert all(row[2] for row in found[1].rows)
