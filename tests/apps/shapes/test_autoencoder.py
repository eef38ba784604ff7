import pytest
import torch

from morphospace.apps.shapes import ring
from morphospace.apps.shapes.autoencoder import Autoencoder, kinds
from morphospace.errors import InputError


def _shapes(n=16, many=5):
    t = torch.linspace(0, 2 * torch.pi, n + 1)[:-1]
    generator = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, many, 1, generator=generator) + 0.3
    points = torch.stack([a * torch.cos(t), b * torch.sin(t) + 0.2 * torch.cos(2 * t)], dim=2)
    return torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")


@pytest.fixture(params=["circular", "residual"])
def model(request):
    torch.manual_seed(0)
    made = Autoencoder(request.param, 16, 3, width=8)
    made.standardise(_shapes())
    return made


def test_a_matrix_becomes_a_few_numbers_and_a_matrix(model):
    z, drawn = model(_shapes())
    assert z.shape == (5, 3)
    assert drawn.shape == (5, 16, 16)
    assert torch.equal(model.encode(_shapes()), z)


def test_gradients_reach_every_parameter(model):
    z, drawn = model(_shapes())
    (drawn.square().sum() + z.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_circular_embedding_knows_neither_first_point_nor_direction():
    torch.manual_seed(0)
    model = Autoencoder("circular", 16, 3, width=8)
    model.standardise(_shapes())
    d = _shapes()
    z, drawn = model(d)
    for shift in (1, 7):
        for backward in (False, True):
            other = ring.reindex(d, torch.full((5,), shift), torch.full((5,), backward))
            found, redrawn = model(other)
            assert torch.allclose(found, z, atol=1e-6)
            loss = (ring.nearest_index(d, drawn) - drawn).square().mean()
            assert torch.allclose((ring.nearest_index(other, redrawn) - redrawn).square().mean(), loss, atol=1e-6)


def test_a_residual_embedding_does_know_them():
    torch.manual_seed(0)
    model = Autoencoder("residual", 16, 3, width=8)
    other = ring.reindex(_shapes(), torch.full((5,), 5), torch.zeros(5, dtype=torch.bool))
    assert not torch.allclose(model.encode(other), model.encode(_shapes()), atol=1e-4)


def test_what_is_standardised_has_mean_0_and_spread_1_and_is_the_same_from_every_first_point(model):
    d = _shapes()
    seen = (d - model._mean()) / model.spread
    assert ring.lags(seen).mean(dim=(0, 1)).abs().max() < 1e-6
    assert seen.square().mean().item() == pytest.approx(1, abs=1e-5)
    profile = model.profile.clone()
    model.standardise(d.roll((3, 3), (1, 2)))
    assert torch.allclose(model.profile, profile, atol=1e-6)


def test_equal_circles_do_not_divide_by_zero(model):
    t = torch.linspace(0, 2 * torch.pi, 17)[:-1]
    points = torch.stack([torch.cos(t), torch.sin(t)], dim=1).expand(3, 16, 2)
    model.standardise(torch.cdist(points, points).round(decimals=3))
    assert model.spread.item() > 0


@pytest.mark.parametrize(("points", "width"), [(12, 8), (8, 8), (16, 6), (16, 0)])
def test_points_and_width_that_cannot_be_halved_are_refused(points, width):
    with pytest.raises(InputError, match="points are a multiple of 8 from 16, width of 4"):
        Autoencoder("circular", points, 3, width)


def test_an_unknown_kind_is_refused_by_name():
    assert kinds(["residual", "circular", "residual"]) == ["residual", "circular"]
    with pytest.raises(InputError, match=r"no autoencoder 'resnet' of shapes \(there are: circular, residual\)"):
        kinds(["resnet"])
