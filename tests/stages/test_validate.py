import json
import shutil

import numpy as np
import pytest
import tifffile

from morphospace.stages import validate


def result(run):
    run.validate()
    return json.loads((run.root / "validate.json").read_text())


def test_the_native_engine_agrees_with_itself_and_is_scored_against_the_truth(lit):
    lit.segment()
    found = result(lit)
    assert found["agreement"] == {"with": "native", "identical_fields": 1.0, "differing_pixels": 0.0}
    assert set(found["scores"]) == set(found["cells"]) == {"native", "plain"}
    assert found["truth_cells"] > 8
    assert 0.7 < found["scores"]["native"]["nuclei"]["f1_50"] <= 1
    assert found["scores"]["native"]["cells"]["f1_70"] <= found["scores"]["native"]["cells"]["f1_50"]


def test_a_pixel_that_differs_is_counted(lit):
    lit.setting("engine", "plain")
    lit.segment()
    found = result(lit)
    assert found["agreement"]["identical_fields"] == 0
    assert 0 < found["agreement"]["differing_pixels"] < 1
    assert found["scores"]["plain"]["cells"]["f1_50"] < 1


def test_without_a_truth_only_agreement_and_counts_are_given(lit):
    shutil.rmtree(lit.raw / "truth")
    lit.segment()
    lit.setting("fields", 2, "validate")
    found = result(lit)
    assert (found["fields"], found["truth"]) == (2, False)
    assert "scores" not in found
    assert found["cells"]["native"] > 0


def test_failed_image_sets_are_not_drawn(lit):
    lit.images("DNA")[0].unlink()
    lit.setting("max_failed", 0.5)
    lit.segment()
    assert result(lit)["fields"] == 3


def test_true_cells_on_the_border_are_left_out_with_their_nuclei(tmp_path):
    cells = np.array([[1, 1, 0, 0, 0], [0, 0, 2, 2, 0], [0, 0, 2, 2, 0], [0, 0, 0, 0, 0]], np.uint16)
    nuclei = np.array([[0, 1, 0, 0, 0], [0, 0, 2, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.uint16)
    for kind, image in (("Cells", cells), ("Nuclei", nuclei)):
        tifffile.imwrite(tmp_path / f"B02_1_{kind}.tiff", image, photometric="minisblack")
    truth = validate._truth(tmp_path / "B02_1")
    assert np.unique(truth.cells).tolist() == np.unique(truth.nuclei).tolist() == [0, 2]


def test_a_field_that_an_engine_failed_on_counts_as_nothing_found():
    truth = validate.Labels(*[np.pad(np.ones((2, 2), int), 1)] * 3)
    assert validate._scores([None, truth], [truth, truth])["cells"]["f1_50"] == pytest.approx(2 / 3)
