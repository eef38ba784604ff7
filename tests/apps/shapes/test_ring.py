import numpy as np
import pytest
import torch

from morphospace.apps.shapes import distances, ring


@pytest.fixture
def d():
    return torch.from_numpy(np.random.default_rng(5).normal(size=(6, 16, 16)))


def test_lags_run_from_each_point_on_and_back_again(d):
    lagged = ring.lags(d)
    assert lagged[2, 13, 5] == d[2, 13, (13 + 5) % 16]
    assert (ring.unlag(lagged) == d).all()


def test_another_first_point_shifts_lags_along_one_axis(d):
    rolled = d.roll((3, 3), (1, 2))
    assert (ring.lags(rolled) == ring.lags(d).roll(3, 1)).all()


def test_indices_change_as_on_one_matrix(d):
    shift, backward = torch.tensor([0, 1, 5, 15, 7, 0]), torch.tensor([0, 0, 1, 0, 1, 1]).bool()
    found = ring.reindex(d, shift, backward)
    for one, matrix, k, b in zip(found, d, shift, backward, strict=True):
        assert (one.numpy() == distances.reindex(matrix.numpy(), int(k), bool(b))).all()


def test_the_nearest_index_is_the_one_that_trying_all_finds(d):
    to = torch.from_numpy(np.random.default_rng(6).normal(size=d.shape))
    found = (ring.nearest_index(d, to) - to).square().sum((1, 2))
    for k, (matrix, wanted) in enumerate(zip(d.numpy(), to.numpy(), strict=True)):
        all_of_them = [distances.reindex(matrix, s, b) for s in range(16) for b in (False, True)]
        assert found[k].item() == pytest.approx(min(np.square(x - wanted).sum() for x in all_of_them))


def test_a_drawn_index_is_undone_by_the_nearest(d):
    generator = torch.Generator().manual_seed(2)
    drawn = ring.drawn_index(d, generator)
    assert not torch.equal(drawn, d)
    assert torch.equal(ring.nearest_index(drawn, d), d)
    again = ring.drawn_index(d, torch.Generator().manual_seed(2))
    assert torch.equal(again, drawn)
