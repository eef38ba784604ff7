"""Cells with a sharp end and cells that fade out, both drawn, and what the advice says of them."""

import numpy as np
import pytest
from scipy import ndimage

from morphospace.errors import InputError
from morphospace.segmentation import _rim, native
from morphospace.segmentation._engine import Settings


def field(fall, background=0.02):
    """A stain of 24 cells, bright to 8 px from their middles, then fading over `fall` px; and their seeds."""
    rng = np.random.default_rng(0)
    shape = (320, 480)
    stain = np.full(shape, background) + rng.normal(0, 0.001, shape)
    seeds = np.zeros(shape, int)
    for n, (y, x) in enumerate(((y, x) for y in range(40, 320, 80) for x in range(40, 480, 80)), start=1):
        far = np.hypot(*(np.indices(shape) - np.array([y, x])[:, None, None]))
        stain += rng.uniform(0.2, 0.4) * np.exp(-np.maximum(far - 8, 0) / fall)
        seeds[far < 5] = n
    return stain.astype(np.float32), seeds


def rings(fall, settings, background=0.02):
    stain, seeds = field(fall, background)
    cells = native.grow_cells(stain, native.Primary(seeds, seeds), settings)
    return _rim.brightness(stain, cells, settings)


def test_cells_that_fade_out_are_cut_and_sharp_ones_are_not():
    fading, sharp = rings(8, Settings()), rings(0.5, Settings())
    assert len(fading) == len(sharp) == 24
    assert (fading > _rim.BRIGHT).all()
    assert (sharp < 0.1).all()
    assert "the rim of 100% of 24 cells looked at is cut" in _rim.advice(fading, [], Settings())
    assert "segment.log_transform: true" in _rim.advice(fading, [], Settings())
    assert _rim.advice(sharp, [], Settings()) == ""


def test_the_logarithm_keeps_the_rim_and_is_not_advised_where_it_is_on():
    on = Settings(log_transform=True)
    assert (rings(8, on) < rings(8, Settings())).all()
    assert _rim.advice(np.ones(100), [False], on) == ""


def test_few_cells_are_no_ground_for_advice():
    assert _rim.advice(np.ones(_rim.FEWEST - 1), [], Settings()) == ""
    assert _rim.advice(np.ones(_rim.FEWEST), [], Settings())
    assert _rim.advice(np.repeat([0.0, 1.0], 50), [], Settings()) == ""
    assert _rim.advice(np.zeros(0), [], Settings()) == ""


@pytest.mark.parametrize("factor", [0.5, 2])
def test_neither_gain_nor_background_changes_the_answer(factor):
    stain, seeds = field(8)
    cells = native.grow_cells(stain, native.Primary(seeds, seeds), Settings())
    once = _rim.brightness(stain, cells, Settings())
    np.testing.assert_allclose(_rim.brightness(stain * np.float32(factor), cells, Settings()), once, atol=0.02)
    np.testing.assert_allclose(_rim.brightness(stain + np.float32(0.1), cells, Settings()), once, atol=0.02)


def test_a_field_without_cells_or_without_background_gives_no_answer():
    stain, seeds = field(8)
    assert len(_rim.brightness(stain, np.zeros_like(seeds), Settings())) == 0
    crowded = stain[30:50, 30:50]
    assert len(_rim.brightness(crowded, seeds[30:50, 30:50], Settings())) == 0


def test_the_logarithm_floods_a_field_of_few_cells_and_no_other():
    stain, seeds = field(0.5)
    few = np.where(seeds > 2, 0, seeds)
    rng = np.random.default_rng(1)
    empty = rng.normal(0.02, 0.004, stain.shape).clip(0).astype(np.float32)
    sparse = np.where(ndimage.distance_transform_edt(few == 0) < 12, stain, empty).astype(np.float32)
    on = Settings(log_transform=True)
    assert not _rim.floods(stain, on)
    assert _rim.floods(sparse, on)
    assert "in 1 of the 2 fields with the fewest cells" in _rim.advice(np.zeros(0), [True, False], on)
    assert "segment.log_transform: false" in _rim.advice(np.zeros(0), [True, False], on)
    assert not _rim.advice(np.zeros(0), [True], Settings())


def test_a_field_that_one_of_the_thresholds_cannot_take_is_not_flooded():
    stain = np.full((40, 50), 0.001, np.float32)
    stain[::2], stain[0, 0] = 0.002, 1  # one hot pixel: all others fall into one bin, but for the logarithm
    with pytest.raises(InputError, match="no threshold of 3 classes"):
        native.otsu(stain, 3)
    assert not _rim.floods(stain, Settings(log_transform=True))
