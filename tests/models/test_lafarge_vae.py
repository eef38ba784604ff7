"""The two trainings of VAE+ do not touch each other, and its distance of activations is one."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from morphospace.errors import TrainingError
from morphospace.models import conv_vae, lafarge_vae
from morphospace.models._base import Plan


def _model(**options: Any) -> lafarge_vae.LafargeVAE:
    torch.manual_seed(0)
    return lafarge_vae.build(3, 32, 4, **options)


def _tiles(n: int = 8) -> Tensor:
    return torch.rand(n, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def _slopes(model: nn.Module, of: Tensor) -> dict[str, float]:
    """Size of the slope of a loss by part of the model; a part without any is left out."""
    model.zero_grad()
    of.backward()
    found: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            part = name.split(".")[0]
            found[part] = found.get(part, 0.0) + float(parameter.grad.abs().sum())
    return found


def test_each_term_trains_its_own_part() -> None:
    model = _model()
    model.advance(9, 0.0)
    terms = model(_tiles()).terms
    judged = _slopes(model, terms["discriminator"])
    assert set(judged) == {"discriminator"}
    assert judged["discriminator"] > 0
    drawn = _slopes(model, model(_tiles()).terms["features"])
    assert set(drawn) == {"encoder", "mean", "logvar", "decoder"}
    assert min(drawn.values()) > 0


def test_the_slope_of_the_features_is_that_of_the_discriminator_held_still() -> None:
    model = _model(feature_weight=3.0)
    model.advance(9, 0.0)
    torch.manual_seed(2)
    model(_tiles()).terms["features"].backward()
    found = [p.grad.clone() for p in model.decoder.parameters() if p.grad is not None]
    model.zero_grad()
    model.discriminator.requires_grad_(False)
    torch.manual_seed(2)
    drawn, x = model(_tiles()).reconstruction, _tiles()
    far = []
    for a, b in zip(model.discriminator(x)[1], model.discriminator(drawn)[1], strict=True):
        far.append(((a - b) ** 2).mean() / a.var(correction=0) * x.var(correction=0))
    (3.0 * torch.stack(far).mean()).backward()
    wanted = [p.grad for p in model.decoder.parameters() if p.grad is not None]
    assert len(found) == len(wanted) > 0
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-7)


def test_a_few_steps_teach_the_discriminator_to_tell_stripes_from_their_blur() -> None:
    torch.manual_seed(0)
    judge = lafarge_vae.Discriminator(1)
    phase = torch.rand(32, 1, 1, 1) * 6
    real = (torch.arange(32.0).view(1, 1, 1, 32) * 2 + phase).sin().expand(32, 1, 32, 32) / 2 + 0.5
    both = torch.cat([real, nn.functional.avg_pool2d(real, 5, stride=1, padding=2)])
    truth = torch.cat([torch.ones(32), torch.zeros(32)])
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    losses = []
    for _ in range(15):
        loss = nn.functional.binary_cross_entropy_with_logits(judge(both)[0], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert (((judge(both)[0] > 0) == (truth > 0)).float().mean()) == 1


def test_the_distance_of_equal_tiles_is_0_and_is_the_squared_error_where_the_layer_is_the_pixels() -> None:
    judge, x = _model().discriminator, _tiles()
    hidden = judge(x)[1]
    assert len(hidden) == 4
    assert [float(d.detach()) for d in lafarge_vae.distances(x, hidden, judge(x.clone())[1])] == [0] * 4
    drawn = x + 0.1 * torch.randn(x.shape)
    mse = (x - drawn).square().mean()
    (same,) = lafarge_vae.distances(x, [x], [drawn])
    (scaled,) = lafarge_vae.distances(x, [50 * x + 3], [50 * drawn + 3])
    torch.testing.assert_close(same, mse)
    torch.testing.assert_close(scaled, mse)


def test_even_activations_and_black_tiles_give_a_finite_distance() -> None:
    x = torch.zeros(2, 3, 32, 32)
    (none,) = lafarge_vae.distances(x, [torch.ones(2, 4, 8, 8)], [torch.zeros(2, 4, 8, 8)])
    assert float(none) == 0
    (dead,) = lafarge_vae.distances(_tiles(2), [torch.ones(2, 4, 8, 8)], [torch.ones(2, 4, 8, 8)])
    assert float(dead) == 0


@pytest.mark.parametrize(
    ("epoch", "share", "weights"),
    [
        (0, 0.0, [0, 0, 0, 0]),
        (2, 0.0, [0, 0, 0, 0]),
        (3, 0.0, [0.5, 0, 0, 0]),
        (4, 0.5, [1, 0.25, 0, 0]),
        (10, 0.0, [1, 1, 1, 1]),
        (900, 0.9, [1, 1, 1, 1]),
    ],
)
def test_the_layers_begin_to_count_one_after_the_other(epoch: int, share: float, weights: list[float]) -> None:
    model = _model(ramp=2.0)
    model.advance(epoch, share)
    assert model.weights() == weights
    assert (float(model(_tiles()).terms["features"].detach()) > 0) == any(weights)


def test_there_are_terms_in_training_only() -> None:
    model = _model()
    model.advance(9, 0.0)
    assert set(model(_tiles()).terms) == {"discriminator", "features"}
    assert float(model(_tiles()).logs["told_apart"]) in {i / 16 for i in range(17)}
    out = model.eval()(_tiles())
    assert (dict(out.terms), dict(out.logs)) == ({}, {})


def test_without_its_discriminator_it_is_the_model_of_the_thesis() -> None:
    theirs, mine = conv_vae.build(3, 32, 4).state_dict(), _model().state_dict()
    assert {k: v.shape for k, v in mine.items() if not k.startswith("discriminator")} == {
        k: v.shape for k, v in theirs.items()
    }


@pytest.mark.parametrize(("size", "hint"), [(72, "64 or 80"), (8, "to 16")])
def test_a_size_that_16_does_not_divide_is_refused(size: int, hint: str) -> None:
    with pytest.raises(TrainingError, match=f"lafarge_vae needs tiles.*multiple of 16, not {size}.*{hint}"):
        lafarge_vae.build(3, size, 4)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            Plan(9, 4),
            r"4 layers .* in 10 epochs, train\.epochs is 4: set it to at least 10, or .*ramp to 0\.8",
        ),
        (
            Plan(9, 20, 4),
            r"train\.patience 4 may stop it after epoch 5: .* 0, or to at least 9, or .*ramp to 1 ",
        ),
    ],
)
def test_a_training_in_which_a_layer_never_counts_in_full_is_refused_with_what_fits(plan: Plan, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        _model(ramp=2.0).require(plan)


def test_a_training_that_is_accepted_ends_with_all_layers_in_full() -> None:
    model = _model(ramp=1.5)
    model.require(Plan(9, 8))
    with pytest.raises(TrainingError):
        model.require(Plan(9, 7))
    model.advance(7, 0.99)
    assert model.weights() == pytest.approx([1, 1, 1, 1], abs=0.01)
