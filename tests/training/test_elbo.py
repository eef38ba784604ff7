"""The loss against torch.distributions and plain loops; the schedules at their end points."""

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from morphospace.training import elbo


def _random(n: int = 5, z: int = 4) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    x, y = (torch.rand(n, 3, 6, 6, generator=g) for _ in range(2))
    mean, logvar = (torch.randn(n, z, generator=g) for _ in range(2))
    return x, y, mean, logvar


def test_the_divergence_is_that_of_torch_distributions() -> None:
    _, _, mean, logvar = _random()
    expected = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(elbo.kl_per_dimension(mean, logvar), expected)


def test_the_loss_is_what_plain_loops_give() -> None:
    x, y, mean, logvar = _random()
    reconstruction = kl = 0.0
    for i in range(len(x)):
        pixels = [(a - b) ** 2 for a, b in zip(x[i].flatten().tolist(), y[i].flatten().tolist(), strict=True)]
        reconstruction += 1000 * sum(pixels) / len(pixels)
        for m, v in zip(mean[i].tolist(), logvar[i].tolist(), strict=True):
            kl += -0.5 * (1 + v - m**2 - np.exp(v))
    loss = elbo.elbo(x, y, mean, logvar, 1000, beta=0.5)
    assert loss.reconstruction.item() == pytest.approx(reconstruction / 5, rel=1e-5)
    assert loss.kl.item() == pytest.approx(kl / 5, rel=1e-5)
    assert loss.loss.item() == pytest.approx((reconstruction + 0.5 * kl) / 5, rel=1e-5)


def test_with_r_elbo_the_loss_is_the_evidence_bound_of_unit_normal_pixels() -> None:
    x, y, mean, logvar = _random()
    r = elbo.resolve_r("elbo", channels=3, size=6)
    likelihood = Independent(Normal(y, 1.0), 3).log_prob(x)
    divergence = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(0.0, 1.0)).sum(1)
    constant = 0.5 * x[0].numel() * np.log(2 * np.pi)
    expected = -(likelihood - divergence).mean().item() - constant
    assert elbo.elbo(x, y, mean, logvar, r).loss.item() == pytest.approx(expected, rel=1e-5)


def test_a_perfect_reconstruction_from_the_prior_costs_nothing() -> None:
    x = torch.rand(2, 1, 4, 4)
    assert elbo.elbo(x, x, torch.zeros(2, 3), torch.zeros(2, 3), 1e4) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(("given", "expected"), [("elbo", 24_576.0), (10_000, 10_000.0), (0.5, 0.5)])
def test_r_is_resolved(given: float, expected: float) -> None:
    assert elbo.resolve_r(given, channels=3, size=128) == expected


@pytest.mark.parametrize(
    ("epoch", "warmup", "beta", "expected"),
    [(0, 0, 1.0, 1.0), (0, 4, 1.0, 0.25), (1, 4, 2.0, 1.0), (3, 4, 2.0, 2.0), (9, 4, 2.0, 2.0), (5, 3, 0.0, 0.0)],
)
def test_the_weight_of_the_divergence_rises_to_beta(epoch: int, warmup: int, beta: float, expected: float) -> None:
    assert elbo.kl_weight(epoch, warmup, beta) == expected


@pytest.mark.parametrize(
    ("epoch", "decay", "step", "expected"),
    [(0, 0.5, 3, 1.0), (2, 0.5, 3, 1.0), (3, 0.5, 3, 0.5), (7, 0.5, 3, 0.25), (99, 1.0, 1, 1.0)],
)
def test_the_learning_rate_falls_in_steps(epoch: int, decay: float, step: int, expected: float) -> None:
    assert elbo.learning_rate(epoch, 1.0, decay, step) == expected
