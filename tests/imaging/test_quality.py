"""Image sets are refused for one reason each, and only the bad ones."""

import re

import pandas as pd
import pytest

from morphospace import schema
from morphospace.imaging import quality
from morphospace.imaging.tiff import Inspection

GOOD = Inspection(digest="0", height=4, width=5, bits=16, step=16, maximum=4080)


def _sets(**changes: str) -> pd.DataFrame:
    row = {schema.PLATE: "P", schema.WELL: "A01", schema.SITE: "1"}
    for channel in ("DNA", "Actin"):
        row |= {schema.PATH_PREFIX + channel: "p", schema.FILE_PREFIX + channel: f"{channel}.tif"}
    return pd.DataFrame([row | changes])


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({}, "", ""),
        ({"Image_PathName_DNA": ""}, "", ""),
        ({schema.PLATE: "a/b"}, "unsafe_name", "plate 'a/b': letters"),
        ({schema.WELL: ".."}, "unsafe_name", "well '..'"),
        ({schema.SITE: ""}, "unsafe_name", "site ''"),
        ({schema.PLATE: "x" * 101}, "unsafe_name", "at most 100"),
        ({"Image_FileName_DNA": ""}, "missing_channel", "has no file for DNA"),
        ({"Image_PathName_DNA": "../p"}, "outside_root", "'../p/DNA.tif' leaves the folder"),
        ({"Image_PathName_DNA": "/etc"}, "outside_root", "'/etc/DNA.tif' leaves the folder"),
        ({"Image_FileName_DNA": "../../a.tif"}, "outside_root", "leaves the folder"),
        ({"Image_FileName_DNA": "..\\a.tif"}, "outside_root", "leaves the folder"),
        ({"Image_FileName_DNA": "a\0.tif"}, "outside_root", "leaves the folder"),
    ],
)
def test_names_that_are_unsafe_are_refused(changes: dict[str, str], reason: str, detail: str) -> None:
    verdict = quality.refuse_names(_sets(**changes)).iloc[0]
    assert verdict["Reason"] == reason
    assert detail in verdict["Detail"]


@pytest.mark.parametrize(
    ("plates", "read"),
    [
        (["P7 [1234]", "P8 [1234]"], ["P7", "P8"]),
        (["Plate 12", "Plate 13"], ["12", "13"]),
        (["#655090 a", "#655091 a"], ["655090", "655091"]),
        (["P1", "a b"], ["P1", "a"]),
        (["a 1 b", "a 2 b"], []),  # no part tells them apart
    ],
)
def test_the_cure_for_names_of_plates_keeps_them_apart(plates: list[str], read: list[str]) -> None:
    sets = pd.concat([_sets(**{schema.PLATE: plate}) for plate in plates], ignore_index=True)
    said = quality.refuse_names(sets)["Detail"].iloc[-1]
    if not read:
        assert said.endswith("of folder.pattern, or rename the folders")
        return
    pattern = said.partition(", as ")[2].removesuffix(", or rename the folders")
    assert [re.search(pattern, f"{plate}/a.tif")["plate"] for plate in plates] == read


def _judged(*fields: dict[str, Inspection]) -> pd.DataFrame:
    """Judge image sets of one plate by the inspections of their channels."""
    sets = pd.DataFrame({schema.PLATE: ["P"] * len(fields)})
    rows = [(n, c, f"{c}{n}.tif", found) for n, field in enumerate(fields) for c, found in field.items()]
    return quality.refuse_images(sets, quality.collect(rows))


BOTH = {"DNA": GOOD, "Actin": GOOD}


def test_good_image_sets_stay() -> None:
    assert _judged(BOTH, BOTH)["Reason"].tolist() == ["", ""]


def test_an_unreadable_file_costs_its_image_set_only() -> None:
    verdicts = _judged(BOTH, BOTH | {"DNA": Inspection(reason="truncated", detail="is truncated")})
    assert verdicts.to_numpy().tolist() == [["", ""], ["truncated", "DNA1.tif is truncated"]]


def test_channels_of_unequal_height_or_width_are_refused() -> None:
    verdicts = _judged(BOTH, BOTH | {"DNA": GOOD._replace(height=9)}, BOTH | {"Actin": GOOD._replace(width=9)})
    assert verdicts["Reason"].tolist() == ["", "unequal_channels", "unequal_channels"]
    assert verdicts["Detail"][1] == "channels differ in size: DNA1.tif 5 x 9, Actin1.tif 5 x 4"


def test_another_size_than_most_of_the_plate_is_refused() -> None:
    large = {c: GOOD._replace(height=9) for c in BOTH}
    verdicts = _judged(BOTH, large, BOTH)
    assert verdicts.iloc[1].tolist() == ["other_size", "DNA1.tif is 5 x 9, most of plate P is 5 x 4"]
    assert verdicts["Reason"].tolist() == ["", "other_size", ""]


def test_another_bit_depth_than_most_of_the_plates_channel_is_refused() -> None:
    verdicts = _judged(BOTH, BOTH, BOTH | {"Actin": GOOD._replace(bits=8)})
    assert verdicts["Reason"].tolist() == ["", "", "other_bit_depth"]
    assert verdicts["Detail"][2] == "Actin2.tif is 8-bit, most of plate P is 16-bit"


def test_a_channel_may_have_its_own_bit_depth_throughout() -> None:
    assert _judged(*[BOTH | {"Actin": GOOD._replace(bits=8)}] * 3)["Reason"].tolist() == ["", "", ""]


def test_bit_depth_is_told_by_step_and_maximum() -> None:
    rows = [(0, "DNA", "a", GOOD), (0, "Actin", "b", GOOD._replace(step=32, maximum=65504, saturated=0.01))]
    summary = quality.summarize(quality.collect([*rows, (1, "DNA", "c", GOOD._replace(step=7, constant=True))]))
    assert (summary["stored_bits"], summary["step"], summary["effective_bits"]) == (16, 16, 12)
    assert (summary["saturated_images"], summary["empty_images"]) == (1, 1)


def test_a_plate_of_constant_images_has_no_bit_depth() -> None:
    summary = quality.summarize(quality.collect([(0, "DNA", "a", GOOD._replace(constant=True))]))
    assert (summary["step"], summary["effective_bits"]) == (0, 0)
