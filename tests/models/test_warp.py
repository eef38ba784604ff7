"""Tiles are turned, moved and scaled by as much as was asked, and not at all when nothing was."""

import numpy as np
import torch

from morphospace.models._warp import warped


def _dot(row: float, column: float, size: int = 33) -> torch.Tensor:
    y, x = np.mgrid[:size, :size]
    return torch.from_numpy(np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)).float()[None, None]


def _centres(tiles: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    mass = tiles[:, 0] / tiles[:, 0].sum(dim=(1, 2), keepdim=True)
    axis = torch.arange(tiles.shape[-1], dtype=torch.float32) - (tiles.shape[-1] - 1) / 2
    return (mass.sum(2) @ axis).numpy(), (mass.sum(1) @ axis).numpy()


def test_nothing_asked_is_nothing_done() -> None:
    x = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(warped(x, 0, 0, 1, torch.Generator().manual_seed(0)), x, atol=1e-5, rtol=1e-5)


def test_a_turn_keeps_the_distance_from_the_middle_and_stays_within_its_bound() -> None:
    x = _dot(16, 24).expand(400, -1, -1, -1)
    rows, columns = _centres(warped(x, 30, 0, 1, torch.Generator().manual_seed(0)))
    np.testing.assert_allclose(np.hypot(rows, columns), 8, atol=0.1)
    angles = np.degrees(np.arctan2(rows, columns))
    assert np.abs(angles).max() < 30.5
    assert angles.min() < -28
    assert angles.max() > 28


def test_shifts_are_of_the_side_and_scales_as_often_up_as_down() -> None:
    x = _dot(16, 16).expand(400, -1, -1, -1)
    rows, columns = _centres(warped(x, 0, 0.2, 1, torch.Generator().manual_seed(0)))
    for moved in (rows, columns):
        assert 6 < np.abs(moved).max() < 0.2 * 33 + 0.1
    grown = warped(x, 0, 0, 1.5, torch.Generator().manual_seed(0)).sum(dim=(1, 2, 3)) / x[0].sum()
    assert 1.5**-2 * 0.98 < float(grown.min()) < 0.5
    assert 2 < float(grown.max()) < 1.5**2 * 1.02
    assert 0.4 < float((grown > 1).float().mean()) < 0.6


def test_the_same_chance_gives_the_same_tiles() -> None:
    x = torch.rand(4, 2, 16, 16)
    a, b = (warped(x, 45, 0.1, 1.3, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b)
