import numpy as np
import pyefd
import pytest
from skimage.measure import label, regionprops

from morphospace.apps.shapes import descriptors
from morphospace.apps.shapes.contour import contour


def test_region_properties_are_those_of_scikit_image(blob):
    found = descriptors.region(blob)
    props = regionprops(label(blob))[0]
    for name in (*descriptors.PUBLISHED, *descriptors.SHAPE):
        base, _, axis = name.partition("-")
        value = props[base]
        assert found[name] == pytest.approx(value[int(axis)] if axis else value), name


def test_the_centroid_counts_from_the_origin(blob):
    near, far = descriptors.region(blob), descriptors.region(blob, (100, 7))
    assert far["centroid-0"] == pytest.approx(near["centroid-0"] + 100)
    assert far["centroid-1"] == pytest.approx(near["centroid-1"] + 7)
    assert far["area"] == near["area"]


def test_fourier_descriptors_are_those_of_pyefd_without_its_constants(blob):
    line = contour(blob, 64)
    theirs = pyefd.elliptic_fourier_descriptors(np.vstack([line, line[:1]]), order=10, normalize=True)
    assert theirs.ravel()[:3] == pytest.approx([1, 0, 0], abs=1e-9)
    assert descriptors.fourier(line) == pytest.approx(theirs.ravel()[3:])
    assert len(descriptors.fourier(line)) == 37


def test_a_circle_is_its_first_harmonic_alone():
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    found = descriptors.fourier(np.stack([30 * np.cos(t), 30 * np.sin(t)], axis=1))
    assert abs(found[0]) == pytest.approx(1, abs=1e-3)
    assert np.abs(found[1:]).max() < 1e-3


def test_fourier_descriptors_do_not_know_size_place_and_angle(blob):
    line = contour(blob, 64)
    angle = np.array([[np.cos(0.4), np.sin(0.4)], [-np.sin(0.4), np.cos(0.4)]])
    assert descriptors.fourier(3 * line @ angle + 50) == pytest.approx(descriptors.fourier(line), abs=1e-9)
