import json

import numpy as np
import pytest
import tifffile

from morphospace.errors import EngineError


def test_every_plate_and_channel_gets_a_function_of_minimum_one(drawn):
    drawn.illuminate()
    functions = sorted((drawn.root / "illumination").iterdir())
    plate = functions[0].name.rsplit("_", 1)[0]
    assert [p.name for p in functions] == [f"{plate}_{c}.npy" for c in ("Actin", "DNA", "Tubulin")]
    for path in functions:
        values = np.load(path)
        assert values.shape == (256, 320)
        assert values.dtype == np.float32
        assert values.min() == 1
    assert (drawn.root / "figures/illumination/functions.png").is_file()
    timings = json.loads((drawn.root / "t.json").read_text())
    assert (timings["items"], timings["unit"]) == (12, "images")


def test_the_same_images_give_the_same_bytes(drawn):
    drawn.illuminate()
    first = {p.name: p.read_bytes() for p in (drawn.root / "illumination").iterdir()}
    drawn.illuminate()
    assert first == {p.name: p.read_bytes() for p in (drawn.root / "illumination").iterdir()}


def test_an_image_that_changed_since_the_index_is_left_out_and_named(drawn, caplog):
    bad = drawn.images("DNA")[1]
    bad.write_bytes(b"garbage")
    drawn.illuminate()
    assert f"left out: {bad} is not the file that was indexed" in caplog.text
    assert len(list((drawn.root / "illumination").iterdir())) == 3


def test_a_channel_without_one_good_image_is_refused(drawn):
    for path in drawn.images("DNA"):
        path.unlink()
    with pytest.raises(EngineError, match=r"no image of plate .* channel DNA is as indexed"):
        drawn.illuminate()
    assert not (drawn.root / "illumination").exists()


def test_a_black_channel_is_taken_for_evenly_lit_and_named(drawn, caplog):
    for path in drawn.images("Actin"):
        tifffile.imwrite(path, np.zeros((256, 320), np.uint16), photometric="minisblack")
    drawn.reindex()
    drawn.illuminate()
    plate = drawn.images("Actin")[0].parent.name
    assert f"{plate}_Actin: its images are black" in caplog.text
    assert (np.load(drawn.root / f"illumination/{plate}_Actin.npy") == np.ones((256, 320), np.float32)).all()
    assert np.load(drawn.root / f"illumination/{plate}_DNA.npy").max() > 1
