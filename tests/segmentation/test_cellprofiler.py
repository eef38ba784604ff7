"""The real CellProfiler against its native twin, pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest

from morphospace.segmentation import cellprofiler, native
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
@pytest.mark.parametrize("method", ["propagation", "watershed"])
def test_drawn_fields_have_identical_labels_and_bad_ones_stop_no_other(make, tmp_path, method):
    black = np.zeros((60, 70), np.uint8)
    bits = (np.indices((60, 70)).sum(0) // 9 % 2 * 200).astype(np.uint8)
    sets = [make(1), make(2), make(3, nuclei=black, cells=black), make(4, nuclei=bits, cells=bits), make(5)]
    sets[4].nuclei.write_bytes(sets[4].nuclei.read_bytes()[:3000])
    real, twin = both(sets, Settings(method, 12, 60, 2), tmp_path)
    assert real[1].labels.cells.max() > 5
    assert real[3].labels.cells.max() == 0
    for engine in (real, twin):
        assert "no threshold" in engine[4].error or "IdentifySecondaryObjects" in engine[4].error
        assert "P/B02/4" in engine[4].error
        assert "P_5_dna.tif is not a whole TIFF" in engine[5].error
    assert_identical({k: real[k] for k in (1, 2, 3)}, {k: twin[k] for k in (1, 2, 3)})


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
