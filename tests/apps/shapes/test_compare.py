import numpy as np
import pytest
import torch

from morphospace.apps.shapes import linear
from morphospace.apps.shapes.compare import Learned, Trainer
from morphospace.apps.shapes.train import Settings
from morphospace.training.data import Minibatches


@pytest.fixture
def matrices():
    return np.random.default_rng(2).uniform(0, 1, (20, 16, 16)).astype(np.float32)


class Halved:
    """Keeps the rows it learned from, and draws each matrix half as large."""

    def __init__(self, rows):
        self.rows = rows

    def embed(self, matrices):
        return np.full((len(matrices), 2), len(self.rows), np.float32), matrices / 2


def test_in_folds_it_learns_from_the_training_rows_of_each_fold(matrices):
    seen = []
    learned = Learned(matrices, np.full(20, 10.0), lambda rows: seen.append(rows) or Halved(rows), in_folds=True)
    assert np.isnan(learned.error())
    x, held = learned(np.arange(15), np.arange(15, 20))
    assert [len(r) for r in seen] == [15]
    assert x.tolist() == [[15, 15]] * 15
    assert held.tolist() == [[15, 15]] * 5
    assert np.isnan(learned.errors[:15]).all()
    expected = 10 * np.sqrt(np.mean((matrices[15:] / 2) ** 2, axis=(1, 2)))
    assert (learned.errors[15:] <= expected + 1e-5).all()  # to the nearest index, so at most that
    assert learned.error() == pytest.approx(np.sqrt(np.mean(learned.errors[15:] ** 2)))


def test_from_all_it_learns_once(matrices):
    seen = []
    learned = Learned(matrices, np.ones(20), lambda rows: seen.append(rows) or Halved(rows), in_folds=False)
    learned(np.arange(15), np.arange(15, 20))
    x, held = learned(np.arange(5, 20), np.arange(5))
    assert [len(r) for r in seen] == [20]
    assert x.shape == (15, 2)
    assert held.tolist() == [[20, 20]] * 5
    assert np.isfinite(learned.errors).all()


def test_a_trainer_keeps_the_history_of_its_networks(matrices):
    trainer = Trainer(
        matrices, np.ones(20), lambda rows, seed, epoch: Minibatches(rows, 8, seed, lambda: epoch), torch.device("cpu")
    )
    settings = Settings("circular", 2, 2, 1, width=4)
    trainer.network(settings, in_folds=True)(np.arange(15), np.arange(15, 20))
    trainer.network(settings, in_folds=False).everything()
    assert [(r["learned"], r["shapes"], r["epoch"]) for r in trainer.history] == [
        ("in a fold", 15, 1),
        ("in a fold", 15, 2),
        ("from all", 20, 1),
        ("from all", 20, 2),
    ]
    x, held = trainer.linear(3, 1)(np.arange(15), np.arange(15, 20))
    assert x.shape == (15, 3)
    assert held.shape == (5, 3)


def test_components_are_the_best_linear_draft_and_fewer_than_the_rows(matrices):
    found = linear.fit(matrices, np.arange(10), 4, seed=1)
    z, drawn = found.embed(matrices[:10])
    flat = matrices[:10].reshape(10, -1).astype(float)
    flat = flat - flat.mean(axis=0)
    left = np.linalg.svd(flat, compute_uv=False)[4:]
    assert np.square(drawn - matrices[:10]).sum() == pytest.approx(np.square(left).sum(), rel=1e-3)
    assert z.shape == (10, 4)
    assert linear.fit(matrices, np.arange(3), 16, seed=1).embed(matrices)[0].shape == (20, 3)
