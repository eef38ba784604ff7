import numpy as np
import pytest

from morphospace.metrics import handmade


def disc(radius: float, at: tuple[int, int] = (31, 31), value: int = 200) -> np.ndarray:
    y, x = np.mgrid[:64, :64]
    return (value * (np.hypot(y - at[0], x - at[1]) < radius)).astype(np.uint8)


def named(tile: np.ndarray) -> dict[str, float]:
    return dict(zip(handmade.names(len(tile)), handmade.features(tile[None], 0)[0], strict=True))


def test_three_channels_have_34_numbers() -> None:
    assert len(handmade.names(3)) == 34
    assert handmade.features(np.zeros((2, 3, 16, 16), np.uint8), 0).shape == (2, 34)


def test_the_nucleus_is_the_object_in_the_middle() -> None:
    both = np.maximum(disc(8), disc(6, (8, 8)))
    found = named(np.stack([both, disc(20)]))
    assert found["Nuclei_AreaShape_area"] == pytest.approx(np.pi * 64, rel=0.05)
    assert found["Nuclei_AreaShape_eccentricity"] < 0.2


def test_a_flat_tile_has_no_nucleus_and_no_texture() -> None:
    found = named(np.full((2, 16, 16), 7, np.uint8))
    assert found["Nuclei_AreaShape_area"] == 0
    assert found["Cells_Intensity_mean_1"] == 7
    assert found["Cells_Texture_contrast_0"] == 0
    assert np.isfinite(list(found.values())).all()


def test_texture_tells_stripes_from_a_plane() -> None:
    stripes = np.tile(np.array([0, 255] * 16, np.uint8), (32, 1))
    found = named(np.stack([stripes, np.full((32, 32), 128, np.uint8)]))
    assert found["Cells_Texture_contrast_0"] > 10 * (found["Cells_Texture_contrast_1"] + 1)
