"""The blocks give the principal components of all eight views, and views act on codes as on tiles."""

import itertools

import pytest
import scipy.fft
import torch
from torch import Tensor

from morphospace.models import _views

SIZE, K = 16, 10


def _tiles(n: int = 60, channels: int = 3) -> Tensor:
    x = torch.rand(n, channels, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    return x * torch.linspace(1, 0, SIZE)[:, None]


def _cosines(x: Tensor) -> Tensor:
    table = _views.cosines(SIZE, K)
    return table @ x @ table.T


def _turned(x: Tensor) -> list[Tensor]:
    found = []
    for transposed, rows, columns in itertools.product((0, 1), repeat=3):
        y = x.transpose(2, 3) if transposed else x
        found.append(y.flip([axis for axis, on in ((2, rows), (3, columns)) if on]))
    return found


def test_the_cosines_are_scipys() -> None:
    x = _tiles(2)
    known = scipy.fft.dctn(x.numpy(), axes=(2, 3), norm="ortho")[..., :K, :K]
    torch.testing.assert_close(_cosines(x), torch.from_numpy(known), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("k", [10, 9])
def test_they_are_the_components_of_all_eight_views(channels: int, k: int) -> None:
    x = _tiles(channels=channels)
    every = torch.cat([_cosines(y)[..., :k, :k].flatten(1) for y in _turned(x)]).double()
    known = torch.linalg.eigvalsh(every.T @ every / len(every)).flip(0).float()
    basis = _views.principal(torch.split(_cosines(x)[..., :k, :k], 17), channels * k * k)
    torch.testing.assert_close(basis.deviations.square(), known.clamp(min=0), atol=1e-4 * float(known[0]), rtol=1e-3)
    gram = basis.components.T @ basis.components
    torch.testing.assert_close(gram, torch.eye(len(gram)), atol=1e-4, rtol=0)


def test_fewer_are_the_largest_and_no_pair_is_parted() -> None:
    x = _cosines(_tiles())
    whole, some = _views.principal([x], 300), _views.principal([x], 20)
    count = len(some.deviations)
    assert count in (19, 20)
    torch.testing.assert_close(some.deviations, whole.deviations[:count])
    assert int(some.partner.max()) < count


def test_a_view_of_a_tile_is_that_view_of_its_codes() -> None:
    x = _tiles()
    basis = _views.principal([_cosines(x)], 120)
    codes = _cosines(x).flatten(1) @ basis.components
    for number, turned in enumerate(_turned(x)):
        view = torch.full((len(x),), number)
        found = _views.seen(codes, view, basis)
        torch.testing.assert_close(found, _cosines(turned).flatten(1) @ basis.components, atol=1e-4, rtol=0)
        torch.testing.assert_close(_views.unseen(found, view, basis), codes, atol=1e-5, rtol=0)


def test_all_eight_views_have_one_canonical_view() -> None:
    x = _tiles()
    basis = _views.principal([_cosines(x)], 120)
    found = [_views.canonical(_cosines(y).flatten(1) @ basis.components, basis) for y in _turned(x)]
    for one in found:
        torch.testing.assert_close(one.codes, found[0].codes, atol=1e-4, rtol=0)
        p, q = one.codes[:, basis.dipole].T
        assert bool(((p >= q) & (q >= 0)).all())
    assert len({tuple(one.view.tolist()) for one in found}) == 8
