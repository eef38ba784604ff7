"""The two published tables of BBBC021 are joined as published."""

import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from morphospace import schema
from morphospace.datasets import _broad
from morphospace.errors import InputError


def _real(real_data: Path) -> pd.DataFrame:
    folder = real_data / "bbbc021_meta"
    return _broad.image_sets(folder / "BBBC021_v1_image.csv.gz", folder / "BBBC021_v1_moa.csv")


def test_the_real_tables_give_13200_image_sets_and_104_treatments_with_a_mechanism(real_data: Path) -> None:
    table = _real(real_data)
    assert len(table) == 13_200
    assert table[schema.PLATE].nunique() == 55
    assert table[schema.BATCH].nunique() == 10
    assert not table.duplicated(schema.IMAGE_SET_KEY).any()
    known = table[table[schema.MOA] != schema.UNKNOWN]
    assert len(known) == 3_848
    assert len(known[[schema.COMPOUND, schema.CONCENTRATION]].drop_duplicates()) == 104
    assert (table[schema.PERT_TYPE] == schema.NEGCON).sum() == 1_320
    assert schema.channels(table) == ["Actin", "Tubulin", "DNA"]


def test_joined_as_text_the_real_tables_would_match_nothing(real_data: Path) -> None:
    folder = real_data / "bbbc021_meta"
    images = pd.read_csv(folder / "BBBC021_v1_image.csv.gz", dtype=str)
    moa = pd.read_csv(folder / "BBBC021_v1_moa.csv", dtype=str)
    pairs = set(zip(images["Image_Metadata_Compound"], images["Image_Metadata_Concentration"], strict=True))
    assert not any(pair in pairs for pair in zip(moa["compound"], moa["concentration"], strict=True))


def test_the_channel_is_one_digit_on_every_real_name(real_data: Path) -> None:
    table = _real(real_data)
    for channel, digit in {"DNA": "1", "Tubulin": "2", "Actin": "4"}.items():
        parts = table[schema.FILE_PREFIX + channel].str.extract(f"^{_broad.NAME}$")
        assert (parts["channel"] == digit).all()
        assert (parts["well"] == table[schema.WELL]).all()
        assert (parts["site"] == table[schema.SITE]).all()


@given(
    prefix=st.sampled_from(["", "Week1_150607_", "Week8_4sites_", "Week7_7__"]),
    row=st.sampled_from("BCDEFG"),
    column=st.integers(2, 11),
    site=st.integers(1, 12),
    channel=st.sampled_from("124"),
    guid=st.uuids(),
)
def test_any_published_name_is_parsed(
    prefix: str, row: str, column: int, site: int, channel: str, guid: object
) -> None:
    name = f"{prefix}{row}{column:02d}_s{site}_w{channel}{str(guid).upper()}.tif"
    match = re.fullmatch(_broad.NAME, name)
    assert match is not None
    assert (match["well"], match["site"], match["channel"]) == (f"{row}{column:02d}", str(site), channel)
    assert match["guid"] == str(guid).upper()


@given(st.text(max_size=80))
def test_any_other_text_is_not_taken_for_a_name(text: str) -> None:
    match = re.fullmatch(_broad.NAME, text)
    assert match is None or len(match["guid"]) == 36


def _tables(tmp_path: Path, name: str = "B02_s1_w1" + "0" * 36 + ".tif", drop: str = "") -> tuple[Path, Path]:
    values = dict.fromkeys(_broad.COLUMNS, "x") | {
        "Image_FileName_DAPI": name,
        "Image_Metadata_Plate_DAPI": "Week1_1",
        "Image_Metadata_Well_DAPI": "B02",
        "Image_Metadata_Compound": "taxol",
        "Image_Metadata_Concentration": "1",
    }
    images, moa = tmp_path / "image.csv", tmp_path / "moa.csv"
    pd.DataFrame([values]).drop(columns=[drop] if drop in values else []).to_csv(images, index=False)
    moas = pd.DataFrame([{"compound": "taxol", "concentration": "1.0", "moa": "X"}])
    moas.drop(columns=[drop] if drop in moas else []).to_csv(moa, index=False)
    return images, moa


@pytest.mark.parametrize("column", ["Image_Metadata_Compound", "moa"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    with pytest.raises(InputError, match=f"lacks {column}"):
        _broad.image_sets(*_tables(tmp_path, drop=column))


def test_a_name_that_tells_no_site_is_refused_by_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"image\.csv, line 2: 'odd\.tif' is not"):
        _broad.image_sets(*_tables(tmp_path, name="odd.tif"))


def test_folders_are_the_plates(tmp_path: Path) -> None:
    row = _broad.image_sets(*_tables(tmp_path)).iloc[0]
    assert row["Image_PathName_DNA"] == "Week1_1"
    assert row[schema.MOA] == "X"
