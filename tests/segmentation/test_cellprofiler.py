"""The real CellProfiler against its native twin, pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from morphospace import tiffs
from morphospace.segmentation import _cppipe, _program, cellprofiler, native
from morphospace.segmentation._engine import Group, ImageSet, Settings

PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"
SMALL = Settings(min_diameter=12, max_diameter=60, opening_radius=2)
JOBS = 2


def both(sets, settings, tmp_path):
    """Labels of an image set by key, from both engines."""
    found = []
    for engine in (cellprofiler, native):
        scratch = tmp_path / f"{engine.__name__}_{settings.method}"
        scratch.mkdir()
        outcomes = engine.segment(sets, settings, PIPELINES / "segment.cppipe", scratch, JOBS)
        found.append({o.key: o for o in outcomes})
    return found


def assert_identical(first, second):
    assert first.keys() == second.keys()
    for key in first:
        for a, b in zip(first[key].labels, second[key].labels, strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype


def functions(engine, groups, scratch):
    scratch.mkdir()
    pipeline = PIPELINES / "illuminate.cppipe"
    return {f.name: f.values for f in engine.illuminate(groups, pipeline, scratch, JOBS)}


@pytest.mark.slow
@pytest.mark.parametrize(("method", "log"), [("propagation", False), ("propagation", True), ("watershed", True)])
def test_drawn_fields_have_identical_labels_and_bad_ones_stop_no_other(make, tmp_path, method, log):
    black = np.zeros((60, 70), np.uint8)
    bits = (np.indices((60, 70)).sum(0) // 9 % 2 * 200).astype(np.uint8)
    sets = [make(1), make(2), make(3, nuclei=black, cells=black), make(4, nuclei=bits, cells=bits), make(5)]
    sets[4].nuclei.write_bytes(sets[4].nuclei.read_bytes()[:3000])
    real, twin = both(sets, Settings(method, 12, 60, 2, log_transform=log), tmp_path)
    assert real[1].labels.cells.max() > 5
    for engine in (real, twin):
        assert "P_3_dna.tif is even" in engine[3].error
        assert "no threshold" in engine[4].error or "IdentifySecondaryObjects" in engine[4].error
        assert "P/B02/4" in engine[4].error
        assert "P_5_dna.tif is truncated" in engine[5].error
    assert_identical({k: real[k] for k in (1, 2)}, {k: twin[k] for k in (1, 2)})


@pytest.mark.slow
def test_even_images_are_dropped_by_the_same_names_as_by_the_native_engine(odd, tmp_path):
    sets, even = odd
    real, twin = both(sets, SMALL, tmp_path)
    assert {k for k, o in real.items() if o.labels is None} == set(even)
    assert {k: real[k].error for k in even} == {k: twin[k].error for k in even}
    assert_identical({k: real[k] for k in (1, 7, 9)}, {k: twin[k] for k in (1, 7, 9)})


@pytest.mark.slow
def test_illumination_of_drawn_fields_agrees_to_a_millionth(make, tmp_path):
    sets = [make(k) for k in (1, 2, 3)]
    groups = [Group("P_DNA", [s.nuclei for s in sets], 100), Group("P_Actin", [s.cells for s in sets], 37)]
    real, twin = (functions(e, groups, tmp_path / e.__name__) for e in (cellprofiler, native))
    for name in ("P_DNA", "P_Actin"):
        np.testing.assert_allclose(real[name], twin[name], rtol=1e-6)
        assert real[name].dtype == twin[name].dtype == np.float32


@pytest.mark.slow
def test_real_fields_have_identical_labels_and_illumination(real_data, tmp_path):
    folder = real_data / "bbbc021_fields"
    images = {(s, w): next(folder.glob(f"*_s{s}_w{w}*")) for s in (1, 2) for w in (1, 4)}
    groups = [Group(f"P_{w}", [images[1, w], images[2, w]], 500) for w in (1, 4)]
    real, twin = (functions(e, groups, tmp_path / e.__name__) for e in (cellprofiler, native))
    for name, values in real.items():
        np.testing.assert_allclose(values, twin[name], rtol=1e-6)
    paths = [tmp_path / cellprofiler.__name__ / f"P_{w}.npy" for w in (1, 4)]
    sets = [ImageSet(s, f"P/B02/{s}", "P", images[s, 1], images[s, 4], *paths) for s in (1, 2)]
    first, second = both(sets, Settings(), tmp_path)
    assert_identical(first, second)
    assert {k: int(o.labels.cells.max()) for k, o in first.items()} == {1: 168, 2: 129}


@pytest.mark.slow
def test_a_module_that_cellprofiler_lacks_is_noticed(make, tmp_path):
    text = (PIPELINES / "segment.cppipe").read_text()
    (tmp_path / "p.cppipe").write_text(text.replace("\nIdentifyTertiaryObjects:", "\nIdentifyWonders:"))
    (tmp_path / "work").mkdir()
    outcome = next(cellprofiler.segment([make(1)], SMALL, tmp_path / "p.cppipe", tmp_path / "work", 1))
    assert outcome.labels is None
    assert outcome.error.endswith("Could not find the IdentifyWonders module")


@pytest.mark.slow
def test_what_is_said_to_be_unreadable_is_what_cellprofiler_does_not_read(tmp_path):
    """Every compression that can be written here, and colour maps, through the real LoadData."""
    ramp = np.arange(65536, dtype=np.uint16)
    pixels = {n: np.random.default_rng(0).integers(0, 2**n, (48, 64)).astype(f"u{n // 8}") for n in (8, 16)}
    maps = {8: np.tile(257 * ramp[:256], (3, 1)), 16: np.tile(ramp, (3, 1))}
    for bits, image in pixels.items():
        tifffile.imwrite(tmp_path / f"map_{bits}.tif", image, photometric="palette", colormap=maps[bits])
        for compression in tifffile.COMPRESSION:
            path = tmp_path / f"{compression.name}_{bits}.tif"
            try:
                tifffile.imwrite(path, image, photometric="minisblack", compression=compression, metadata=None)
            except Exception:  # noqa: BLE001 what imagecodecs cannot write is not tried
                path.unlink(missing_ok=True)
    found = {path: tiffs.grey(path, tiffs.load(path)) for path in sorted(tmp_path.glob("*.tif"))}
    rows = [{"Metadata_Key": path.stem} | cellprofiler._columns({"Channel": path}) for path in found]
    (run,) = [r for r in _program.supervise(iter([_loading(tmp_path, rows)]), _program.find(), 1) if r.code is not None]
    assert run.complete
    assert {"ZSTD_16.tif", "LZW_8.tif", "map_16.tif", "JPEG2000_16.tif"} <= {path.name for path in found}
    wrong = []
    for path, image in found.items():
        said = cellprofiler.unreadable(8 * image.pixels.itemsize, image.compression, image.palette)
        seen = run.outputs / f"{path.stem}.npy"
        read = seen.is_file() and np.array_equal(np.load(seen), image.pixels / np.float32(image.white))
        wrong += [path.name] if read != (said == ("", "")) else []
    assert wrong == []


def _loading(folder: Path, rows: list[dict[str, str]]) -> _program.Run:
    """Return a run that loads each image, as `illuminate` does, and saves it under its key."""
    parts = (PIPELINES / "illuminate.cppipe").read_text().split("\n\n")
    head, load, save = parts[0], *(p for p in parts if p.startswith(("LoadData", "SaveImages")))
    changes = [
        _cppipe.Change("SaveImages", "Select the image to save", "Channel"),
        _cppipe.Change("SaveImages", "Enter single file name", r"\g<Key>"),
        _cppipe.Change("SaveImages", "When to save", "Every cycle"),
    ]
    text = "\n\n".join([head.replace("Count:3", "Count:2"), load, save.replace("module_num:3", "module_num:2")])
    return _program.Run(folder / "run", _cppipe.changed(text, changes), rows, True)
