"""What mends a small picture reaches its neighbourhood alone, follows brightness, and has autograd's gradients."""

import pytest
import torch

from morphospace.models import _mend, _views

BAND = 13


def _made(channels: int = 2, band: int = BAND, grid: int = 5) -> _mend.Mend:
    torch.manual_seed(0)
    return _mend.Mend(channels, band, grid, 8, 1.0)


@pytest.mark.parametrize(("channels", "band", "grid"), [(1, 13, 5), (2, 24, 8), (8, 4, 4), (3, 7, 1), (3, 2, 9)])
def test_any_band_and_any_grid_give_as_many_coefficients(channels: int, band: int, grid: int) -> None:
    x = torch.randn(3, channels, band, band)
    assert _made(channels, band, grid)(x).shape == x.shape


def test_its_derivatives_are_autograds_where_autograd_is_off() -> None:
    mend = _made()
    x, other = torch.randn(4, 2, BAND, BAND), torch.randn(4, 2, BAND, BAND)
    _, pulled = torch.autograd.functional.vjp(mend, x, other)
    _, pushed = torch.autograd.functional.jvp(mend, x, other)
    with torch.inference_mode():
        active = mend.active(x)
        torch.testing.assert_close(mend.pulled(other, active), pulled, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(mend.pushed(other, active), pushed, atol=1e-5, rtol=1e-5)


def test_it_follows_brightness() -> None:
    mend, x = _made(), torch.randn(4, 2, BAND, BAND)
    with torch.no_grad():
        torch.testing.assert_close(mend(3 * x), 3 * mend(x), atol=1e-5, rtol=1e-5)


def test_what_is_far_away_changes_nothing() -> None:
    """Three kernels reach three patches: with 13 patches of one px, the last column does not know the first."""
    mend, table = _made(grid=BAND), _views.cosines(BAND, BAND)
    picture = torch.randn(1, 2, BAND, BAND)
    other = picture.clone()
    other[..., 0] += 1
    with torch.no_grad():
        drawn = [table.T @ mend(table @ p @ table.T) @ table for p in (picture, other)]
    changed = (drawn[0] - drawn[1]).abs().amax(dim=(0, 1, 2))
    assert float(changed[:4].min()) > 1e-3
    assert float(changed[4:].max()) < 1e-5
