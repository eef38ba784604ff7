"""What every model must do; a new file in models/ is picked up without an edit here."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from morphospace import registry
from morphospace.models import _build
from morphospace.models._base import Model, Output
from morphospace.options import Options
from morphospace.training import checkpoint, embedding
from morphospace.training.objective import Objective

MODELS = registry.names("models")
Z_DIM = 12
MODES = ["joint", "folded"]


@pytest.fixture(scope="module")
def real_cells(real_data: Path) -> torch.Tensor:
    """64 cells of BBBC021, (64, 3, 64, 64) in [0, 1]."""
    images = np.load(real_data / "bbbc021_cells" / "allmoa_1996.npz")["images"][:64, :, 2:66, 2:66].astype(np.float32)
    return torch.from_numpy(images / images.max(axis=(0, 2, 3), keepdims=True))


def _options(name: str) -> dict[str, Any]:
    return dict(registry.load("models", name).Options().model_dump())


def _build_model(name: str, channels: int = 3, size: int = 64, mode: Any = "joint") -> Model:
    torch.manual_seed(3)
    return _build.build(name, channels, size, Z_DIM, _options(name), mode, 0.1 if mode == "folded" else 0.0)


def _tiles(channels: int = 3, size: int = 64, n: int = 4) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(5))


def _parts(model: Model, x: torch.Tensor, out: Output) -> dict[str, torch.Tensor]:
    return Objective(1000.0).parts(x, out, 1.0)


@pytest.mark.parametrize("name", MODELS)
def test_options_refuse_unknown_keys_and_have_defaults(name: str) -> None:
    options = registry.load("models", name).Options
    assert issubclass(options, Options)
    with pytest.raises(ValueError, match="no_such_option"):
        options(no_such_option=1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("channels", "size", "mode"),
    [(1, 64, "joint"), (2, 96, "joint"), (3, 128, "joint"), (5, 64, "joint"), (1, 224, "joint"), (3, 64, "folded")],
)
def test_what_a_model_gives_has_the_shape_of_its_input(name: str, channels: int, size: int, mode: str) -> None:
    model, x = _build_model(name, channels, size, mode), _tiles(channels, size, n=2)
    with torch.no_grad():
        out = model(x)
        assert out.latent.mean.shape == (2, Z_DIM)
        assert out.latent.logvar is None or out.latent.logvar.shape == (2, Z_DIM)
        assert (out.reconstruction is None) == (model.remembers or not model.reconstructs)
        if out.reconstruction is not None:
            assert out.reconstruction.shape == (x if out.target is None else out.target).shape
        assert all(t.ndim == 0 for t in (*out.terms.values(), *out.logs.values()))
        model.eval()
        assert model.encode(x).mean.shape == (2, Z_DIM)
        if model.reconstructs:
            assert model.reconstruct(x).shape == x.shape
        if model.decodes:
            assert model.decode(torch.zeros(4, Z_DIM)).shape == (4, channels, size, size)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_the_loss_reaches_every_parameter(name: str, mode: str) -> None:
    model, x = _build_model(name, mode=mode), _tiles()
    if model.pairs:
        pytest.skip("its loss needs labels: tests/training/test_labelled.py")
    for epoch in range(8):  # a model that grows reaches its last parameters later
        model.advance(epoch, 0.25)
        _parts(model, x, model(x))["loss"].backward()
        if all(parameter.grad is not None for parameter in model.parameters()):
            break
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.abs().sum() > 0 or parameter_name.endswith("bias"), parameter_name


@pytest.mark.parametrize("name", MODELS)
def test_the_same_seed_gives_the_same_model_and_noise(name: str) -> None:
    a, b = (_build_model(name)(_tiles()) for _ in range(2))
    assert torch.equal(a.latent.mean, b.latent.mean)
    assert a.reconstruction is None or torch.equal(a.reconstruction, b.reconstruction)


@pytest.mark.parametrize("name", MODELS)
def test_evaluation_has_no_chance_in_it(name: str) -> None:
    model, x = _build_model(name).eval(), _tiles()
    state = torch.get_rng_state()
    assert torch.equal(model.encode(x).mean, model.encode(x).mean)
    if model.reconstructs:
        assert torch.equal(model.reconstruct(x), model.reconstruct(x))
    assert torch.equal(model(x).latent.mean, model(x).latent.mean)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", MODELS)
def test_an_image_is_encoded_alike_whatever_stands_beside_it(name: str) -> None:
    model, x = _build_model(name).eval(), _tiles()
    with torch.no_grad():
        torch.testing.assert_close(model.encode(x).mean[:1], model.encode(x[:1]).mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_the_log_variance_is_bounded_where_it_is_made(name: str) -> None:
    latent = _build_model(name).eval().encode(_tiles() * 1e6)
    if latent.logvar is not None:
        assert torch.isfinite(latent.logvar).all()
        assert latent.logvar.abs().max() <= 10.0


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_falls_on_real_cells(name: str, real_cells: torch.Tensor) -> None:
    x, model = real_cells, _build_model(name)
    if model.pairs:
        pytest.skip("its loss needs labels: tests/training/test_labelled.py")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    torch.manual_seed(0)
    for step in range(12):
        model.advance(0, step / 12)
        rows = torch.arange(step * 16, (step + 1) * 16) % 64
        loss = _parts(model, x[rows], model(x[rows]))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert pd.Series(losses[-4:]).mean() < pd.Series(losses[:4]).mean()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", MODELS)
def test_a_saved_model_is_the_same_model(name: str, mode: Any, tmp_path: Path) -> None:
    model = _build_model(name, mode=mode).eval()
    with torch.no_grad():
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.mul_(0.9)
    card = embedding.Card(
        model=name,
        channels=["A", "B", "C"],
        size=64,
        z_dim=Z_DIM,
        channel_mode=mode,
        options=_options(name),
        r_loss_factor=1.0,
        best_epoch=1,
        epochs=1,
        fingerprint="f",
    )
    embedding.save_model(tmp_path, model.state_dict(), card)
    again, found = embedding.load_model(tmp_path)
    added = {"format", "morphospace", "weights"}
    assert {k: v for k, v in found.items() if k not in added} == card.model_dump(exclude=added)
    with torch.no_grad():
        assert torch.equal(again.encode(_tiles()).mean, model.encode(_tiles()).mean)
        if model.reconstructs:
            assert torch.equal(again.reconstruct(_tiles()), model.reconstruct(_tiles()))
    plain = {k: checkpoint.plain(v) for k, v in model.state_dict().items()}
    assert {k: v.tolist() for k, v in load_file(tmp_path / "model.safetensors").items() if v.ndim < 2} == {
        k: v.tolist() for k, v in plain.items() if v.ndim < 2
    }
