import numpy as np
import pytest
import tifffile

from morphospace.errors import InputError
from morphospace.segmentation import _images


def test_full_scale_is_one_in_both_bit_depths(tmp_path):
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        tifffile.imwrite(tmp_path / "x.tif", np.array([[0, top]], dtype), photometric="minisblack")
        assert _images.read(tmp_path / "x.tif").tolist() == [[0, 1]]


def test_a_file_that_states_its_largest_value_is_scaled_by_it(tmp_path):
    pixels = np.array([[0, 4095]], np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="minisblack", extratags=[(281, "H", 1, 4095, True)])
    assert _images.read(tmp_path / "x.tif").tolist() == [[0, 1]]


def test_a_corrected_image_is_divided_and_clipped(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.array([[255, 100]], np.uint8), photometric="minisblack")
    np.save(tmp_path / "f.npy", np.array([[0.5, 2]], np.float32))
    expected = [[1, np.float32(100) / np.float32(255) / np.float32(2)]]
    assert _images.corrected(tmp_path / "x.tif", tmp_path / "f.npy").tolist() == expected


def test_an_illumination_function_of_another_size_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((4, 5), np.uint8), photometric="minisblack")
    np.save(tmp_path / "f.npy", np.ones((5, 4), np.float32))
    with pytest.raises(InputError, match=r"x\.tif is \(4, 5\) px but .*f\.npy is \(5, 4\)"):
        _images.corrected(tmp_path / "x.tif", tmp_path / "f.npy")


def test_a_truncated_illumination_function_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((4, 5), np.uint8), photometric="minisblack")
    np.save(tmp_path / "f.npy", np.ones((4, 5), np.float32))
    (tmp_path / "f.npy").write_bytes((tmp_path / "f.npy").read_bytes()[:140])
    with pytest.raises(InputError, match=r"f\.npy cannot be read"):
        _images.corrected(tmp_path / "x.tif", tmp_path / "f.npy")


@pytest.mark.parametrize(
    ("pixels", "options", "match"),
    [
        (np.zeros((4, 5, 3), np.uint8), {"photometric": "rgb"}, "is a colour image"),
        (np.zeros((4, 5), np.float32), {}, "holds float32 pixels"),
        (np.zeros((2, 4, 5), np.uint8), {"metadata": {"axes": "ZYX"}, "truncate": True}, "is a stack of 2 planes"),
    ],
)
def test_what_is_not_one_grey_plane_is_refused(tmp_path, pixels, options, match):
    tifffile.imwrite(tmp_path / "x.tif", pixels, **{"photometric": "minisblack", **options})
    with pytest.raises(InputError, match=rf"x\.tif {match}"):
        _images.read(tmp_path / "x.tif")


def test_a_truncated_tiff_is_not_read_as_zeros_and_absence_is_said(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (64, 64)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="minisblack", rowsperstrip=8)
    (tmp_path / "x.tif").write_bytes((tmp_path / "x.tif").read_bytes()[:5000])
    with pytest.raises(InputError, match=r"x\.tif is truncated: 5000 of"):
        _images.read(tmp_path / "x.tif")
    with pytest.raises(InputError, match=r"y\.tif cannot be read: No such file"):
        _images.read(tmp_path / "y.tif")
