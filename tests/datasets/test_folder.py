"""Any tree of TIFFs is brought and listed by a pattern; what does not fit is named."""

import logging
import math
import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from morphospace import schema
from morphospace.datasets import folder
from morphospace.errors import InputError

YOUR_PLATES = Path(__file__).resolve().parents[2] / "docs" / "your-plates.md"
PATTERN = r"(?P<well>[A-P]\d{1,2})_s(?P<site>\d+)_w(?P<channel>\d)"
TWO = {"pattern": PATTERN, "channels": ["GFP=1", "DNA=2"], "plate": "P1"}


def _image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.zeros((4, 5), np.uint8), photometric="minisblack")


def _plate(root: Path, *names: str) -> Path:
    for name in names or ("A01_s1_w1.tif", "A01_s1_w2.tif", "A02_s1_w1.tif", "A02_s1_w2.tif"):
        _image(root / name)
    return root


def _fetched(tmp_path: Path, images: Path, **options: object) -> Path:
    target = tmp_path / "raw"
    target.mkdir()
    folder.fetch(target, 0, **{**TWO, "root": str(images), **options})
    return target


def test_images_are_copied_at_their_paths_without_junk_and_links_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = _plate(tmp_path / "in", "a b/ü'\"/A01_s1_w1.tif", "A01_s1_w2.TIFF", ".hidden.tif", ".git/A01_s9_w1.tif")
    _image(root / "._A01_s1_w2.TIFF")
    _image(tmp_path / "out" / "A09_s1_w1.tif")
    (root / "A09_s1_w1.tif").symlink_to(tmp_path / "out" / "A09_s1_w1.tif")
    (root / "linked").symlink_to(tmp_path / "out")
    for junk in (".DS_Store", "Thumbs.db", "notes.txt"):
        (root / junk).write_text("x")
    raw = _fetched(tmp_path, root)
    files = sorted(p.relative_to(raw).as_posix() for p in raw.rglob("*") if p.is_file())
    assert files == ["A01_s1_w2.TIFF", "a b/ü'\"/A01_s1_w1.tif", "left_out.csv"]
    assert (raw / files[1]).read_bytes() == (root / files[1]).read_bytes()
    assert "left out 2 links that leave the folder" in caplog.text
    assert "left out 1 files that are not TIFF (first: notes.txt)" in caplog.text
    assert "left out 1 hidden files (first: .hidden.tif)" in caplog.text
    assert "left out 1 hidden folders (first: .git)" in caplog.text
    assert "._A01_s1_w2.TIFF" not in caplog.text


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    root = _plate(tmp_path / "in")
    (root / "A03_s1_w1.tif").symlink_to(root / "A01_s1_w1.tif")
    assert not (_fetched(tmp_path, root) / "A03_s1_w1.tif").is_symlink()


@pytest.mark.parametrize(
    "options", [{}, {"pattern": r"(?P<site>[A-Z0-9]+)_s1_w1", "channels": ["Red=R"]}], ids=["grey", "colour"]
)
def test_what_is_no_file_is_left_out_by_name_and_never_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    root = _plate(tmp_path / "in", "A01_s1_w1.tif", "A05_s1_w1.tif", "A06_s1_w1.tif/A07_s1_w1.tif")
    if options:
        for path in (p for p in root.rglob("*.tif") if p.is_file()):
            tifffile.imwrite(path, np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    os.mkfifo(root / "A02_s1_w1.tif")
    (root / "A03_s1_w1.tif").symlink_to(root / "gone.tif")
    (root / "A04_s1_w1.tif").symlink_to(root / "A08_s1_w1.tif")
    (root / "A08_s1_w1.tif").symlink_to(root / "A04_s1_w1.tif")
    (root / "A09_s1_w1.tif").symlink_to(root / "A06_s1_w1.tif")
    with socket.socket(socket.AF_UNIX) as opened:
        monkeypatch.chdir(root)  # the path of a socket is short
        opened.bind("B01_s1_w1.tif")
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "A05" not in str(path) and allowed(path, mode))
    raw = _fetched(tmp_path, root, **options)
    kept = {p.relative_to(raw).as_posix() for p in raw.rglob("*.tif") if p.is_file()}
    end = "/R.tif" if options else ""
    assert kept == {f"A01_s1_w1.tif{end}", f"A06_s1_w1.tif/A07_s1_w1.tif{end}"}
    for said in (
        "2 named pipes, sockets or devices (first: A02_s1_w1.tif)",
        "3 links that lead nowhere (first: A03_s1_w1.tif)",
        "1 links to folders (first: A09_s1_w1.tif)",
        "1 files that cannot be read (first: A05_s1_w1.tif)",
    ):
        assert f"left out {said}" in caplog.text
    _, dropped = folder.index(raw, **{**TWO, **options, "root": str(root)})
    listed = dropped[dropped["Reason"] == "left_out"].set_index("Source")["Detail"]
    assert listed["A02_s1_w1.tif"] == "was left out with named pipes, sockets or devices"
    assert len(listed) == 7


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"root": ""}, "folder.root is empty"),
        ({"root": "/nowhere/at/all"}, "is not a folder"),
        ({"pattern": r"(?P<well>Z)_(?P<channel>\d)"}, "matches none of 4 files in .*, as 'A01_s1_w1.tif'"),
        ({"metadata": "/nowhere.csv"}, "nowhere.csv is missing"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path, options: dict[str, str], match: str) -> None:
    with pytest.raises(InputError, match=match):
        _fetched(tmp_path, _plate(tmp_path / "in"), **options)


def test_a_folder_without_a_tiff_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"has no \.tif"):
        _fetched(tmp_path, tmp_path / "in")


def test_a_disk_that_is_too_small_is_refused_before_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = type("Usage", (), {"free": 10})
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda path: full)
    with pytest.raises(InputError, match="10 free; make room"):
        _fetched(tmp_path, _plate(tmp_path / "in"))
    assert not list((tmp_path / "raw").iterdir())


def test_image_sets_are_listed_in_order_with_defaults(tmp_path: Path) -> None:
    table, dropped = folder.index(_plate(tmp_path / "raw"), **TWO)
    assert dropped.empty
    assert schema.channels(table) == ["GFP", "DNA"]
    assert table[schema.IMAGE_SET_KEY].to_numpy().tolist() == [["P1", "A01", "1"], ["P1", "A02", "1"]]
    row = table.iloc[0]
    assert (row[schema.BATCH], row[schema.COMPOUND], row[schema.MOA], row[schema.PERT_TYPE]) == (
        "P1",
        "unknown",
        "unknown",
        "trt",
    )
    assert math.isnan(row[schema.CONCENTRATION])
    assert (row["Image_PathName_DNA"], row["Image_FileName_DNA"]) == ("", "A01_s1_w2.tif")


def test_a_missing_channel_leaves_its_file_name_empty(tmp_path: Path) -> None:
    table, _ = folder.index(_plate(tmp_path / "raw", "A01_s1_w1.tif"), **TWO)
    assert table["Image_FileName_DNA"].tolist() == [""]


def test_files_that_are_no_channel_are_listed_as_such(tmp_path: Path) -> None:
    raw = _plate(tmp_path / "raw", "A01_s1_w1.tif", "A01_s1_w2.tif", "A01_s1_w3.tif", "odd.tif")
    _, dropped = folder.index(raw, **TWO)
    assert dropped[["Source", "Reason"]].to_numpy().tolist() == [
        ["A01_s1_w3.tif", "other_channel"],
        ["odd.tif", "no_match"],
    ]


def test_channels_that_no_file_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has a channel of folder\.channels"):
        folder.index(_plate(tmp_path / "raw"), **{**TWO, "channels": ["DNA=7"]})


def test_two_files_of_one_channel_are_refused_with_both_names(tmp_path: Path) -> None:
    raw = _plate(tmp_path / "raw", "x/A01_s1_w1.tif", "y/A01_s1_w1.tif")
    with pytest.raises(InputError, match=r"x/A01_s1_w1\.tif and y/A01_s1_w1\.tif are both GFP of P1, A01, 1"):
        folder.index(raw, **TWO)


def test_the_plate_is_the_folder_where_nothing_else_names_it(tmp_path: Path) -> None:
    raw = _plate(tmp_path / "raw", "day 1/P7/A01_s1_w1.tif", "A01_s1_w1.tif")
    table, _ = folder.index(raw, **{**TWO, "plate": "", "root": "/somewhere/myplate"})
    assert table[schema.PLATE].tolist() == ["P7", "myplate"]


def test_row_and_column_make_a_well_and_a_missing_site_is_1(tmp_path: Path) -> None:
    raw = _plate(tmp_path / "raw", "Channel1-13-b-2.tif")
    pattern = r"Channel(?P<channel>\d)-\d+-(?P<row>\w)-(?P<column>\d+)"
    table, _ = folder.index(raw, **{**TWO, "pattern": pattern})
    assert table[[schema.WELL, schema.SITE]].to_numpy().tolist() == [["B02", "1"]]


NUMBERED = r"r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)-ch(?P<channel>\d)"
WHOLE = r"(?P<well>r\d+c\d+)f(?P<site>\d+)-ch(?P<channel>\d)"
TABLES = {
    "letters": "Well,Compound\nB02,DMSO\nB11,taxol\nK01,colchicine\nA11,nocodazole\n",
    "numbers": "Row,Column,Compound\n2,2,DMSO\n2,11,taxol\n11,1,colchicine\n1,11,nocodazole\n",
    "instrument": "Well;Compound\r\nr2c2;DMSO\r\nR02C11;taxol\r\nRow 11, Column 1;colchicine\r\nr1c11;nocodazole\r\n",
    "mixed": "row,col_,Column,Compound\nB,x,02,DMSO\nb,x,11.0,taxol\n11,x,1,colchicine\nA,x,11,nocodazole\n",
}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("pattern", [NUMBERED, WHOLE])
def test_wells_of_instruments_meet_plate_maps_in_any_spelling(tmp_path: Path, pattern: str, table: str) -> None:
    images = _plate(
        tmp_path / "in", *(f"{w}f01-ch{c}.tiff" for w in ("r02c02", "r02c11", "r11c01", "r01c11") for c in "12")
    )
    (tmp_path / "map.csv").write_text(TABLES[table], encoding="utf-8")
    options = {**TWO, "pattern": pattern, "root": str(images), "metadata": str(tmp_path / "map.csv")}
    (tmp_path / "raw").mkdir()
    folder.fetch(tmp_path / "raw", 0, **options)
    found, dropped = folder.index(tmp_path / "raw", **options)
    assert found.set_index(schema.WELL)[schema.COMPOUND].to_dict() == {
        "A11": "nocodazole", "B02": "DMSO", "B11": "taxol", "K01": "colchicine",
    }  # fmt: skip
    assert dropped.empty


def test_one_well_in_two_spellings_is_one_well_with_the_sites_of_both(tmp_path: Path) -> None:
    raw = _plate(tmp_path / "raw", *(f"{w}_s{s}_w{c}.tif" for w, s in (("A1", 1), ("A01", 2), ("A2", 1)) for c in "12"))
    table, _ = folder.index(raw, **TWO)
    assert table[schema.IMAGE_SET_KEY].to_numpy().tolist() == [
        ["P1", "A01", "1"],
        ["P1", "A01", "2"],
        ["P1", "A02", "1"],
    ]


def test_one_site_of_one_well_in_two_spellings_is_refused_with_both_names(tmp_path: Path) -> None:
    raw = _plate(tmp_path / "raw", "A1_s1_w1.tif", "A01_s1_w1.tif")
    with pytest.raises(InputError, match=r"A01_s1_w1\.tif and A1_s1_w1\.tif are both GFP of P1, A01, 1"):
        folder.index(raw, **TWO)


def test_row_and_column_that_are_no_well_are_refused_with_the_file(tmp_path: Path) -> None:
    raw = _plate(tmp_path / "raw", "r00c01f01-ch1.tif")
    with pytest.raises(InputError, match=r"r00c01f01-ch1\.tif: row '00', column '01' is not a well: rows are A to AF"):
        folder.index(raw, **{**TWO, "pattern": NUMBERED})


def test_files_that_meet_nothing_get_a_line_a_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    raw = _plate(tmp_path / "raw", *(f"{w}_w{c}.tif" for w in ("A01_s1", "A02_s1", "a03", "a04") for c in "123"))
    with caplog.at_level(logging.WARNING):
        folder.index(raw, **TWO)
    assert caplog.messages == [
        "folder.pattern does not match 6 of 12 TIFFs (first: a03_w1.tif)",
        "folder.channels does not name the channel of 2 of 12 TIFFs (first: A01_s1_w3.tif)",
    ]


def test_rows_and_image_sets_without_a_partner_and_other_columns_get_a_line_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "Plate,Well,Compound,Comment,Metadata_Foo\n1,A1,taxol,x,y\nP1,A2,taxol,x,y\n"
    with caplog.at_level(logging.WARNING):
        _, dropped = folder.index(_with_metadata(tmp_path, text), **TWO)
    assert dropped.to_numpy().tolist() == [["metadata.csv, line 2", "no_images", "no image set is 1 A01"]]
    read = "Plate, Well, Site, Batch, Compound, Concentration, MoA, PertType, Row, Column"
    assert caplog.messages == [
        f"metadata.csv: not used: Comment, Metadata_Foo (read are {read})",
        "metadata.csv: 1 of 2 rows is of no image set (line 2: 1 A01); 1 of 2 image sets has no row (first: P1 A01 1)",
    ]


def test_names_that_differ_in_case_alone_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        folder.index(_with_metadata(tmp_path, "Well,Compound,MoA\nA1,taxol,a b\nA2,Taxol,AB\n"), **TWO)
    assert caplog.messages == [
        f"metadata.csv: {what} (line 2) and {other} (line 3) differ in case or blanks alone, and count as two"
        for what, other in (("Compound 'taxol'", "'Taxol'"), ("MoA 'a b'", "'AB'"))
    ]


def test_a_table_that_fits_is_joined_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        folder.index(_with_metadata(tmp_path, "Well,Compound\na1,x\nA-2,y\n"), **TWO)
    assert caplog.messages == []


def test_names_that_are_no_wells_meet_in_any_spelling(tmp_path: Path) -> None:
    raw = _plate(tmp_path / "raw", "slide7_s1_w1.tif", "slide7_s1_w2.tif", "slide12_s1_w1.tif", "slide12_s1_w2.tif")
    (raw / "metadata.csv").write_text("Well,Compound\nSlide 07,tumour\nSLIDE_12,normal\n")
    table, _ = folder.index(raw, **{**TWO, "pattern": r"(?P<well>slide\d+)_s(?P<site>\d+)_w(?P<channel>\d)"})
    assert table.set_index(schema.WELL)[schema.COMPOUND].to_dict() == {"slide12": "normal", "slide7": "tumour"}


def _with_metadata(tmp_path: Path, text: str) -> Path:
    table = tmp_path / "my table.csv"
    table.write_text(text, encoding="utf-8")
    return _fetched(tmp_path, _plate(tmp_path / "in"), metadata=str(table))


def test_metadata_are_joined_on_the_columns_they_have(tmp_path: Path) -> None:
    text = "\ufeffwell;Compound;Concentration;MoA;Batch\r\na1;DMSO;0;;b1\r\nA2;taxol;0,3;Stabilizer;\r\nH12;x;1;;\r\n"
    table, dropped = folder.index(_with_metadata(tmp_path, text), **TWO)
    columns = [schema.COMPOUND, schema.CONCENTRATION, schema.MOA, schema.PERT_TYPE, schema.BATCH]
    assert table[columns].to_numpy().tolist() == [
        ["DMSO", 0.0, "DMSO", "negcon", "b1"],
        ["taxol", 0.3, "Stabilizer", "trt", "P1"],
    ]
    assert dropped.to_numpy().tolist() == [["metadata.csv, line 4", "no_images", "no image set is H12"]]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "Well,Compound\nC07,taxol\n",
            "no row of metadata.csv matches an image set by Metadata_Well: images have A01, it has C07",
        ),
        ("Well,Compound\nA01,a\nA1,b\n", "lines 2 and 3 are both A01"),
        ("Name,Compound\nA01,a\n", "none of the columns Plate, Well, Site"),
        (
            "Well,Site,Compound\nA01,1,a\nA01,7,b\n",
            r"Well A01 has Compound a \(my table\.csv, line 2\) and b \(my table\.csv, line 3\); give it one",
        ),
        (
            "Well,Site,Compound,Concentration\nA01,1,a,1\na1,7,a,2\n",
            r"Well A01 has Concentration 1 \(my table\.csv, line 2\) and 2 \(my table\.csv, line 3\)",
        ),
        ("Well,Compund\nA01,a\n", r"'Compund' \(did you mean 'Compound'\?\)"),
        (
            "Well,Compound,MoA\nA01,a,X\nA02,a,Y\n",
            r"Compound a has MoA X \(my table\.csv, line 2\) and Y \(my table\.csv, line 3\)",
        ),
        (
            "Well,PertType\nA01,negcon\n",
            r"PertType negcon \(metadata\.csv, line 2\) and trt \(P1 A02 1, without a row\)",
        ),
    ],
)
def test_metadata_that_do_not_fit_are_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        folder.index(_with_metadata(tmp_path, text), **TWO)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"pattern": "("}, "not a regular expression"),
        ({"pattern": r"(?P<well>A)"}, "needs the groups"),
        ({"pattern": r"(?P<row>A)(?P<channel>1)"}, "needs the groups"),
        ({"pattern": r"(?P<well>A)(?P<channel>1)(?P<time>2)"}, r"has the groups \['time'\]"),
        ({"channels": []}, "at least one"),
        ({"channels": ["A=1", "B=1"]}, "another text for each"),
        ({"channels": ["A=1", "A=2"]}, "another name"),
        ({"channels": ["a b=1"]}, "'a b=1' is not NAME=TEXT"),
        ({"channels": ["DNA"]}, "'DNA' is not NAME=TEXT"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        folder.Options(**options)


@given(st.sampled_from("ABCDEFGHIJKLMNOP"), st.integers(1, 24), st.integers(1, 999), st.sampled_from("124"), st.uuids())
def test_the_default_pattern_reads_any_published_name(
    row: str, column: int, site: int, channel: str, guid: object
) -> None:
    path = f"Week4/Week4_27481_{row}{column:02d}_s{site}_w{channel}{str(guid).upper()}.tif"
    match = folder.re.search(folder.Options().pattern, path)
    assert match is not None
    assert match.groupdict() == {
        "plate": "Week4_27481",
        "well": f"{row}{column:02d}",
        "site": str(site),
        "channel": channel,
    }


PATTERNS = re.findall(r"^\| `([^`]+)`[^|`]*\| `([^`]+)` \|$", YOUR_PLATES.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_patterns_of_the_documents_read_the_names_beside_them() -> None:
    found = {}
    for path, pattern in PATTERNS:
        options = folder.Options(pattern=pattern.replace(r"\|", "|"))
        match = re.search(options.pattern, path.replace("…", "x"))
        assert match is not None, path
        found[path] = (*folder._key(match, path, options), match["channel"])
    assert sorted(found.values()) == [
        ("IN-Cell", "A01", "2", "DAPI"),
        ("P7", "B03", "01", "1"),
        ("P7", "B03", "01", "1"),
        ("Week2_24381", "B02", "1", "1"),
        ("folder", "A01", "1", "1"),
    ]


def test_the_real_fields_lack_one_channel(real_data: Path, tmp_path: Path) -> None:
    options = {"pattern": PATTERN, "plate": "Week2_24381", "root": str(real_data / "bbbc021_fields")}
    (tmp_path / "raw").mkdir()
    folder.fetch(tmp_path / "raw", 0, **options)
    table, _ = folder.index(tmp_path / "raw", **options)
    assert table[schema.SITE].tolist() == ["1", "2", "3"]
    assert (table[[c for c in table if c.startswith(schema.FILE_PREFIX)]] == "").sum().to_dict() == {
        "Image_FileName_Actin": 1,
        "Image_FileName_Tubulin": 0,
        "Image_FileName_DNA": 0,
    }


@pytest.mark.parametrize("pattern", ["(?P<well>[A-P]", "[[](?P<well>.)(?P<channel>.)", "(?P<well>.){99999999999}"])
def test_what_is_no_pattern_or_may_be_another_one_day_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        folder.Options(pattern=pattern)
