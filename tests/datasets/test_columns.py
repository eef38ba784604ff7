"""Columns are read, named as unused, or refused with the name that they nearly have; units are never mixed."""

import pandas as pd
import pytest

from morphospace import schema
from morphospace.datasets import _columns
from morphospace.errors import InputError


def _table(*columns: str) -> pd.DataFrame:
    return pd.DataFrame([["1"] * len(columns)], columns=list(columns), dtype=str)


def _read(*columns: str) -> list[str]:
    return list(_columns.known(_table(*columns), "m.csv"))


@pytest.mark.parametrize(
    "column",
    [
        *("Concentration", "metadata_concentration", "Image_Metadata_Concentration", "CONCENTRATION"),
        "Concentration (uM)",
        "Concentration_uM",
        "Concentration [\u00b5M]",
        "concentration \u03bcM",
        "Concentration, umol/L",
        "Concentration (micromolar)",
    ],
)
def test_a_concentration_in_micromolar_is_read(column: str) -> None:
    assert _read("Well", column) == [schema.WELL, schema.CONCENTRATION]
    assert _columns.unused(_table("Well", column)) == []


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        *[(c, "'Concentration', in µM") for c in ("Conc", "conc_uM", "Dose", "Dose (nM)", "Concentration (nM)")],
        *[
            (c, "'Concentration', in µM")
            for c in ("Concentration_mM", "Consentration", "log10 conc", "Final conc (uM)")
        ],
        *[(c, "'Compound'") for c in ("Compund", "Compounds", "Compound Name", "Drug", "Treatment", "CPD")],
        *[(c, "'MoA'") for c in ("Mechanism", "Mechanism of action", "Mechansim", "MOAs", "Metadata_Mechanism")],
        *[(c, "'PertType'") for c in ("Control", "control_type", "Pert Typ", "Perturbation type")],
        *[(c, "'Batch'") for c in ("Batches", "Batch ID")],
        *[(c, "'Site'") for c in ("Field", "FOV", "Sites")],
        *[(c, "'Plate'") for c in ("Plates", "Plate ID", "PlateName")],
    ],
)
def test_a_column_that_nearly_has_a_known_name_is_refused_with_that_name(column: str, wanted: str) -> None:
    with pytest.raises(InputError) as refused:
        _read("Well", column)
    assert f"m.csv has columns that are not read: {column!r} (did you mean {wanted}?)" in str(refused.value)


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [(["Wells", "Compound"], "'Well'"), (["Well ID", "MoA"], "'Well'"), (["Row", "Col", "MoA"], "'Column'")],
)
def test_a_key_that_is_nearly_known_is_refused_with_its_name(columns: list[str], wanted: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {wanted}"):
        _read(*columns)


def test_a_near_name_beside_the_known_one_is_only_not_used() -> None:
    columns = ("Well", "Row", "Compound", "Drug", "Concentration", "Concentration_nM", "Comment", "Metadata_Foo", "")
    assert _read(*columns) == [schema.WELL, _columns.ROW, schema.COMPOUND, schema.CONCENTRATION]
    assert _columns.unused(_table(*columns)) == [
        "Row",
        "Drug",
        "Concentration_nM",
        "Comment",
        "Metadata_Foo",
        "(no name)",
    ]


@pytest.mark.parametrize(
    "column",
    ["Comment", "Metadata_Foo", "Cell line", "Cell", "Note", "Date", "Volume", "Size", "Patch", "Time", "Type"],
)
def test_what_is_plainly_another_column_is_left_out(column: str) -> None:
    assert _read("Well", "Compound", column) == [schema.WELL, schema.COMPOUND]
    assert _read("Well", "MoA", column) == [schema.WELL, schema.MOA]


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        (["Name", "Compound"], "none of the columns Plate, Well, Site, nor Row and Column; it has Name, Compound"),
        (["Row", "Compound"], "none of the columns"),
        (["Plate", "Row", "Compound"], "has Row and no Column, so that its rows are of no wells"),
        (["Plate", "Column", "Site", "Compound"], "has Column and no Row"),
        (["Well", "Comment"], "says nothing of its wells: it has Well, Comment, and none of Batch, Compound"),
        (["Plate", "Row", "Column", "Unit"], "says nothing of its wells"),
        (["Well", "Concentration", "Concentration (uM)"], r"two columns for concentration, 'Concentration' and"),
        (["Well", "MoA", "Metadata_MoA"], "two columns for moa"),
    ],
)
def test_a_table_without_what_it_is_for_is_refused(columns: list[str], match: str) -> None:
    with pytest.raises(InputError, match=match):
        _read(*columns)


@pytest.mark.parametrize(
    ("unit", "is_it"), [("uM", True), ("µM", True), ("umol/l", True), ("nM", False), ("mM", False), ("M", False)]
)
def test_units_are_told_apart(unit: str, is_it: bool) -> None:
    assert _columns.is_micromolar(unit) == is_it
