"""The progressive VAE grows by its schedule, each step from what was there before."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from morphospace.errors import TrainingError
from morphospace.models import progressive_vae
from morphospace.models._base import Plan
from morphospace.models.progressive_vae import Equalised, ProgressiveVAE, pixel_norm, resized, resolutions, schedule
from morphospace.training import embedding, fitting
from morphospace.training.history import Epoch
from morphospace.training.module import Observer
from morphospace.training.objective import Objective
from morphospace.training.settings import Settings


def _model(size: int = 32, **options: Any) -> ProgressiveVAE:
    torch.manual_seed(1)
    return progressive_vae.build(3, size, 6, **{"width": 4, **options})


def _tiles(n: int = 3, size: int = 32) -> torch.Tensor:
    """Tiles of multiples of 1/256, of which averages over squares are exact."""
    return torch.randint(257, (n, 3, size, size), generator=torch.Generator().manual_seed(5)) / 256


def _largest(model: ProgressiveVAE) -> float:
    return max(float(m.weight.detach().abs().max()) for m in model.modules() if isinstance(m, Equalised))


@pytest.mark.parametrize(
    ("epoch", "share", "depth", "alpha"),
    [
        (0, 0.0, 0, 1.0),
        (3, 0.9, 0, 1.0),
        (4, 0.0, 1, 0.0),
        (4, 0.5, 1, 0.25),
        (5, 0.0, 1, 0.5),
        (5, 0.9, 1, 0.95),
        (6, 0.0, 1, 1.0),
        (7, 0.9, 1, 1.0),
        (8, 0.0, 2, 0.0),
        (8, 0.25, 2, 0.5),
        (8, 0.75, 2, 1.0),
        (9, 0.0, 3, 0.0),
        (10, 0.5, 3, 1.0),
        (10**6, 0.0, 3, 1.0),
    ],
)
def test_blocks_fade_in_over_the_first_half_of_their_epochs(epoch: int, share: float, depth: int, alpha: float) -> None:
    assert schedule(epoch, share, [4, 4, 1, 3]) == (depth, pytest.approx(alpha))


@pytest.mark.parametrize(
    ("size", "start", "sides"),
    [
        (224, 4, [7, 14, 28, 56, 112, 224]),
        (128, 4, [4, 8, 16, 32, 64, 128]),
        (96, 4, [6, 12, 24, 48, 96]),
        (128, 20, [32, 64, 128]),
        (50, 4, [25, 50]),
        (65, 4, [65]),
    ],
)
def test_resolutions_double_from_the_smallest_that_halving_gives(size: int, start: int, sides: list[int]) -> None:
    assert resolutions(size, start) == sides


def test_by_default_the_default_epochs_reach_the_full_resolution() -> None:
    model = progressive_vae.build(3, 128, 6)
    model.advance(7, 0.5)
    assert model.sides[int(model.depth)] == 128
    assert float(model.alpha) == 1


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_block_not_yet_faded_in_leaves_the_smaller_network_as_it_was(depth: int) -> None:
    model, x = _model().eval(), _tiles()
    with torch.no_grad():
        model.advance(depth - 1, 0.99)
        before = model(x)
        model.advance(depth, 0.0)
        assert int(model.depth) == depth
        after = model(x)
    assert torch.equal(after.latent.mean, before.latent.mean)
    assert torch.equal(after.reconstruction, before.reconstruction)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_old_adapters_matter_until_the_block_has_faded_in(share: float) -> None:
    model, x = _model().eval(), _tiles()
    model.advance(2, share)
    with torch.no_grad():
        before = model(x)
        for adapter in (model.enter[1], model.leave[1]):
            adapter.bias += 1
        after = model(x)
    faded = share == 0.5
    assert torch.equal(after.latent.mean, before.latent.mean) == faded
    assert torch.equal(after.reconstruction, before.reconstruction) == faded


def test_half_way_the_drawing_lies_half_way_between_the_old_one_and_the_new() -> None:
    model = _model().eval()
    z = torch.randn(2, 6)
    drawn = {}
    with torch.no_grad():
        for share in (0.0, 0.25, 0.5):
            model.advance(3, share)
            drawn[share] = model.decode(z)
    torch.testing.assert_close(drawn[0.25], (drawn[0.0] + drawn[0.5]) / 2)
    assert not torch.allclose(drawn[0.0], drawn[0.5])


def test_earlier_weights_stay_trainable_and_later_ones_wait() -> None:
    model, x = _model(), _tiles()
    model.advance(2, 0.25)
    Objective(1.0).parts(x, model(x), 1.0)["loss"].backward()
    for blocks in (model.down, model.up, model.enter, model.leave):
        reached = [all(p.grad is not None for p in block.parameters()) for block in blocks]
        used = [True, True, True, False] if blocks in (model.down, model.up) else [False, True, True, False]
        assert reached == used


def test_training_compares_with_the_input_averaged_to_the_resolution() -> None:
    model, x = _model(), _tiles()
    model.advance(1, 0.25)
    out = model(x)
    assert out.target is not None
    blocks = x.numpy().reshape(3, 3, 8, 4, 8, 4).mean(axis=(3, 5))
    np.testing.assert_allclose(out.target.numpy(), blocks, rtol=1e-5)
    assert out.reconstruction is not None
    assert out.reconstruction.shape == out.target.shape
    assert {name: float(value) for name, value in out.logs.items()} == {"resolution": 8, "alpha": 0.5}


def test_the_network_sees_nothing_finer_than_its_resolution() -> None:
    model, x = _model().eval(), _tiles()
    model.advance(1, 0.9)
    with torch.no_grad():
        coarse = resized(resized(x, 1 / 4), 4)
        torch.testing.assert_close(model.encode(x).mean, model.encode(coarse).mean)
        drawn = model.reconstruct(x)
    torch.testing.assert_close(resized(resized(drawn, 1 / 4), 4), drawn)


def test_pixel_norm_gives_every_pixel_a_mean_square_of_one() -> None:
    a = torch.randn(2, 5, 4, 4) * torch.logspace(-2, 3, 16).reshape(1, 1, 4, 4)
    torch.testing.assert_close(pixel_norm(a).square().mean(dim=1), torch.ones(2, 4, 4), rtol=2e-4, atol=0)
    assert pixel_norm(torch.zeros(1, 2, 1, 1)).abs().max() == 0
    torch.testing.assert_close(pixel_norm(a)[0, :, 3, 3], a[0, :, 3, 3] / a[0, :, 3, 3].square().mean().sqrt())


@pytest.mark.parametrize("shape", [(64, 8), (64, 512), (64, 8, 1, 1), (64, 96, 3, 3)])
def test_he_scaling_at_run_time_keeps_the_second_moment_whatever_the_fan_in(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(512, shape[1]) if len(shape) == 2 else torch.randn(8, shape[1], 8, 8)
    with torch.no_grad():
        linear, rectified = Equalised(shape, 5.0, gain=1.0), Equalised(shape, 5.0)
        inner = (Ellipsis,) if len(shape) == 2 else (..., slice(1, -1), slice(1, -1))  # no padding in the window
        assert linear.weight.std() == pytest.approx(1, rel=0.1)
        assert linear(x)[inner].std() == pytest.approx(1, rel=0.15)
        after = torch.nn.functional.leaky_relu(rectified(x)[inner], 0.2)
        assert after.square().mean() == pytest.approx(1, rel=0.25)


def test_weights_stay_clipped() -> None:
    model, x = _model(weight_clip=0.5), _tiles()
    assert _largest(model) == 0.5
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for epoch in range(4):
        model.advance(epoch, 0.5)
        assert _largest(model) == 0.5
        optimizer.zero_grad()
        Objective(1.0).parts(x, model(x), 1.0)["loss"].backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        drawn = model.reconstruct(x)
        assert _largest(model) > 0.5  # the last step went beyond, and does not count
        model.advance(3, 0.5)
        assert torch.equal(model.reconstruct(x), drawn)


def test_sigmoid_keeps_the_drawing_within_the_range() -> None:
    model = _model(output_activation="sigmoid").eval()
    model.advance(2, 0.25)
    with torch.no_grad():
        drawn = model.decode(100 * torch.randn(4, 6))
    assert drawn.min() >= 0
    assert drawn.max() <= 1


def test_a_model_saved_half_grown_evaluates_as_it_did(tmp_path: Path) -> None:
    model, x = _model().eval(), _tiles()
    model.advance(2, 0.15)
    card = embedding.Card(
        model="progressive_vae",
        channels=["A", "B", "C"],
        size=32,
        z_dim=6,
        channel_mode="joint",
        options={"width": 4},
        r_loss_factor=1.0,
        best_epoch=3,
        epochs=3,
        fingerprint="f",
    )
    embedding.save_model(tmp_path, model.state_dict(), card)
    again = embedding.load_model(tmp_path)[0]
    assert (int(again.depth), float(again.alpha)) == (2, pytest.approx(0.3))  # type: ignore[arg-type]
    with torch.no_grad():
        assert torch.equal(again.encode(x).mean, model.encode(x).mean)
        assert torch.equal(again.reconstruct(x), model.reconstruct(x))


class Killer(Observer):
    """Kills the training when an epoch has ended, before its checkpoint."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch(self, row: Epoch, model: torch.nn.Module, replayed: bool) -> None:
        if row.epoch == self.epoch and not replayed:
            raise RuntimeError("killed")


def test_a_run_resumed_across_a_growth_step_ends_in_the_same_bytes(tmp_path: Path) -> None:
    tiles = (_tiles(20, 16).numpy() * 255).astype(np.uint8)
    settings = Settings(seed=7, epochs=4, minibatch=4, learning_rate=1e-2, objective=Objective(100.0))

    def fit(folder: Path, observer: Observer | None = None) -> fitting.Fitted:
        model = _model(16, block_epochs=[1, 1, 2])
        return fitting.fit(model, tiles, np.arange(15), np.arange(15, 20), settings, folder, "a", observer)

    whole = fit(tmp_path / "whole")
    with pytest.raises(RuntimeError, match="killed"):
        fit(tmp_path / "cut", Killer(2))
    resumed = fit(tmp_path / "cut")
    assert resumed.history == whole.history
    assert save(resumed.weights) == save(whole.weights)
    assert [row.extras["train_resolution"] for row in whole.history] == [4, 8, 16, 16]
    assert [row.extras["validation_alpha"] for row in whole.history] == [1, 1, pytest.approx(0.75), 1]


@pytest.mark.parametrize(
    ("size", "options", "message"),
    [
        (65, {}, r"multiple of 2, not 65; set synthesize\.size to 64 or 66"),
        (
            32,
            {"start": 20},
            r"at least 20 px; set progressive_vae\.start to at most 16, or synthesize\.size to at least",
        ),
        (
            32,
            {"block_epochs": [1, 2]},
            r"has 2 numbers, but tiles of 32 px grow through 4 resolutions \(4, 8, 16, 32 px\)",
        ),
    ],
)
def test_what_cannot_grow_is_refused(size: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        progressive_vae.build(3, size, 6, **options)


@pytest.mark.parametrize("wrong", [{"block_epochs": 0}, {"block_epochs": [2, 0]}, {"block_epochs": [2]}, {"start": 1}])
def test_options_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        progressive_vae.Options(**wrong)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(9, 1), r"4 to 32 px \(block_epochs 2, 2, 2, 2\) in 8 epochs, train\.epochs is 1: set it to at least 8$"),
        (Plan(9, 3), r"at least 8, or progressive_vae\.start to 8 and block_epochs to 1$"),
        (Plan(9, 7), r"at least 8, or progressive_vae\.block_epochs to 1$"),
        (
            Plan(9, 8, 3),
            r"train\.patience 3 may stop it after epoch 4: .* 0, or to at least 7, or .*_epochs to 1$",
        ),
    ],
)
def test_a_training_that_ends_before_the_model_is_grown_is_refused_with_what_fits(plan: Plan, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        _model(block_epochs=2).require(plan)


@pytest.mark.parametrize("block_epochs", [1, 3, [1, 2, 3, 4]])
def test_a_training_that_is_accepted_grows_to_the_full_size_whatever_the_losses_are(block_epochs: Any) -> None:
    model = _model(block_epochs=block_epochs)
    accepted = []
    for epochs in range(1, 14):
        for patience in range(14):
            try:
                model.require(Plan(9, epochs, patience))
            except TrainingError:
                continue
            accepted.append((epochs, patience))
            last = epochs if not patience else min(epochs, patience + 1)
            assert schedule(last - 1, 0.99, model.block_epochs) == (3, 1.0)
    assert (sum(model.block_epochs), 0) in accepted
    assert (13, sum(model.block_epochs) - 1) in accepted


def test_what_a_refusal_offers_is_accepted() -> None:
    _model(block_epochs=1).require(Plan(9, 7))
    _model(start=8, block_epochs=1).require(Plan(9, 3))
