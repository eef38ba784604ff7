"""One bad image costs its image set, is named, and nothing else is lost; too many stop the run."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from morphospace import schema, tables
from morphospace.errors import InputError, SchemaError
from morphospace.stages import fetch, index

ROOT = Path(__file__).resolve().parents[2]
FOLDER = {
    "root": "in",
    "pattern": r"(?P<plate>[^/]+)/(?P<well>[A-P]\d{2})_s(?P<site>[^_]+)_w(?P<channel>\d)",
    "channels": ["GFP=1", "DNA=2"],
    "metadata": "",
    "plate": "",
}
OUT = [Path(n) for n in ("image_sets.csv", "dropped.csv", "identical.csv", "index.json", "few.json", "metrics.json")]


def _params(folder: dict[str, Any], max_dropped: float, engine: str = "cellprofiler") -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["segment"]["engine"] = engine
    values |= {"dataset": "folder", "folder": FOLDER | folder, "index": {"max_dropped": max_dropped}}
    Path("params.yaml").write_text(yaml.safe_dump(values))


def _write(path: Path, image: np.ndarray | None = None, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 4096, (24, 32)).astype(np.uint16) << 4
    tifffile.imwrite(path, noise if image is None else image, **{"photometric": "minisblack", **options})


@pytest.fixture
def plate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A plate of eight fields of two channels in raw/P, and params.yaml in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    _params({}, 0.5)
    for column in range(1, 9):
        for channel in "12":
            _write(tmp_path / "raw" / "P" / f"A{column:02d}_s1_w{channel}.tif")
    return tmp_path / "raw" / "P"


def _run() -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    index.run(Path("raw"), *OUT)
    dropped = pd.read_csv("dropped.csv", dtype=str, keep_default_na=False)
    return tables.read_image_sets(OUT[0]), dropped, json.loads(OUT[5].read_text())


def test_a_sound_plate_is_listed_whole_with_digests(plate: Path) -> None:
    table, dropped, metrics = _run()
    assert len(table) == 8
    assert dropped.empty
    assert table["Image_MD5Digest_DNA"].str.fullmatch("[0-9a-f]{32}").all()
    assert tables.image_path(Path("raw"), table.iloc[0], "DNA") == Path("raw/P/A01_s1_w2.tif")
    assert (metrics["image_sets"], metrics["dropped"], metrics["images"]["effective_bits"]) == (8, 0, 12)


def test_the_same_images_give_the_same_bytes(plate: Path) -> None:
    _run()
    first = [p.read_bytes() for p in (OUT[0], OUT[1], OUT[2], OUT[5])]
    _run()
    assert first == [p.read_bytes() for p in (OUT[0], OUT[1], OUT[2], OUT[5])]


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


FAULTS = {
    "truncated": _truncate,
    "zero_bytes": lambda path: path.write_bytes(b""),
    "damaged": lambda path: path.write_bytes(b"not a TIFF"),
    "missing_channel": lambda path: path.unlink(),
    "rgb": lambda path: _write(path, np.zeros((24, 32, 3), np.uint8), photometric="rgb"),
    "wrong_type": lambda path: _write(path, np.zeros((24, 32), np.float32)),
    "multi_page": lambda path: _write(path, np.zeros((2, 24, 32), np.uint16)),
    "palette": lambda path: _write(path, photometric="palette", colormap=np.tile(np.arange(65536, dtype="u2"), (3, 1))),
    "unequal_channels": lambda path: _write(path, np.zeros((24, 33), np.uint16)),
    "other_bit_depth": lambda path: _write(path, np.zeros((24, 32), np.uint8)),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_one_bad_file_costs_its_image_set_and_is_named(
    plate: Path, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    FAULTS[reason](plate / "A03_s1_w2.tif")
    with caplog.at_level(logging.WARNING):
        table, dropped, metrics = _run()
    assert table[schema.WELL].tolist() == ["A01", "A02", "A04", "A05", "A06", "A07", "A08"]
    assert dropped[["Source", "Reason"]].to_numpy().tolist() == [["P A03 1", reason]]
    assert metrics["dropped_by_reason"] == {reason: 1}
    assert f"dropped P A03 1 ({reason})" in caplog.text
    named = "DNA" if reason == "missing_channel" else "P/A03_s1_w2.tif"
    assert named in dropped["Detail"][0]


def test_what_the_engine_cannot_read_is_dropped_by_name_and_stops_no_other_plate(plate: Path) -> None:
    for column in range(1, 9):
        _write(plate / f"A{column:02d}_s1_w1.tif", compression="zstd")
        _write(plate.parent / "Q" / f"A{column:02d}_s1_w1.tif")
        _write(plate.parent / "Q" / f"A{column:02d}_s1_w2.tif")
    table, dropped, metrics = _run()
    assert table[schema.PLATE].unique().tolist() == ["Q"]
    assert metrics["dropped_by_reason"] == {"compression": 8}
    assert dropped["Detail"][0] == (
        "P/A01_s1_w1.tif is compressed with ZSTD, which CellProfiler does not read; write it uncompressed, "
        "or set segment.engine to native"
    )
    _params({}, 0.5, "native")
    table, dropped, _ = _run()
    assert len(table) == 16
    assert dropped.empty


def _noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 4096, (24, 32)).astype(np.uint16) << 4


def test_one_image_in_two_places_is_named_once_and_counted(plate: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, path in enumerate(sorted(plate.glob("*.tif"))):
        _write(path, _noise(number))
    for name in ("A01_s1_w1", "A01_s1_w2", "A02_s1_w1", "A03_s1_w1"):  # of one value: equal by nature
        _write(plate / f"{name}.tif", np.full((24, 32), 16, np.uint16))
    assert _run()[2]["identical_images"] == 0
    assert "the same picture" not in caplog.text
    assert len(pd.read_csv("identical.csv")) == 0
    for name in ("A04_s1_w2", "A07_s1_w1"):  # two channels and a well, in three ways to store them
        _write(
            plate / f"{name}.tif", tifffile.imread(plate / "A04_s1_w1.tif"), compression="lzw" if "w2" in name else None
        )
    with caplog.at_level(logging.WARNING):
        assert _run()[2]["identical_images"] == 3
    (line,) = [r.getMessage() for r in caplog.records if "the same picture" in r.getMessage()]
    assert line.startswith(
        "3 images are the same picture as another, first P/A04_s1_w2.tif and P/A04_s1_w1.tif (of two chann"
    )
    found = tables.read_identical(OUT[2])
    assert found[[schema.WELL, "Channel"]].to_numpy().tolist() == [["A04", "DNA"], ["A04", "GFP"], ["A07", "GFP"]]
    assert found["Picture"].nunique() == 1


def test_images_that_state_several_values_for_white_are_named(plate: Path, caplog: pytest.LogCaptureFixture) -> None:
    _write(plate / "A03_s1_w2.tif", extratags=[(281, 3, 1, 65520, True)])
    with caplog.at_level(logging.WARNING):
        _run()
    assert "1 channels of plates state several largest grey values" in caplog.text
    assert "first DNA of P: 65520 to 65535" in caplog.text


def test_a_field_of_another_size_than_its_plate_is_dropped(plate: Path) -> None:
    for channel in "12":
        _write(plate / f"A03_s1_w{channel}.tif", np.zeros((24, 33), np.uint16))
    _, dropped, _ = _run()
    assert dropped["Reason"].tolist() == ["other_size"]


def test_an_unsafe_site_and_a_link_out_are_dropped(plate: Path, tmp_path: Path) -> None:
    for channel in "12":
        _write(plate / f"A03_s..x_w{channel}.tif")
    _write(tmp_path / "elsewhere.tif")
    (plate / "A04_s1_w1.tif").unlink()
    (plate / "A04_s1_w1.tif").symlink_to(tmp_path / "elsewhere.tif")
    table, dropped, _ = _run()
    assert dropped[["Source", "Reason"]].to_numpy().tolist() == [
        ["P A03 ..x", "unsafe_name"],
        ["P A04 1", "missing_channel"],
        ["P/A04_s1_w1.tif", "left_out"],
    ]
    assert len(table) == 7


def test_flags_do_not_drop(plate: Path) -> None:
    _write(plate / "A03_s1_w1.tif", np.zeros((24, 32), np.uint16))
    _write(plate / "A04_s1_w1.tif", np.where(np.eye(24, 32), 65520, 16).astype(np.uint16))
    _, dropped, metrics = _run()
    assert dropped.empty
    assert (metrics["images"]["empty_images"], metrics["images"]["saturated_images"]) == (1, 1)


def test_too_many_dropped_stop_the_run_but_are_listed(plate: Path, caplog: pytest.LogCaptureFixture) -> None:
    for column in range(1, 6):
        (plate / f"A{column:02d}_s1_w1.tif").write_bytes(b"")
    with pytest.raises(InputError, match=r"5 of 8 image sets were dropped, more than index.max_dropped allows \(0.5\)"):
        index.run(Path("raw"), *OUT)
    assert len(pd.read_csv("dropped.csv")) == 5
    assert not OUT[3].exists()


@pytest.mark.parametrize(("limit", "stops"), [(0.5, False), (0.49, True)])
def test_too_many_files_that_the_pattern_misses_stop_the_run_but_are_listed(
    plate: Path, limit: float, stops: bool
) -> None:
    _params({}, limit)
    for path in list(plate.glob("A0[1-4]*")):
        path.rename(path.with_name(path.name.replace("A0", "A")))
    if not stops:
        assert len(_run()[0]) == 4
        return
    with pytest.raises(
        InputError, match=r"8 of 16 images are not read by folder.pattern, .*max_dropped allows \(0.49\)"
    ):
        index.run(Path("raw"), *OUT)
    assert pd.read_csv("dropped.csv")["Reason"].tolist() == ["no_match"] * 8


def test_images_in_colour_count_once_each(plate: Path) -> None:
    """Of four files two are matched, which lie in raw as six planes."""
    for path in list(plate.glob("*.tif")):
        path.unlink()
    for name in ("a", "b", "a_labels", "b_labels"):
        _write(Path("in") / f"{name}.tif", np.zeros((24, 32, 3), np.uint8), photometric="rgb")
    colour = {"pattern": r"^(?P<site>[a-z])\.tif$", "channels": ["Red=R", "Green=G", "Blue=B"]}
    for limit, stops in ((0.5, False), (0.49, True)):
        _params(colour, limit)
        fetch.run(Path("raw"), Path("fetch.json"))
        if stops:
            with pytest.raises(InputError, match=r"2 of 4 images are not read by folder\.pattern"):
                index.run(Path("raw"), *OUT)
        else:
            assert len(_run()[0]) == 2


def test_one_slide_in_two_spellings_is_refused_with_both_files(plate: Path) -> None:
    _params({"pattern": FOLDER["pattern"].replace(r"[A-P]\d{2}", r"\w+")}, 0.5)
    for name in ("slide7_s1", "Slide07_s2"):
        for channel in "12":
            _write(plate / f"{name}_w{channel}.tif")
    with pytest.raises(InputError, match=r"wells 'Slide07' \(P/Slide07_s2_w1\.tif\) and 'slide7' .* of P are one name"):
        index.run(Path("raw"), *OUT)


def test_a_name_that_is_no_well_among_wells_is_kept_and_said(plate: Path, caplog: pytest.LogCaptureFixture) -> None:
    _params({"pattern": FOLDER["pattern"].replace(r"[A-P]\d{2}", r"\w\d+")}, 0.5)
    for channel in "12":
        _write(plate / f"0203_s1_w{channel}.tif")
    with caplog.at_level(logging.WARNING):
        table, _, _ = _run()
    assert table[schema.WELL].tolist()[0] == "0203"
    assert caplog.messages[0].startswith("1 of 9 wells are not named as wells are, A01 to AF48, and keep their names")


def test_the_plate_name_of_an_instrument_is_refused_with_a_cure_that_works(plate: Path) -> None:
    plate.rename(plate.with_name("P7__2024-01-01T10_00_00-Measurement 1"))
    _params({"pattern": r"(?P<plate>[^/]+)/(?P<well>[A-P]\d{2})_s(?P<site>\d+)_w(?P<channel>\d)"}, 0.5)
    with pytest.raises(
        InputError, match=r"no image set can be used .*narrow the group `plate` .* as (\S+), or"
    ) as refused:
        index.run(Path("raw"), *OUT)
    cure = re.search(r"as (\(\?P<plate>\S+), or", str(refused.value))
    assert cure is not None
    _params({"pattern": cure[1] + r"(?P<well>[A-P]\d{2})_s(?P<site>\d+)_w(?P<channel>\d)"}, 0.5)
    assert _run()[0][schema.PLATE].unique().tolist() == ["P7__2024-01-01T10_00_00-Measurement"]


def test_nothing_left_stops_the_run_whatever_is_allowed(plate: Path) -> None:
    _params({}, 1.0)
    for path in plate.glob("*_w1.tif"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"no image set can be used \(first: P A01 1: P/A01_s1_w1\.tif has zero bytes"):
        index.run(Path("raw"), *OUT)


def test_only_the_first_twenty_are_named_in_the_log(plate: Path, caplog: pytest.LogCaptureFixture) -> None:
    _params({}, 1.0)
    for site in range(2, 26):
        for channel in "12":
            path = plate / f"B01_s{site}_w{channel}.tif"
            path.write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        _, dropped, _ = _run()
    assert len(dropped) == 24
    assert caplog.text.count("(zero_bytes)") == 20
    assert "dropped 4 more" in caplog.text


def test_a_key_twice_is_an_error_with_both_rows(plate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from morphospace.datasets import folder

    table, dropped = folder.index(Path("raw"), **FOLDER)
    monkeypatch.setattr(folder, "index", lambda raw, **options: (pd.concat([table, table], ignore_index=True), dropped))
    with pytest.raises(SchemaError, match=r"Metadata_Well=A01, Metadata_Site=1 more than once \(rows 0 and 8\)"):
        index.run(Path("raw"), *OUT)


def test_files_that_are_not_used_are_listed_but_do_not_count_as_dropped(plate: Path) -> None:
    for column in range(1, 9):
        _write(plate / f"A{column:02d}_s1_w3.tif")
    _, dropped, metrics = _run()
    assert dropped["Reason"].unique().tolist() == ["other_channel"]
    assert (metrics["dropped"], metrics["not_used"]) == (0, {"other_channel": 8})


def test_several_processes_find_the_same(plate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = _run()[0]
    monkeypatch.setattr(index.files, "jobs", lambda: 2)
    monkeypatch.setattr(index, "_FILES_A_PROCESS", 4)
    pd.testing.assert_frame_equal(alone, _run()[0])


def test_the_real_plate_bbbc013_is_joined_with_a_small_table(
    tmp_path: Path, real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = pd.read_csv(real_data / "bbbc013_plate" / "1049_Metadata.csv", dtype=str)
    compound = np.where(
        source["SBS_Controls"] == "-1", "untreated", np.where(source["Row"] < "E", "wortmannin", "LY294002")
    )
    table = source[["Row", "Column"]].assign(
        Compound=compound, Concentration=source["SBS_Doses"], PertType=source["SBS_Controls"]
    )
    table.to_csv("plate.csv", index=False)
    pattern = r"Channel(?P<channel>\d)-\d+-(?P<row>[A-H])-(?P<column>\d\d)"
    root = str(real_data / "bbbc013_plate")
    _params({"root": root, "plate": "1049", "pattern": pattern, "metadata": "plate.csv"}, 0.0)
    fetch.run(Path("raw"), Path("fetch.json"))
    found, dropped, metrics = _run()
    assert dropped.empty
    assert len(found) == 96
    assert found[schema.PERT_TYPE].value_counts().to_dict() == {"trt": 72, "negcon": 16, "poscon": 8}
    assert metrics["images"]["effective_bits"] == 8
    assert found[found[schema.WELL] == "E05"].iloc[0][schema.COMPOUND] == "LY294002"
