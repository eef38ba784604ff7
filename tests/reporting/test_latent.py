"""Figures of the latent space show what they are given."""

import numpy as np
import pytest

from morphospace.reporting import latent


@pytest.mark.parametrize(("z_dim", "panels"), [(3, 3), (75, 20)])
def test_the_first_twenty_dimensions_have_a_histogram(z_dim: int, panels: int) -> None:
    mean = np.random.default_rng(0).normal(size=(200, z_dim))
    figure = latent.histogram(mean, mean, "test")
    titles = [a.get_title() for a in figure.axes if a.axison]
    assert titles == [f"dimension {k}" for k in range(panels)]


def test_kl_bars_are_sorted_and_tell_active_from_not() -> None:
    figure = latent.kl(np.array([0.0, 2.0, 1.0]), np.array([False, True, True]), 0.01)
    heights = {c.get_label(): [b.get_height() for b in c] for c in figure.axes[0].containers}  # type: ignore[attr-defined]
    assert list(heights.values()) == [[2.0, 1.0], [0.0]]
    assert any("2 of 3" in str(label) for label in heights)
    assert len(latent.kl(np.ones(2), np.ones(2, dtype=bool), 0.01).axes[0].containers) == 1


def test_what_is_drawn_from_both_priors_stands_side_by_side() -> None:
    figure = latent.generated(np.zeros((20, 1, 8, 8)), np.ones((20, 1, 8, 8)), ["DNA"])
    assert len(figure.axes) == 40
    assert [a.get_ylabel() for a in figure.axes[::10]] == ["N(0, I)"] * 2 + ["like training\ncells"] * 2


def test_walks_are_labelled_by_dimension_and_step() -> None:
    walk = np.zeros((5, 3, 8, 8))
    figure = latent.walks([walk, walk], [7, 2], [1.5, 0.5], "KL", 3.0)
    assert [a.get_ylabel() for a in figure.axes[::5]] == ["z 7, KL 1.50", "z 2, KL 0.50"]
    assert [a.get_xlabel() for a in figure.axes[5:]] == ["-3 sd", "-1.5 sd", "0 sd", "+1.5 sd", "+3 sd"]


def test_without_a_posterior_the_histograms_are_of_what_varies_most() -> None:
    mean = np.array([[-1.0], [1.0]]) * np.r_[np.zeros(20), np.arange(20.0, 0.0, -1.0)]
    titles = [a.get_title() for a in latent.histogram(mean, None, "test").axes if a.axison]
    assert titles == [f"dimension {k}" for k in range(20, 40)]


def test_a_latent_that_is_0_everywhere_is_drawn() -> None:
    assert len(latent.histogram(np.zeros((5, 3)), None, "test").axes) == 5
