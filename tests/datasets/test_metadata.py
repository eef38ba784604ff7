"""Metadata is read in any dialect, numbers meet as numbers, wells as wells; contradictions are refused by line."""

import gzip
import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morphospace import schema
from morphospace.datasets import _metadata
from morphospace.errors import InputError


def _written(tmp_path: Path, data: str | bytes, name: str = "m.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "Well,Dose\nA01,0.5\n",
        "\ufeffWell;Dose\r\nA01;0.5\r\n",
        "Well\tDose\r\nA01\t0.5",
        "Well|Dose\n\n A01 |0.5\n\n",
        '"Well","Dose"\n"A01","0.5"\n',
    ],
)
def test_every_dialect_gives_the_same_table(tmp_path: Path, text: str) -> None:
    assert _metadata.read_table(_written(tmp_path, text)).to_dict("records") == [{"Well": "A01", "Dose": "0.5"}]


def test_a_gzipped_table_is_read(tmp_path: Path) -> None:
    path = _written(tmp_path, gzip.compress(b"a,b\n1,2\n"), "m.csv.gz")
    assert _metadata.read_table(path).to_dict("records") == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"a,b\n1,2\n3\n", "line 3 has 1 values where the header has 2"),
        (b"a,b\n", "has no rows"),
        (b"", "has no rows"),
        (b"a,b\n\xff,1\n", "cannot be read"),
        (b'a,b\n"1,2\n', "line 2: unexpected end of data"),
    ],
)
def test_a_damaged_table_is_refused_by_line(tmp_path: Path, data: bytes, match: str) -> None:
    with pytest.raises(InputError, match=match):
        _metadata.read_table(_written(tmp_path, data))


def test_a_missing_table_or_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing"):
        _metadata.read_table(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        _metadata.read_table(_written(tmp_path, gzip.compress(b"a,b\n1,2\n")[:-9], "m.csv.gz"))


@pytest.mark.parametrize(
    ("text", "value"), [("0.003", 0.003), ("0,003", 0.003), ("3.000000e-3", 0.003), (" 10 ", 10.0)]
)
def test_numbers_are_read_with_point_or_comma(text: str, value: float) -> None:
    assert _metadata.number(text) == value


@pytest.mark.parametrize("text", ["1,234.5", "much", "inf", "1,2,3"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        _metadata.number(text)


@given(st.floats(min_value=1e-9, max_value=1e6))
def test_a_number_meets_itself_however_it_is_written(value: float) -> None:
    written = pd.Series([value, float(f"{value:.12e}"), float(repr(value))])
    assert _metadata.same_number(written).nunique() == 1
    assert _metadata.same_number(pd.Series([math.nan]))[0] == ""


@given(st.sampled_from("ABCDEFGHIJKLMNOP"), st.integers(1, 24))
def test_a_well_meets_itself_however_it_is_written(row: str, column: int) -> None:
    forms = [
        f"{row}{column}",
        f"{row}{column:02d}",
        f"{row.lower()}{column:03d}",
        f"{row}-{column:02d}",
        f" {row} {column} ",
    ]
    assert {_metadata.same_well(form) for form in forms} == {f"{row}{column:02d}"}


def test_other_names_of_wells_and_sites_stay() -> None:
    assert _metadata.same_well("well-7b") == "well-7b"
    assert [_metadata.same_site(s) for s in ("1", "01", "f1")] == ["1", "1", "f1"]


def _sets(*rows: tuple[str, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=[schema.COMPOUND, schema.CONCENTRATION])


def _moa(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["compound", "concentration", "moa"], index=range(2, 2 + len(rows)))


def test_concentrations_that_differ_as_text_meet_as_numbers() -> None:
    joined = _metadata.join_moa(_sets(("taxol", 0.003), ("taxol", 1.0)), _moa(("taxol", "3.000000e-3", "X")), "moa.csv")
    assert joined[schema.MOA].tolist() == ["X", "unknown"]


def test_dmso_has_its_own_mechanism_at_any_concentration() -> None:
    joined = _metadata.join_moa(_sets(("DMSO", 0.5), ("a", 1.0)), _moa(("a", "1", "X")), "moa.csv")
    assert joined[schema.MOA].tolist() == ["DMSO", "X"]


def test_a_join_without_a_match_shows_an_example_of_both_sides() -> None:
    with pytest.raises(InputError, match=r"no row of moa\.csv matches .* 'taxol at 1', it has 'Taxol at 1'"):
        _metadata.join_moa(_sets(("taxol", 1.0)), _moa(("Taxol", "1", "X")), "moa.csv")


def test_two_mechanisms_of_one_treatment_are_refused_with_both_lines() -> None:
    with pytest.raises(InputError, match=r"'X' \(line 2\) and 'Y' \(line 3\)"):
        _metadata.join_moa(_sets(("a", 1.0)), _moa(("a", "1.0", "X"), ("a", "1", "Y")), "moa.csv")


def test_a_users_columns_are_found_under_any_spelling() -> None:
    table = pd.DataFrame(
        {
            "metadata_plate": ["P"],
            "ROW": ["b"],
            "Column": ["3"],
            "Compound": ["dmso"],
            "Concentration": ["0,5"],
            "Note": ["x"],
        }
    )
    row = _metadata.canonical(table, "m.csv").iloc[0]
    assert row[[schema.PLATE, schema.WELL, schema.PERT_TYPE, schema.MOA]].tolist() == ["P", "B03", "negcon", "DMSO"]
    assert row[schema.CONCENTRATION] == 0.5
    assert "Note" not in row


@pytest.mark.parametrize(
    ("given_type", "kind"),
    [
        ("-1", "negcon"),
        ("+1", "poscon"),
        ("1", "poscon"),
        ("0", "trt"),
        ("Negative", "negcon"),
        ("", "trt"),
        ("TRT", "trt"),
    ],
)
def test_control_types_are_read_as_people_write_them(given_type: str, kind: str) -> None:
    assert _metadata.pert_type(given_type, "taxol") == kind


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"Well": ["A01"], "PertType": ["maybe"]}, "line 0: control type 'maybe' is none of"),
        ({"Well": ["A01"], "Concentration": ["much"]}, "Concentration is 'much', which is not a number"),
        ({"Well": ["A01"], "Metadata_Well": ["A02"]}, "two columns for well"),
    ],
)
def test_values_that_cannot_be_understood_are_refused(columns: dict[str, list[str]], match: str) -> None:
    with pytest.raises(InputError, match=match):
        _metadata.canonical(pd.DataFrame(columns), "m.csv")
