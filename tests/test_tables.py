"""Tables between stages keep their types, and rows lead to files inside the raw folder only."""

import ast
import gzip
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from morphospace import tables
from morphospace.errors import InputError, SchemaError

HEADER = (
    "Metadata_Plate,Metadata_Well,Metadata_Site,Metadata_Batch,Metadata_Compound,Metadata_Concentration,Metadata_MoA,"
    "Metadata_PertType,Image_PathName_DNA,Image_FileName_DNA,Image_MD5Digest_DNA\n"
)
ROW = "0012,B02,01,W1,NA,{},unknown,trt,p,a.tif,00\n"


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "image_sets.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_that_look_like_numbers_or_nothing_stay_text(tmp_path: Path) -> None:
    table = tables.read_image_sets(_written(tmp_path, HEADER + ROW.format("")))
    assert table.iloc[0][["Metadata_Plate", "Metadata_Site", "Metadata_Compound"]].tolist() == ["0012", "01", "NA"]
    assert math.isnan(table["Metadata_Concentration"][0])


def test_concentrations_are_numbers(tmp_path: Path) -> None:
    table = tables.read_image_sets(_written(tmp_path, HEADER + ROW.format("3.000e-3")))
    assert table["Metadata_Concentration"].tolist() == [0.003]


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        (HEADER + ROW.format("much"), InputError, "Metadata_Concentration of row 1 is 'much', which is not a number"),
        (HEADER + ROW.format("1") * 2, SchemaError, "more than once"),
        (HEADER.replace("Metadata_MoA,", ""), SchemaError, "lacks Metadata_MoA"),
        (HEADER.replace("Image_MD5Digest_DNA", "x"), SchemaError, "lacks Image_MD5Digest_DNA"),
        (HEADER.replace("Image_FileName_DNA", "x"), InputError, "has no channel"),
        ("", InputError, "is not a table"),
    ],
)
def test_a_damaged_table_is_refused_by_name(tmp_path: Path, text: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        tables.read_image_sets(_written(tmp_path, text))


def test_a_missing_table_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run `dvc repro index`"):
        tables.read_image_sets(tmp_path / "none.csv")


def test_a_row_leads_to_its_file(tmp_path: Path) -> None:
    row = pd.Series({"Image_PathName_DNA": "p", "Image_FileName_DNA": "a.tif"})
    assert tables.image_path(tmp_path, row, "DNA") == tmp_path / "p" / "a.tif"


@pytest.mark.parametrize(
    ("folder", "name"), [("..", "a.tif"), ("p", "../../a.tif"), ("/etc", "passwd"), ("link", "a.tif")]
)
def test_a_row_that_leaves_the_raw_folder_is_refused(tmp_path: Path, folder: str, name: str) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "link").symlink_to(tmp_path)
    row = pd.Series({"Image_PathName_DNA": folder, "Image_FileName_DNA": name})
    with pytest.raises(InputError, match="points outside"):
        tables.image_path(raw, row, "DNA")


def test_a_parquet_table_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    path = tmp_path / "crops.parquet"
    with pytest.raises(InputError, match=r"crops.parquet is missing; run `dvc repro synthesize`"):
        tables.read_parquet(path, "synthesize")
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="is not a Parquet table"):
        tables.read_parquet(path, "synthesize")


SRC = Path(__file__).resolve().parent.parent / "src"
# Nothing that is not UTF-8; the rest of what a name may hold, and more often what spreadsheets and readers trip over.
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    [
        "=1+2",
        "+5",
        "-",
        "-1e3",
        "@a",
        "\t",
        "\r",
        "a\rb",
        "\r\n",
        "'=x",
        "''-5",
        "'",
        '"',
        "NA",
        "None",
        "null",
        "",
        " ",
        "007",
    ]
)
_NUMBERS = st.floats(allow_nan=False) | st.just(math.nan)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_TEXTS, _TEXTS, _NUMBERS), min_size=1, max_size=5), st.booleans())
@example([("\r", "x", 0.1), ("", "", math.nan)], False)
def test_what_is_written_is_read_to_the_letter(
    tmp_path: Path, rows: list[tuple[str, str, float]], zipped: bool
) -> None:
    table = pd.DataFrame(rows, columns=["compound", "=well", "value"])
    path = tmp_path / ("table.csv.gz" if zipped else "table.csv")
    tables.write_csv(table, path)
    found = tables.read_csv(path, lambda name: name != "value")
    assert list(found) == list(table)
    assert found["compound"].tolist() == table["compound"].tolist()
    assert found["=well"].tolist() == table["=well"].tolist()
    np.testing.assert_array_equal(found["value"], table["value"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_TEXTS, min_size=1, max_size=5))
def test_a_single_column_keeps_its_rows(tmp_path: Path, values: list[str]) -> None:
    tables.write_csv(pd.DataFrame({"name": values}), tmp_path / "table.csv")
    assert tables.read_csv(tmp_path / "table.csv")["name"].tolist() == values


@settings(deadline=None)
@given(_TEXTS)
def test_no_written_text_begins_as_a_formula(text: str) -> None:
    written = tables.guarded(text)
    assert tables.unguarded(written) == text
    assert not written.startswith(("=", "@", "\t", "\r", "+", "-")) or float(written) == float(text)


def test_equal_tables_give_equal_gzipped_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": ["x"], "b": [0.1]})
    tables.write_csv(table, tmp_path / "one.csv.gz")
    tables.write_csv(table, tmp_path / "two.csv.gz")
    assert (tmp_path / "one.csv.gz").read_bytes() == (tmp_path / "two.csv.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.csv.gz").read_bytes()) == b"a,b\nx,0.1\n"


def test_a_column_of_numbers_stays_text_where_one_value_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\ufeffa;b;c\n1;007;NA\nNA;x;2\n\n", encoding="utf-8")
    found = tables.read_csv(tmp_path / "t.csv", lambda name: False)
    np.testing.assert_array_equal(found["a"], [1, math.nan])
    assert found["b"].tolist() == ["007", "x"]
    np.testing.assert_array_equal(found["c"], [math.nan, 2])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a,b\n1,2,3\n", "line 2 has 3 values where the header has 2"),
        ("a,b\n1,2\n1,2,3\n", "is not a table"),
        ("a,b\n1,2\n1\n", "line 3 has 1 values where the header has 2"),
        ('a,b\n1,"2\n', "is not a table"),
        ("a,a\n1,2\n", "two columns a"),
        ("\n\n", "no header"),
    ],
)
def test_rows_that_do_not_fit_the_header_are_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=match):
        tables.read_csv(tmp_path / "t.csv")


def test_a_table_of_another_encoding_says_what_to_save_it_as(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("a\nmüller\n".encode("latin-1"))
    with pytest.raises(InputError, match="save it as CSV in UTF-8"):
        tables.read_csv(tmp_path / "t.csv")


def test_text_of_parquet_is_text_whatever_it_was(tmp_path: Path) -> None:
    table = pd.DataFrame({"Metadata_Plate": [12, 13], "Metadata_Well": ["A01", None], "Metadata_Site": [1.0, np.nan]})
    table["Metadata_Compound"] = pd.Categorical(["NA", None])
    table.to_parquet(tmp_path / "t.parquet")
    found = tables.read(tmp_path / "t.parquet")
    assert found.to_numpy().tolist() == [["12", "A01", "1", "NA"], ["13", "", "", ""]]


def test_every_csv_of_the_source_goes_through_one_reader_and_one_writer() -> None:
    """Two others: the parser that knows the line of each row, and CellProfiler's own input, which only it reads."""
    apart = {"tables.py", "datasets/_metadata.py", "segmentation/_program.py"}
    calls = {"to_csv", "read_csv", "reader", "writer", "DictReader", "DictWriter", "genfromtxt", "loadtxt", "savetxt"}
    own = {"tables"}
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in calls:
                of = node.func.value
                ours = isinstance(of, ast.Name) and of.id in own
                assert ours or str(path.relative_to(SRC / "morphospace")) in apart, f"{path}:{node.lineno}"
