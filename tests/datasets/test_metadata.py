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


@pytest.mark.parametrize(
    "text",
    [
        "1,234.5",
        "1.000,5",
        "1 000",
        "1\xa0000",
        "1'000",
        "1_000",
        "1,000,000",
        "1.000.000",
        "much",
        "inf",
        "1e999",
        "1,2,3",
        "10 uM",
        "0x10",
        ".",
        ",",
        "١",
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="which is not a number; write digits and a decimal point"):
        _metadata.number(text)


def _column(tmp_path: Path, separator: str, *values: str) -> list[float]:
    rows = [f'B{i:02d}{separator}"{value}"' for i, value in enumerate(values, start=1)]
    table = _metadata.read_table(_written(tmp_path, "\n".join([f"Well{separator}Concentration", *rows])))
    return _metadata.canonical(table, "m.csv")[schema.CONCENTRATION].tolist()


@pytest.mark.parametrize(
    ("separator", "values", "line", "said"),
    [
        (",", ["0.5", "1,000"], 3, "'1,000', which may be 1 or 1000"),
        (",", ["10,000"], 2, "'10,000', which may be 10 or 10000"),
        ("\t", ["999,125"], 2, "'999,125', which may be 999.125 or 999125"),
        (";", ["1,000", "3"], 2, "'1,000', which may be 1 or 1000"),
        (";", ["1.000", "3"], 2, "'1.000', which may be 1 or 1000"),
        ("\t", ["1.000", "10.000"], 2, "'1.000', which may be 1 or 1000"),
        ("|", ["2", "1.000"], 3, "'1.000', which may be 1 or 1000"),
        (",", ["0,5", "1.000"], 3, "'1.000', which may be 1 or 1000"),
        (",", ["0,5", "0.25", "1.000"], 4, "'1.000', which may be 1 or 1000"),
        (",", ["1", "-3"], 3, "-3, below 0; write µM, not a logarithm"),
    ],
)
def test_a_number_that_may_be_two_is_refused_by_line(
    tmp_path: Path, separator: str, values: list[str], line: int, said: str
) -> None:
    with pytest.raises(InputError, match=rf"m\.csv, line {line}: Concentration is {said}"):
        _column(tmp_path, separator, *values)


@pytest.mark.parametrize(
    ("separator", "values", "wanted"),
    [
        (",", ["1.000", "10.000"], [1.0, 10.0]),  # what R and pandas write
        ("\t", ["0.300", "1.000"], [0.3, 1.0]),
        (",", ["0.30000000000000004", "0.1"], [0.3, 0.1]),
        (";", ["0.300", "1.000"], [0.3, 1.0]),  # the point is proved
        (";", ["0,300", "1,000"], [0.3, 1.0]),  # the comma is
        (",", ["0,5", "1,25", "1,0000", "2"], [0.5, 1.25, 1.0, 2.0]),
        (",", ["3.000000", "1e-3", "1.000e3"], [3.0, 0.001, 1000.0]),
    ],
)
def test_a_number_that_can_be_only_one_is_read(
    tmp_path: Path, separator: str, values: list[str], wanted: list[float]
) -> None:
    assert _column(tmp_path, separator, *values) == wanted


@given(st.floats(min_value=1e-9, max_value=1e6))
def test_a_number_meets_itself_however_it_is_written(value: float) -> None:
    written = pd.Series([value, float(f"{value:.12e}"), float(repr(value))])
    assert _metadata.same_number(written).nunique() == 1
    assert _metadata.same_number(pd.Series([math.nan]))[0] == ""


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
        ({"Well": ["A01"], "Metadata_Well": ["A02"]}, "two columns for well, 'Well' and 'Metadata_Well'; keep one"),
        ({"Row": ["0"], "Column": ["1"], "Compound": ["a"]}, "m.csv, line 0: row '0', column '1' is not a well"),
        (
            {"Well": ["B03"], "Row": ["C"], "Column": ["3"], "Compound": ["a"]},
            "m.csv, line 0: the well is B03, row and column are C03; correct one",
        ),
        (
            {"Well": ["B03"], "Concentration": ["3"], "Unit": ["nM"]},
            "m.csv, line 0: the unit is 'nM', and Concentration is in µM; convert it",
        ),
    ],
)
def test_values_that_cannot_be_understood_are_refused(columns: dict[str, list[str]], match: str) -> None:
    with pytest.raises(InputError, match=match):
        _metadata.canonical(pd.DataFrame(columns), "m.csv")
