"""The thesis's own pipeline, run in CellProfiler 4.2.8.1, against ours with the thesis's settings."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from morphospace.segmentation import _engine, cellprofiler, native
from morphospace.segmentation._engine import Group, ImageSet, Settings

PIPELINE = Path(__file__).resolve().parents[2] / "pipelines/segment.cppipe"
THESIS = Settings("watershed", log_transform=True)
KEPT = {1: 168, 2: 130}  # cells of its sites 1 and 2 that do not touch the border; ours leaves the others out
DNA, TUBULIN = 1, 2  # the thesis grew cells on w2


@pytest.fixture(scope="module")
def fields(real_data, tmp_path_factory):
    """The image sets of both sites, with the native illumination functions."""
    folder, made = real_data / "bbbc021_fields", tmp_path_factory.mktemp("thesis")
    for needed in (folder, real_data / "bbbc021_thesis_labels"):
        if not needed.is_dir():
            pytest.skip(f"the fields and labels of the thesis's pipeline are not all there: no {needed}")
    images = {(s, w): next(folder.glob(f"*_s{s}_w{w}*")) for s in KEPT for w in (DNA, TUBULIN)}
    functions = [Group(f"P_{w}", [images[s, w] for s in KEPT], 500) for w in (DNA, TUBULIN)]
    for function in map(native.illumination, functions):
        _engine.store_function(made, function)
    lamps = [made / f"P_{w}.npy" for w in (DNA, TUBULIN)]
    return [ImageSet(s, f"P/B02/{s}", "P", images[s, DNA], images[s, TUBULIN], *lamps) for s in KEPT]


def assert_the_thesis_s(labels, folder, site):
    """Each of its cells away from the border is ours to the pixel, with nucleus and cytoplasm, and ours are no more."""
    names = ("nuclei", "cell", "cytoplasm")
    truth = dict(zip(names, (tifffile.imread(folder / f"s{site}_{name}.tif") for name in names), strict=True))
    outside = native.border(truth["cell"])
    partners = set()
    for name, ours in zip(names, labels, strict=True):
        theirs = np.where(np.isin(truth[name], outside), 0, truth[name])
        pairs = {divmod(int(code), 1000) for code in np.unique(theirs.astype(int) * 1000 + ours)}
        partners |= pairs
        assert len(pairs) == KEPT[site] + 1, name
    assert len(partners) == KEPT[site] + 1
    assert sorted(b for _, b in partners) == list(range(KEPT[site] + 1))


def test_the_native_engine_draws_every_cell_of_the_thesis_to_the_pixel(fields, real_data, tmp_path):
    for outcome in native.segment(fields, THESIS, tmp_path, tmp_path, 1):
        assert_the_thesis_s(outcome.labels, real_data / "bbbc021_thesis_labels", outcome.key)


@pytest.mark.slow
def test_cellprofiler_draws_every_cell_of_the_thesis_to_the_pixel(fields, real_data, tmp_path):
    outcomes = list(cellprofiler.segment(fields, THESIS, PIPELINE, tmp_path, 1))
    assert [o.key for o in outcomes] == [1, 2]
    for outcome in outcomes:
        assert_the_thesis_s(outcome.labels, real_data / "bbbc021_thesis_labels", outcome.key)
