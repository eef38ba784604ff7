import numpy as np
import pytest
import torch

from morphospace.apps.shapes import losses

LOSSES = [losses.diagonal, losses.negative, losses.asymmetry, losses.triangle]


@pytest.fixture
def true():
    """Distance matrices of random points, (4, 12, 12)."""
    points = torch.from_numpy(np.random.default_rng(3).normal(size=(4, 12, 2)))
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


@pytest.mark.parametrize("loss", LOSSES)
def test_true_distances_have_no_loss(loss, true):
    assert loss(true).item() == pytest.approx(0, abs=1e-12)


def _set(d, i, j, value):
    d = d.clone()
    d[0, i, j] = value
    return d


@pytest.mark.parametrize(
    ("loss", "place", "value"),
    [
        (losses.diagonal, (2, 2), 0.5),
        (losses.negative, (1, 4), -0.5),
        (losses.asymmetry, (1, 4), 9.0),
        (losses.triangle, (1, 4), 99.0),
    ],
)
def test_each_loss_sees_its_own_violation(loss, place, value, true):
    assert loss(_set(true, *place, value)).item() > 1e-5


def test_values_can_be_read_by_eye():
    d = torch.tensor([[[1.0, -2], [3, 0]]])
    assert losses.diagonal(d).item() == 0.5
    assert losses.negative(d).item() == 1.0
    assert losses.asymmetry(d).item() == 12.5


def test_the_triangle_loss_is_the_sum_over_all_ways_round(true):
    d = true + torch.from_numpy(np.random.default_rng(4).normal(0, 0.3, true.shape))
    n, many = d.shape[1], len(d)
    by_hand = 0.0
    for m in range(many):
        for i in range(n):
            for j in range(n):
                for k in range(n):
                    by_hand += max(0.0, float(d[m, i, k] - d[m, i, j] - d[m, j, k]))
    assert losses.triangle(d).item() == pytest.approx(by_hand / (many * n**3))
    some = [losses.triangle(d, torch.tensor([j])).item() for j in range(n)]
    assert np.mean(some) == pytest.approx(losses.triangle(d).item())


def test_the_printed_sign_punishes_what_is_right(true):
    """Kept to show it: the published formula is positive for true distances and gone for no shape at all."""
    detour = true.unsqueeze(3) + true.unsqueeze(1)
    printed = torch.relu((detour - true.unsqueeze(2)).mean())
    assert printed > 0.5
    assert losses.triangle(true).item() == pytest.approx(0, abs=1e-12)


def test_gradients_repair_a_matrix(true):
    d = (true + 0.5 * torch.randn(true.shape, generator=torch.Generator().manual_seed(1))).requires_grad_()
    before = sum(loss(d) for loss in LOSSES).item()
    optimizer = torch.optim.Adam([d], lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        sum(loss(d) for loss in LOSSES).backward()
        optimizer.step()
    assert sum(loss(d) for loss in LOSSES).item() < 0.1 * before
