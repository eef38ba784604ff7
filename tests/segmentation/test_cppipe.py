import re
from pathlib import Path

import pytest

from morphospace.errors import EngineError, InputError
from morphospace.segmentation import _cppipe
from morphospace.segmentation._cppipe import Change, changed
from morphospace.segmentation._engine import Settings

PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"
SEGMENT = _cppipe.read(PIPELINES / "segment.cppipe")
SMALL = """CellProfiler Pipeline: x

A:[module_num:1|x]
    Size:1
    Size of disk:2

B:[module_num:2|x]
    Twice:1
    Twice:2

B:[module_num:3|x]
    Once:1
"""


@pytest.mark.parametrize("name", ["illuminate", "segment"])
def test_every_module_has_a_note(name):
    text = _cppipe.read(PIPELINES / f"{name}.cppipe")
    modules = re.findall(r"^\w+:\[module_num.*$", text, flags=re.MULTILINE)
    assert len(modules) == int(re.search(r"ModuleCount:(\d+)", text)[1])
    assert all(re.search(r"notes:\['[^']{20,}", m) for m in modules)


def test_the_pipelines_hold_the_default_settings_already():
    assert changed(SEGMENT, _cppipe.segmentation(Settings())) == SEGMENT
    text = _cppipe.read(PIPELINES / "illuminate.cppipe")
    assert changed(text, _cppipe.illumination(500)) == text


def test_only_the_named_lines_change():
    settings = Settings("watershed", 10, 40, 2, 0.5, 0.25, 0.1, True)
    new = changed(SEGMENT, _cppipe.segmentation(settings))
    lines = [b for a, b in zip(SEGMENT.splitlines(), new.splitlines(), strict=True) if a != b]
    assert [line.strip() for line in lines] == [
        "Structuring element:Disk,2",
        "Typical diameter of objects, in pixel units (Min,Max):10,40",
        "Threshold correction factor:0.5",
        "Select the method to identify the secondary objects:Watershed - Image",
        "Regularization factor:0.1",
        "Threshold correction factor:0.25",
        "Log transform before thresholding?:Yes",
    ]


def test_without_an_opening_nuclei_are_found_in_the_corrected_image():
    new = changed(SEGMENT, _cppipe.segmentation(Settings(opening_radius=0)))
    primary = new[new.index("IdentifyPrimaryObjects") :]
    assert "    Select the input image:NucleiCorrected\n" in primary[: primary.index("\n\n")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Change("C", "Size", "1"), "0 modules C, not 1"),
        (Change("B", "Once", "1"), "2 modules B, not 1"),
        (Change("A", "Colour", "1"), "module A of the pipeline has 0 settings 'Colour'"),
    ],
)
def test_what_is_not_there_once_is_refused(change, message):
    with pytest.raises(EngineError, match=message):
        changed(SMALL, [change])


def test_a_setting_that_is_there_twice_is_refused():
    with pytest.raises(EngineError, match="2 settings 'Twice'"):
        changed(SMALL[: SMALL.index("B:[module_num:3")], [Change("B", "Twice", "3")])


def test_a_setting_is_not_taken_for_a_longer_one():
    assert "Size of disk:2" in changed(SMALL, [Change("A", "Size", "9")])


def test_a_project_or_a_missing_file_is_refused(tmp_path):
    (tmp_path / "x.cppipe").write_text("{}")
    with pytest.raises(InputError, match="does not start with"):
        _cppipe.read(tmp_path / "x.cppipe")
    (tmp_path / "x.cpproj").write_bytes(b"\x89HDF\xff")
    with pytest.raises(InputError, match="not text"):
        _cppipe.read(tmp_path / "x.cpproj")
    with pytest.raises(InputError, match="missing"):
        _cppipe.read(tmp_path / "y.cppipe")
