"""It starts as PCA of all views, does not mind how a cell lies, learns, resumes, and refines to what is more likely."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from morphospace.errors import TrainingError
from morphospace.models import _build, canonical_vae
from morphospace.models._base import Shown
from morphospace.training import embedding, fitting
from morphospace.training.augment import Augmentation
from morphospace.training.module import Observer
from morphospace.training.objective import Objective
from morphospace.training.settings import Settings

SIZE, Z = 32, 9
OPTIONS: dict[str, Any] = {"components": 60, "copies": 600, "encoder_width": 32, "decoder_width": 48}


def _cells(n: int = 120, channels: int = 2) -> np.ndarray:
    """Ellipses with an off-centre nucleus, at any angle: uint8 tiles (n, channels, 32, 32)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    found = []
    for angle, long, short, bright in zip(
        rng.uniform(0, 2 * np.pi, n), rng.uniform(7, 13, n), rng.uniform(4, 8, n), rng.uniform(80, 250, n), strict=True
    ):
        u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        cell = bright / (1 + np.exp(4 * ((u / long) ** 2 + (v / short) ** 2 - 1)))
        nucleus = bright * np.exp(-((u - 3) ** 2 + v**2) / 8)
        found.append(np.stack([cell, nucleus][:channels]))
    return np.stack(found).astype(np.uint8)


def _model(channels: int = 2, z_dim: int = Z, **options: Any) -> canonical_vae.CanonicalVAE:
    torch.manual_seed(1)
    return canonical_vae.build(channels, SIZE, z_dim, **(OPTIONS | options))


def _shown(tiles: np.ndarray) -> Shown:
    x = torch.from_numpy(tiles).float() / 255

    def endless() -> Iterator[Tensor]:
        while True:
            yield x

    return Shown(lambda: iter(x.split(50)), endless())


def _prepared(**options: Any) -> canonical_vae.CanonicalVAE:
    model = _model(**options)
    model.prepare(_shown(_cells()))
    return model.eval()


def _fit(folder: Path, epochs: int, observer: Observer | None = None, **changes: Any) -> fitting.Fitted:
    given: dict[str, Any] = {"minibatch": 64, "learning_rate": 1e-3, "weight_decay": 0.01, "warmup": 5, "average": 0.1}
    settings = Settings(**({"seed": 3, "epochs": epochs, "objective": Objective(1.0)} | given | changes))
    folder.mkdir(exist_ok=True)
    return fitting.fit(_model(), _cells(), np.arange(90), np.arange(90, 120), settings, folder, "a", observer)


def _turned(x: Tensor) -> list[Tensor]:
    return [y.rot90(quarter, (2, 3)) for y in (x, x.flip(3)) for quarter in range(4)]


def test_at_the_start_it_draws_nearly_as_pca_of_all_views() -> None:
    x = torch.from_numpy(_cells()).float() / 255
    every = torch.cat([y.flatten(1) for y in _turned(x)])
    _, _, components = torch.linalg.svd(every, full_matrices=False)
    some = components[: Z - 1].T
    pca = (x.flatten(1) - x.flatten(1) @ some @ some.T).square().mean()
    model = _prepared(refine=0, copies=1)
    with torch.no_grad():
        error = (model.reconstruct(x) - x).square().mean()
    assert float(error) == pytest.approx(float(pca), rel=0.15)


def test_a_view_of_a_cell_is_drawn_as_that_view_of_its_reconstruction() -> None:
    model, x = _prepared(), torch.from_numpy(_cells(8)).float() / 255
    with torch.no_grad():
        first = model.locate(x).mean
        drawn = model.decode(first)
        views = set()
        for turned, wanted in zip(_turned(x), _turned(drawn), strict=True):
            z = model.locate(turned).mean
            torch.testing.assert_close(z[:, :-1], first[:, :-1], atol=1e-3, rtol=1e-3)
            torch.testing.assert_close(model.decode(z), wanted, atol=1e-3, rtol=0)
            views.add(tuple(z[:, -1].tolist()))
    assert len(views) == 8


def test_a_brighter_cell_lies_further_out_in_the_same_direction() -> None:
    model, x = _prepared(refine=0), torch.from_numpy(_cells(8)).float() / 510
    with torch.no_grad():
        dim, bright = model.encode(x).mean, model.encode(2 * x).mean
        torch.testing.assert_close(bright[:, :-1], 2 * dim[:, :-1], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(model.decode(bright), 2 * model.decode(dim), atol=1e-4, rtol=1e-4)


def test_refinement_never_draws_worse_and_its_slopes_are_autograds() -> None:
    model, x = _prepared(), torch.from_numpy(_cells(20)).float() / 255
    with torch.no_grad():
        errors = []
        for steps in (0, 1, 2, 8):
            model.refinements = steps
            found = model.locate(x)
            assert found.logvar is not None
            assert bool(torch.isfinite(found.logvar).all())
            errors.append(float((model.decode(found.mean) - x).square().mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0]
    z = torch.randn(3, Z - 1)
    known = torch.stack([torch.autograd.functional.jacobian(lambda q: model._dense(q[None])[0], one) for one in z])
    torch.testing.assert_close(model._slopes(z), known.transpose(1, 2), atol=1e-4, rtol=1e-4)


def test_the_derivatives_of_what_mends_are_autograds_and_refinement_goes_by_them() -> None:
    model, x = _prepared(components=90), torch.from_numpy(_cells(20)).float() / 255
    assert model.mend is not None
    torch.nn.init.normal_(model.mend.last.weight, std=0.1)  # at first it adds next to nothing
    z, wanted = torch.randn(5, Z - 1), torch.randn(5, 90)
    known = torch.stack([torch.autograd.functional.jacobian(lambda q: model._decoded(q[None])[0], one) for one in z])
    with torch.inference_mode():
        pushed, pulled = model._mending(z)
        slopes = model._slopes(z)
        exact = torch.stack([pushed(slopes[:, k]) for k in range(Z - 1)], dim=2)
        torch.testing.assert_close(exact, known, atol=1e-4, rtol=1e-4)
        found = canonical_vae.rows(slopes, pulled(wanted))
        torch.testing.assert_close(found[:, None], wanted[:, None] @ known, atol=1e-4, rtol=1e-4)
    with torch.no_grad():
        errors = {}
        for steps in (0, 2, 30):
            model.refinements = steps
            errors[steps] = float((model.reconstruct(x) - x).square().mean())
    assert errors[2] - errors[30] < 0.2 * (errors[0] - errors[30])


@pytest.mark.parametrize("mend_width", [0, 16])
def test_twice_as_bright_is_drawn_twice_as_bright(mend_width: int) -> None:
    model = _prepared(mend_width=mend_width)
    z = torch.randn(4, Z - 1)
    with torch.no_grad():
        torch.testing.assert_close(model._decoded(2 * z), 2 * model._decoded(z), atol=1e-5, rtol=1e-5)


def test_the_refined_point_is_a_minimum_of_the_posterior_and_its_spread_the_curvatures() -> None:
    model, x = _prepared(refine=60), torch.from_numpy(_cells(4)).float() / 255
    with torch.no_grad():
        found = model.locate(x)
    z = found.mean[:, :-1].clone().requires_grad_()
    view = model._view(found.mean)
    codes = canonical_vae._views.seen(model._codes(model._cosines(x)), view, model.basis)
    variance = model.variance * (codes.square().sum(dim=1) + model.floor).sqrt()
    energy = ((codes - model._decoded(z)).square().sum(dim=1) / variance / 2 + z.square().sum(dim=1) / 2).sum()
    (slope,) = torch.autograd.grad(energy, z)
    assert float(slope.abs().max()) < 0.05 * float((codes.square().sum(dim=1) / variance).min()) ** 0.5
    with torch.no_grad():
        slopes = model._slopes(z)
        precision = slopes @ slopes.transpose(1, 2) / variance[:, None, None] + torch.eye(Z - 1)
        wanted = torch.diagonal(torch.linalg.inv(precision), dim1=1, dim2=2).log()
    assert found.logvar is not None
    torch.testing.assert_close(found.logvar[:, :-1], wanted, atol=0.05, rtol=0.05)


def test_as_many_as_300_numbers_are_refined_by_two_threads() -> None:
    """LU of matrices that large failed with more than one thread."""
    model = _model(z_dim=300, components=320, band=1.0, copies=1)
    model.prepare(_shown(_cells()))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with torch.no_grad():
            found = model.eval().locate(torch.from_numpy(_cells(70)).float() / 255)
    finally:
        torch.set_num_threads(before)
    assert found.logvar is not None
    assert bool(found.mean.isfinite().all())
    assert bool(found.logvar.isfinite().all())


def test_it_learns_from_every_tile_equally_often_and_the_loss_falls(tmp_path: Path) -> None:
    assert [_model().copies(n) for n in (1, 90, 600, 601)] == [600, 540, 600, 601]
    seen: list[tuple[int, int]] = []

    class Steps(Observer):
        def on_step(self, epoch: int, step: int, steps: int) -> None:
            seen.append((step, steps))

    fitted = _fit(tmp_path, 8, Steps())
    assert max(seen) == (9, 9)  # 540 copies in minibatches of 64
    losses = [row.validation_loss for row in fitted.history]
    assert None not in losses
    assert losses[-1] < losses[0]  # type: ignore[operator]
    model = _model()
    model.load_state_dict(fitted.weights)
    test = _cells(160)[120:]
    drawn = embedding.reconstruct(model, test, 16)
    start = _model()
    start.prepare(_shown(_cells()[:90]))
    before = embedding.reconstruct(start, test, 16)
    errors = [float(np.square(d - test / np.float32(255)).mean()) for d in (drawn, before)]
    assert errors[0] < errors[1]


def test_a_training_that_was_killed_or_is_to_go_on_ends_in_the_same_bytes(tmp_path: Path) -> None:
    class Killer(Observer):
        def on_step(self, epoch: int, step: int, steps: int) -> None:
            if (epoch, step) == (3, 2):
                raise RuntimeError("killed")

    whole = _fit(tmp_path / "whole", 4)
    with pytest.raises(RuntimeError, match="killed"):
        _fit(tmp_path / "cut", 4, Killer())
    _fit(tmp_path / "more", 2)
    for name in ("cut", "more"):
        again = _fit(tmp_path / name, 4)
        assert again.history == whole.history
        for key, wanted in whole.weights.items():
            assert torch.equal(again.weights[key], wanted), (name, key)


def test_the_weights_that_count_are_the_average(tmp_path: Path) -> None:
    averaged, last = _fit(tmp_path / "a", 2), _fit(tmp_path / "b", 2, average=0.0)
    assert averaged.history[0].train_loss == last.history[0].train_loss  # the steps are the same ones
    assert not torch.equal(averaged.weights["into"], last.weights["into"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"augment": Augmentation(flips=True)}, "train.augment"),
        ({"objective": Objective(1.0, "l1")}, "train.likelihood"),
        ({"objective": Objective(1.0, background=0.0)}, "train.background"),
    ],
)
def test_a_setting_that_would_change_nothing_is_refused(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=named):
        _fit(tmp_path, 1, **changes)


def test_too_few_components_or_latent_numbers_are_refused() -> None:
    with pytest.raises(TrainingError, match="raise canonical_vae"):
        _model(z_dim=80)
    with pytest.raises(TrainingError, match="z_dim of 2 or more"):
        _model(z_dim=1)


@pytest.mark.parametrize("value", [0, 255])
def test_tiles_that_all_are_alike_give_finite_weights_and_pictures(value: int, tmp_path: Path) -> None:
    tiles = np.full((40, 2, SIZE, SIZE), value, np.uint8)
    settings = Settings(seed=3, epochs=1, minibatch=64, learning_rate=1e-3, objective=Objective(1.0))
    fitted = fitting.fit(_model(), tiles, np.arange(30), np.arange(30, 40), settings, tmp_path, "a")
    model = _model()
    model.load_state_dict(fitted.weights)
    drawn = embedding.reconstruct(model, tiles[:4], 4)
    np.testing.assert_allclose(drawn, value / 255, atol=0.05)


def test_channels_one_by_one_have_each_their_own_view(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = _build.build("canonical_vae", 2, SIZE, 10, OPTIONS, "folded")
    assert model.remembers
    assert model.refinements == 2
    settings = Settings(seed=3, epochs=1, minibatch=64, learning_rate=1e-3, objective=Objective(1.0))
    fitted = fitting.fit(model, _cells(), np.arange(90), np.arange(90, 120), settings, tmp_path, "a")
    model.load_state_dict(fitted.weights)
    mean, logvar = embedding.encode(model, _cells()[:6], 4)
    assert mean.shape == (6, 10)
    assert logvar is not None
    x = torch.from_numpy(_cells()[:6]).float() / 255
    with torch.no_grad():
        alone = model.decode(model.encode(x).mean)
        assert not torch.equal(model.reconstruct(x), alone)
        model.refinements = 0
        assert torch.equal(model.reconstruct(x), alone)
    with pytest.raises(TrainingError, match="consistency"):
        fitting.fit(
            _build.build("canonical_vae", 2, SIZE, 10, OPTIONS, "folded", 0.5),
            _cells(),
            np.arange(90),
            np.arange(90, 120),
            settings,
            tmp_path,
            "b",
        )
