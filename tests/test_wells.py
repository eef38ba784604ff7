"""A well has one name in whatever spelling; two wells never meet; what names no well keeps its name, spelt one way."""

import string

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphospace import schema, wells
from morphospace.errors import InputError

PLACES = [(row, column) for row in range(32) for column in range(48)]
LETTERS = [*string.ascii_uppercase, *(f"A{letter}" for letter in "ABCDEF")]
SPELLINGS = (
    "{letters}{number}",
    "{letters}{number:02d}",
    "{lower}{number:03d}",
    "{letters}-{number:02d}",
    "{letters} - {number:02d}",
    "{letters}_{number}",
    "{letters}\u2013{number:02d}",  # a word processor's dash
    " {lower} {number} ",
    "{letters}/{number:02d}",
    "Well {letters}{number:02d}",
    "well_{lower}{number}",
    "r{row:02d}c{number:02d}",
    "R{row}C{number}",
    "r{row:03d}c{number:03d}",
    "R{row:02d}-C{number:02d}",
    "Row {row}, Column {number}",
    "row{row}col{number}",
    "Row {letters} Col {number}",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_each_of_1536_wells_has_one_name_in_every_spelling_and_no_other_has_it(spelling: str) -> None:
    said = [spelling.format(letters=LETTERS[r], lower=LETTERS[r].lower(), row=r + 1, number=c + 1) for r, c in PLACES]
    assert [wells.place(text) for text in said] == PLACES
    assert [wells.same(text) for text in said] == [f"{LETTERS[r]}{c + 1:02d}" for r, c in PLACES]
    assert len({wells.key(text) for text in said}) == 1536


def test_each_of_1536_wells_is_read_from_row_and_column() -> None:
    rows: tuple[list[str], ...] = (LETTERS, [x.lower() for x in LETTERS], [str(i) for i in range(1, 33)])
    rows += ([f"{i:02d}" for i in range(1, 33)], [f"R{i:02d}" for i in range(1, 33)], [f"Row {x}" for x in LETTERS])
    for row in rows:
        for column in ("{}", "{:02d}", "{}.0", "C{:02d}", "Col {}"):
            found = [wells.joined(row[r], column.format(c + 1)) for r, c in PLACES]
            assert found == [wells.name(r, c) for r, c in PLACES]


def test_row_1_column_11_and_row_11_column_1_are_two_wells() -> None:
    assert (wells.joined("1", "11"), wells.joined("11", "1")) == ("A11", "K01")
    assert (wells.same("r1c11"), wells.same("r11c1")) == ("A11", "K01")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "A00",
        "A0",
        "A49",
        "AG01",
        "ZZ1",
        "A123",
        "1A",
        "0203",
        "002003",
        "27",
        "slide7",
        "well-7b",
        "r0c1",
        "r33c1",
        "r1c49",
        "A01_s1",
        "TCGA-A7",
        "1_12",
        "col3",
        "2,3",
    ],
)
def test_what_names_no_well_keeps_its_name(name: str) -> None:
    assert wells.place(name) is None
    assert wells.same(f" {name} ") == name


def test_wide_letters_are_letters() -> None:
    assert wells.same("\uff22\uff13") == wells.joined("\uff22", "\uff13") == "B03"


@pytest.mark.parametrize("pair", [("0", "1"), ("1", "0"), ("33", "1"), ("A", "49"), ("AG", "1"), ("3", "B"), ("", "1")])
def test_row_and_column_outside_of_a_plate_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"is not a well: rows are A to AF or 1 to 32, columns 1 to 48"):
        wells.joined(*pair)


def test_spellings_of_another_name_share_a_key_and_names_that_differ_do_not() -> None:
    one = ["slide7", "Slide7", "SLIDE 07", "slide_7", "slide-007"]
    assert len({wells.key(name) for name in one}) == 1
    several = ["1_12", "11_2", "112", "slide7", "slide70", "slide7b", "B03", "0203", "a+1_1", "a_1_1", "well"]
    assert len({wells.key(name) for name in several}) == len(several)
    assert [wells.site_key(s) for s in ("1", "01", "000", "F01", "f1", "x-1")] == ["1", "1", "0", "f1", "f1", "x-1"]


@given(st.text(max_size=12))
@settings(deadline=None)
def test_reading_a_name_again_changes_nothing(text: str) -> None:
    assert wells.same(wells.same(text)) == wells.same(text)
    assert wells.key(wells.same(text)) == wells.key(text)


def _table(*keys: tuple[str, str, str], **more: list[str]) -> pd.DataFrame:
    return pd.DataFrame(keys, columns=schema.IMAGE_SET_KEY).assign(**more)


def test_a_table_gets_the_names_of_its_wells_and_keeps_the_rest() -> None:
    table = _table(("P", "a1", "1"), ("P", "A-01", "2"), ("Q", "slide7", "1"))
    named = wells.named(table, "t.csv")
    assert named[schema.WELL].tolist() == ["A01", "A01", "slide7"]
    assert table[schema.WELL].tolist() == ["a1", "A-01", "slide7"]
    assert wells.named(named, "t.csv") is named
    other = pd.DataFrame({"x": [1]})
    assert wells.named(other, "t.csv") is other
    assert wells.named(pd.DataFrame({schema.WELL: ["b2", None]}), "t.csv")[schema.WELL].tolist()[0] == "B02"


def test_one_name_in_two_spellings_is_refused_on_a_plate_and_allowed_on_two() -> None:
    files = {"Image_FileName_DNA": ["a.tif", "b.tif"], "Image_PathName_DNA": ["x", ""]}
    with pytest.raises(InputError, match=r"t\.csv: wells 'slide7' \(x/a\.tif\) and 'Slide 07' \(b\.tif\) of P are one"):
        wells.named(_table(("P", "slide7", "1"), ("P", "Slide 07", "2"), **files), "t.csv")
    with pytest.raises(InputError, match=r"t\.csv: sites '1' and '01' of P A01 are one name in two spellings"):
        wells.named(_table(("P", "A1", "1"), ("P", "A01", "01")), "t.csv")
    assert len(wells.named(_table(("P", "slide7", "1"), ("Q", "Slide7", "01")), "t.csv")) == 2
