"""It starts as PCA of what it is trained on, and says so in its reconstructions."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from morphospace.models import _build, pca_autoencoder
from morphospace.models._base import Shown
from morphospace.training import embedding, fitting
from morphospace.training.objective import Objective
from morphospace.training.settings import Settings

SIZE, Z = 16, 4


def _tiles(n: int = 600, channels: int = 2) -> Tensor:
    """Random mixtures of ten pictures, whose deviations fall by half each, and a little noise."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(10, channels, SIZE, SIZE, generator=generator)
    weights = torch.randn(n, 10, generator=generator) * 0.5 ** torch.arange(10)
    noise = 0.01 * torch.randn(n, channels, SIZE, SIZE, generator=generator)
    return 3 + (weights @ pictures.flatten(1)).view(n, channels, SIZE, SIZE) + noise


def _endless(x: Tensor, size: int) -> Iterator[Tensor]:
    return itertools.cycle(x.split(size))


@pytest.mark.parametrize("size", [7, 100, 600])
def test_one_pass_finds_what_scikit_learn_finds(size: int) -> None:
    x = _tiles()
    mean, components, deviations = pca_autoencoder.principal(_endless(x, size), Z, 600)
    known = PCA(Z, svd_solver="full").fit(x.flatten(1).double())
    np.testing.assert_allclose(mean, known.mean_, atol=1e-4)
    alike = np.abs(np.einsum("dk,kd->k", components.numpy(), known.components_))
    np.testing.assert_allclose(alike, 1, atol=1e-4)
    np.testing.assert_allclose(deviations, np.sqrt(known.explained_variance_), rtol=2e-3)


def test_directions_that_tiles_do_not_have_are_empty() -> None:
    few = _tiles(3)
    mean, components, deviations = pca_autoencoder.principal(_endless(few, 3), Z, 3)
    assert torch.isfinite(components).all()
    assert (components.norm(dim=0) > 0.5).tolist() == [True, True, False, False]
    assert deviations[2:].tolist() == [1, 1]
    drawn = (few.flatten(1) - mean) @ components @ components.T + mean
    torch.testing.assert_close(drawn, few.flatten(1), atol=1e-4, rtol=0)


def test_prepared_it_draws_nearly_as_pca_and_its_latent_is_white() -> None:
    x = _tiles()
    torch.manual_seed(1)
    model = pca_autoencoder.build(2, SIZE, Z, views=600).eval()
    model.prepare(Shown(lambda: iter(x.split(50)), _endless(x, 50)))
    with torch.inference_mode():
        z, drawn = model.encode(x).mean, model.reconstruct(x)
    known = PCA(Z, svd_solver="full").fit(x.flatten(1))
    pca = torch.from_numpy(known.inverse_transform(known.transform(x.flatten(1)))).view_as(x)
    left = (x - pca).square().mean()
    assert (x - drawn).square().mean() < 2 * left + 0.02 * x.var()
    assert z.std(dim=0).sub(1).abs().max() < 0.3


def test_what_is_learnt_is_local_and_the_same_everywhere() -> None:
    torch.manual_seed(1)
    model = pca_autoencoder.build(1, 32, Z).eval()
    one = torch.zeros(1, 1, 32, 32)
    one[..., 16, 12] = 1
    with torch.inference_mode():
        change = model.refine(one) - model.refine(torch.zeros_like(one))
        moved = model.refine(one.roll(3, dims=2)) - model.refine(torch.zeros_like(one))
    reached = change.abs() > 1e-9
    assert reached[..., 12:21, 8:17].all()
    assert reached.sum() == 81
    torch.testing.assert_close(moved[..., 10:26, 6:18], change.roll(3, dims=2)[..., 10:26, 6:18])


def _fit(folder: Path, array: np.ndarray, epochs: int, mode: str = "joint") -> tuple[torch.nn.Module, fitting.Fitted]:
    torch.manual_seed(1)
    model = _build.build("pca_autoencoder", 2, SIZE, Z, {"views": 40}, mode)  # type: ignore[arg-type]
    settings = Settings(7, epochs, 20, 1e-4, Objective(100.0))
    return model, fitting.fit(model, array, np.arange(40), np.arange(40, 60), settings, folder, "a")


def test_training_prepares_it_once_and_a_resumed_one_ends_the_same(tmp_path: Path) -> None:
    array = _tiles(60).mul(20).clamp(0, 255).to(torch.uint8).numpy()
    whole, _ = _fit(tmp_path / "whole", array, 3)
    _fit(tmp_path / "cut", array, 1)
    resumed, fitted = _fit(tmp_path / "cut", array, 3)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    known = PCA(Z).fit(array[:40].reshape(40, -1) / 255)
    np.testing.assert_allclose(whole.mean, known.mean_, atol=1e-5)
    mse = np.square(embedding.reconstruct(resumed, array, 20) - array / 255).mean()
    assert mse < array.std() ** 2 / 255**2
    assert fitted.history[-1].epoch == 3


def test_planes_are_prepared_one_by_one_when_channels_are_folded(tmp_path: Path) -> None:
    array = _tiles(60).mul(20).clamp(0, 255).to(torch.uint8).numpy()
    model, _ = _fit(tmp_path, array, 1, "folded")
    planes = array[:40].reshape(80, -1) / 255
    assert model.inner.mean.shape == (SIZE * SIZE,)
    assert ((model.inner.mean.numpy() >= planes.min(axis=0) - 1e-6) & (model.inner.mean.numpy() > 0)).all()
