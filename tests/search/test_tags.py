"""Tags mean what they say, whatever is in a name."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from morphospace import schema
from morphospace.errors import InputError
from morphospace.search import levels
from morphospace.search.tags import Tags, key

HOSTILE = [
    "mevinolin/lovastatin",
    "(S)-(+)-camptothecin",
    "5'-fluorouracil, 98%",
    'say "taxol"',
    "' OR 1=1 --",
    "x'; DROP TABLE cell; --",
    "_%",
    "a:b:c",
    "\\",
    "漢字 µ é",
    " blank ",
    "[bold]",
    "NULL",
    "nan",
]
NAMES = st.one_of(st.sampled_from(HOSTILE), st.text(min_size=1, max_size=6))


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=15), data=st.data())
def test_a_mask_is_what_a_loop_over_the_rows_finds(rows: list[tuple[str, str]], data: st.DataObject) -> None:
    table = pd.DataFrame(rows, columns=[schema.COMPOUND, schema.MOA])
    either = [("compound", r[0]) for r in rows] + [("moa", r[1]) for r in rows]
    asked, left = (data.draw(st.lists(st.sampled_from(either), max_size=3)) for _ in range(2))
    wanted = [
        all({"compound": c, "moa": m}[k] in {v for name, v in asked if name == k} for k in {name for name, _ in asked})
        and not any({"compound": c, "moa": m}[k] == v for k, v in left)
        for c, m in rows
    ]
    assume(any(wanted))
    found = Tags(table).mask([f"{k}:{v}" for k, v in asked], [f"{k}:{v}" for k, v in left])
    assert (found is None and not asked and not left) or found.tolist() == wanted


def test_lists_have_every_tag_of_theirs() -> None:
    table = pd.DataFrame({schema.BATCH: [["Week1", "Week2"], ["Week2"], []]})
    tags = Tags(table)
    np.testing.assert_array_equal(tags.mask(["batch:Week2"]), [True, True, False])
    np.testing.assert_array_equal(tags.mask([], ["batch:Week1"]), [False, True, True])


def test_numbers_are_found_as_they_are_written() -> None:
    table = pd.DataFrame({schema.CONCENTRATION: [3.0, 0.1, np.nan], schema.OBJECT: [1, 2, 10]})
    tags = Tags(table)
    assert tags.values("concentration") == ["0.1", "3"]
    for said in ("3", "3.0", "3.000000", "3e0"):
        np.testing.assert_array_equal(tags.mask([f"concentration:{said}"]), [True, False, False])
    np.testing.assert_array_equal(tags.mask([], ["Concentration:0.1"]), [True, False, True])
    np.testing.assert_array_equal(tags.mask(["objectnumber:10"]), [False, False, True])


def test_every_column_is_a_key() -> None:
    table = pd.DataFrame({levels.ID: ["x"], **{c: ["x"] for c in [*schema.METADATA, schema.SPLIT, "Anything"]}})
    wanted = ["plate", "well", "site", "batch", "compound", "concentration", "moa", "perttype", "split", "anything"]
    assert Tags(table).keys() == wanted == [key(c) for c in table.columns[1:]]


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("mao:DMSO", r"no tag 'mao'; did you mean 'moa'\? \(there are: moa\)"),
        ("moa:DSMO", r"nothing here has moa:DSMO; did you mean 'DMSO'\?"),
        ("moa:dmso", r"did you mean 'DMSO'\?"),
        ("moa:", "nothing here has moa:"),
        ("DMSO", "'DMSO' is no tag; write key:value"),
        (":DMSO", "there is no tag ''"),
    ],
)
def test_an_unknown_tag_names_the_nearest(tag: str, says: str) -> None:
    tags = Tags(pd.DataFrame({schema.MOA: ["DMSO", "Eg5 inhibitors", None, ""]}))
    with pytest.raises(InputError, match=says):
        tags.mask([tag])
    with pytest.raises(InputError, match=says):
        tags.mask([], [tag])


def test_nothing_left_is_an_error_and_a_long_list_is_cut() -> None:
    tags = Tags(pd.DataFrame({schema.MOA: [f"m{i:02d}" for i in range(20)]}))
    with pytest.raises(
        InputError, match=r"nothing is left to search: no row passes --with 'moa:m01', --without 'moa:m01'"
    ):
        tags.mask(["moa:m01"], ["moa:m01"])
    with pytest.raises(InputError, match=r"m11, and 8 more\)"):
        tags.mask(["moa:other"])


def test_a_well_is_found_in_any_spelling() -> None:
    tags = Tags(pd.DataFrame({schema.WELL: ["B03", "K01"], schema.COMPOUND: ["b3", "x"]}))
    assert [tags.parse(f"well:{said}") for said in ("b3", "r02c03", "B-03")] == [(schema.WELL, "B03")] * 3
    assert tags.parse("compound:b3") == (schema.COMPOUND, "b3")
