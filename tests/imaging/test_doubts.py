"""Outlines that are in the stains raise no doubt; those that are not do, whatever made them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from morphospace.imaging import doubts
from morphospace.imaging.doubts import NO_CELL_EDGE, NO_CYTOPLASM, NO_NUCLEUS_EDGE

CENTRES = [(30, 30), (30, 100), (90, 40), (95, 110)]
SHAPE = (128, 150)


def discs(radius: float) -> NDArray[np.uint16]:
    y, x = np.indices(SHAPE)
    labels = np.zeros(SHAPE, np.uint16)
    for number, (cy, cx) in enumerate(CENTRES, start=1):
        labels[np.hypot(y - cy, x - cx) <= radius] = number
    return labels


def wedges() -> NDArray[np.uint16]:
    """Every pixel to its nearest nucleus, the rim left out."""
    where = np.stack(np.indices(SHAPE), axis=-1).reshape(-1, 2)
    labels = 1 + cKDTree(CENTRES).query(where)[1].reshape(SHAPE)
    labels[:6], labels[-6:], labels[:, :6], labels[:, -6:] = 0, 0, 0, 0
    return labels.astype(np.uint16)


def image(labels: NDArray[Any], bright: float = 900) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return ndimage.gaussian_filter(np.where(labels > 0, bright, 0.0), 1.5) + rng.normal(200, 10, SHAPE)


NUCLEI, CELLS = discs(9), discs(22)
NOISE = image(np.zeros(SHAPE))


def test_cells_with_a_stain_raise_no_doubt() -> None:
    found = doubts.examine(NUCLEI, CELLS, image(NUCLEI), image(CELLS))
    assert found.doubts == []
    assert found.cells == 4
    assert found.cell_to_nucleus == pytest.approx((22 / 9) ** 2, rel=0.05)
    assert found.covered == pytest.approx((CELLS > 0).mean())
    assert found.bare == 0


@pytest.mark.parametrize(
    ("nuclei", "cells", "nuclear", "stain", "expected"),
    [
        (NUCLEI, wedges(), image(NUCLEI), NOISE, [NO_CELL_EDGE]),  # an empty channel
        (NUCLEI, wedges(), image(NUCLEI), image(discs(16)), [NO_CELL_EDGE]),  # a threshold below the background
        (NUCLEI, wedges(), image(NUCLEI), np.full(SHAPE, 7), [NO_CELL_EDGE]),
        (NUCLEI, CELLS, NOISE, image(CELLS), [NO_NUCLEUS_EDGE]),
        (discs(5), CELLS, image(discs(16)), image(CELLS), [NO_NUCLEUS_EDGE]),  # of the middles of nuclei
        (NUCLEI, NUCLEI, image(NUCLEI), image(NUCLEI), [NO_CYTOPLASM]),
        (NUCLEI, discs(9.4), image(NUCLEI), image(CELLS), [NO_CELL_EDGE, NO_CYTOPLASM]),
    ],
)
def test_outlines_that_are_not_in_the_image_are_doubted(
    nuclei: NDArray[Any], cells: NDArray[Any], nuclear: NDArray[Any], stain: NDArray[Any], expected: list[str]
) -> None:
    assert doubts.examine(nuclei, cells, nuclear, stain).doubts == expected


def test_gain_and_offset_of_the_camera_change_nothing() -> None:
    plain = doubts.examine(NUCLEI, CELLS, image(NUCLEI), image(CELLS))
    other = doubts.examine(NUCLEI, CELLS, 3 * image(NUCLEI) + 50, 0.01 * image(CELLS) - 9)
    assert other == pytest.approx(plain)


def test_a_field_without_a_cell_has_no_sign_and_no_doubt() -> None:
    none = np.zeros(SHAPE, np.uint16)
    found = doubts.examine(none, none, NOISE, NOISE)
    assert (found.cells, found.covered, found.doubts) == (0, 0, [])
    assert np.isnan([found.cell_to_nucleus, found.cell_edge, found.nucleus_edge]).all()


def test_cells_that_fill_the_field_have_no_edge_to_judge() -> None:
    whole = np.maximum(wedges(), 1)
    found = doubts.examine(NUCLEI, whole, image(NUCLEI), image(CELLS))
    assert np.isnan(found.cell_edge)
    assert found.doubts == []


@pytest.mark.parametrize("site", [1, 2])
def test_the_thesis_labels_of_real_fields_raise_no_doubt(real_data: Path, site: int) -> None:
    nuclei, cells = (
        tifffile.imread(real_data / f"bbbc021_thesis_labels/s{site}_{kind}.tif") for kind in ("nuclei", "cell")
    )
    dna, tubulin, actin = (
        tifffile.imread(next(real_data.glob(f"bbbc021_fields/*_s{site}_w{number}*.tif"))) for number in (1, 2, 4)
    )
    assert doubts.examine(nuclei, cells, dna, tubulin).doubts == []
    noise = np.random.default_rng(0).normal(800, 40, dna.shape)
    assert NO_CELL_EDGE in doubts.examine(nuclei, cells, dna, noise).doubts
    assert NO_NUCLEUS_EDGE in doubts.examine(nuclei, cells, actin, tubulin).doubts
