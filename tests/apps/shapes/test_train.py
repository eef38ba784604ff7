import numpy as np
import pytest
import torch

from morphospace.apps.shapes import train
from morphospace.apps.shapes.train import Settings
from morphospace.errors import InputError, TrainingError
from morphospace.training.data import Minibatches

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def matrices():
    """Distance matrices of 48 ellipses with a bump, (48, 16, 16)."""
    rng = np.random.default_rng(1)
    t = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    a, b, c = rng.uniform(0.3, 1.2, (3, 48, 1))
    points = np.stack([a * np.cos(t), b * np.sin(t) + 0.3 * c * np.cos(2 * t)], axis=2)
    return np.linalg.norm(points[:, :, None] - points[:, None], axis=3).astype(np.float32)


def _fit(matrices, rows=None, **changed):
    rows = np.arange(len(matrices)) if rows is None else rows
    given = {"kind": "circular", "latent": 3, "epochs": 2, "seed": 1, "width": 8, "learning_rate": 5e-3, **changed}
    settings = Settings(**given)
    return train.fit(matrices, rows, lambda e: Minibatches(rows, 8, settings.seed, lambda: e), settings, CPU)


@pytest.mark.parametrize("kind", ["circular", "residual"])
def test_the_losses_fall(matrices, kind):
    epochs = []

    def track(given):
        epochs.append(given)
        return given

    settings = Settings(kind, 8, 15, 1, width=16, learning_rate=1e-2)
    rows = np.arange(48)
    fitted = train.fit(matrices, rows, lambda e: Minibatches(rows, 8, 1, lambda: e), settings, CPU, track)
    assert epochs == [range(15)]
    assert [e.epoch for e in fitted.history] == list(range(1, 16))
    first, last = fitted.history[0], fitted.history[-1]
    assert last.reconstruction < 0.7 * first.reconstruction
    assert last.diagonal < 0.5 * first.diagonal
    assert last.asymmetry < first.asymmetry
    z, drawn = fitted.embed(matrices)
    assert z.shape == (48, 8)
    assert drawn.shape == matrices.shape


def test_a_seed_gives_the_same_network_whatever_was_drawn_before(matrices):
    one = _fit(matrices).embed(matrices)[0]
    torch.rand(5)
    before = torch.get_rng_state()
    assert np.array_equal(_fit(matrices).embed(matrices)[0], one)
    assert torch.equal(torch.get_rng_state(), before)
    assert not np.array_equal(_fit(matrices, seed=2).embed(matrices)[0], one)


def test_nothing_is_learned_from_other_rows(matrices):
    rows = np.arange(20)
    spoiled = matrices.copy()
    spoiled[20:] = 1e6
    one, other = _fit(matrices, rows), _fit(spoiled, rows)
    assert np.array_equal(one.embed(matrices)[0], other.embed(matrices)[0])


def test_an_error_does_not_ask_for_the_first_point(matrices):
    assert train.errors(matrices, np.roll(matrices, (3, 3), (1, 2))) == pytest.approx(np.zeros(48), abs=1e-6)
    assert train.errors(matrices, matrices + 0.5) == pytest.approx(np.full(48, 0.5), abs=1e-6)


def test_one_shape_and_a_loss_without_end_are_refused(matrices):
    with pytest.raises(InputError, match=r"1 shape\(s\) to learn from"):
        _fit(matrices, np.arange(1))
    with pytest.raises(TrainingError, match="no longer finite in epoch 1; lower --learning-rate"):
        _fit(np.full_like(matrices, np.nan))
