"""Training falls, stops, resumes to the same bytes, and says when it cannot go on."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from morphospace.errors import TrainingError
from morphospace.models import conv_vae, progressive_vae, vqvae
from morphospace.training import checkpoint, fitting
from morphospace.training.history import Epoch
from morphospace.training.module import Observer
from morphospace.training.objective import Objective
from morphospace.training.settings import Settings

SETTINGS: dict[str, Any] = {
    "seed": 7,
    "epochs": 4,
    "minibatch": 8,
    "learning_rate": 1e-3,
    "objective": Objective(1000.0),
}


@pytest.fixture(scope="module")
def discs() -> Any:
    """Tiles of bright discs of several sizes: something that a latent space can hold."""
    y, x = np.mgrid[:16, :16]
    radius = np.random.default_rng(0).uniform(2, 7, size=(41, 3, 1, 1))
    return (np.hypot(y - 8, x - 8) < radius).astype(np.uint8) * 200


def _model(dropout: float = 0.25) -> torch.nn.Module:
    torch.manual_seed(1)
    return conv_vae.build(3, 16, 4, batch_norm=True, dropout=dropout)


def _fit(folder: Path, tiles: Any, observer: Observer | None = None, rows: int = 33, **changes: Any) -> fitting.Fitted:
    settings = Settings(**{**SETTINGS, **changes})
    return fitting.fit(_model(), tiles, np.arange(rows), np.arange(rows, 41), settings, folder, "a", observer)


class Recorder(Observer):
    def __init__(self, stop_in: int = 0) -> None:
        self.rows: list[tuple[int, bool]] = []
        self.steps: list[tuple[int, int, int]] = []
        self.stop_in = stop_in

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        self.steps.append((epoch, step, steps))

    def on_epoch(self, row: Epoch, model: torch.nn.Module, replayed: bool) -> None:
        if row.epoch == self.stop_in and not replayed:
            raise RuntimeError("killed")
        model.eval()
        self.rows.append((row.epoch, replayed))


def test_the_loss_falls_and_is_the_sum_of_its_parts(tmp_path: Path, discs: Any) -> None:
    fitted = _fit(tmp_path, discs, epochs=12)
    assert fitted.history[-1].train_loss < 0.7 * fitted.history[0].train_loss
    for row in fitted.history:
        assert row.train_loss == pytest.approx(row.train_reconstruction + row.train_kl, rel=1e-5)
    assert fitted.images_per_second is not None
    assert not fitted.stopped_early


def test_a_resumed_run_ends_in_the_same_bytes(tmp_path: Path, discs: Any) -> None:
    whole = _fit(tmp_path / "whole", discs)
    (tmp_path / "cut").mkdir()
    with pytest.raises(RuntimeError, match="killed"):
        _fit(tmp_path / "cut", discs, Recorder(stop_in=3))
    recorder = Recorder()
    resumed = _fit(tmp_path / "cut", discs, recorder)
    assert recorder.rows == [(1, True), (2, True), (3, False), (4, False)]
    assert save(resumed.weights) == save(whole.weights)
    assert resumed.history == whole.history
    assert resumed.earlier_seconds > 0
    assert whole.earlier_seconds == 0


class Terminator(Observer):
    """Ends the process in the second epoch, as a cluster or a spot market does."""

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        if (epoch, step) == (2, 1):
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_terminated_run_fails_and_is_resumed_to_the_same_bytes(tmp_path: Path, discs: Any) -> None:
    with pytest.raises(TrainingError, match=r"SIGTERM.* after epoch 1 of 4; run again"):
        _fit(tmp_path / "cut", discs, Terminator())
    resumed = _fit(tmp_path / "cut", discs)
    assert save(resumed.weights) == save(_fit(tmp_path / "whole", discs).weights)


def test_a_finished_run_is_not_trained_again(tmp_path: Path, discs: Any) -> None:
    first = _fit(tmp_path, discs)
    again = _fit(tmp_path, discs, recorder := Recorder())
    assert recorder.steps == []
    assert again.history == first.history
    assert save(again.weights) == save(first.weights)
    assert again.images_per_second is None


def test_another_fingerprint_starts_again(tmp_path: Path, discs: Any) -> None:
    _fit(tmp_path, discs, epochs=1)
    settings = Settings(**{**SETTINGS, "epochs": 1})
    fitting.fit(_model(), discs, np.arange(33), np.arange(0), settings, tmp_path, "b", recorder := Recorder())
    assert recorder.rows == [(1, False)]


def test_the_best_weights_are_kept_and_training_stops(tmp_path: Path, discs: Any) -> None:
    kept: dict[int, dict[str, torch.Tensor]] = {}

    class Keeper(Observer):
        def on_epoch(self, row: Epoch, model: torch.nn.Module, replayed: bool) -> None:
            kept[row.epoch] = {k: v.clone() for k, v in model.state_dict().items()}

    fitted = _fit(tmp_path, discs, Keeper(), epochs=60, patience=2, learning_rate=0.05)
    assert fitted.stopped_early
    assert len(fitted.history) == fitted.best_epoch + 2
    losses = [row.validation_loss for row in fitted.history]
    assert fitted.best_epoch == int(np.argmin(np.array(losses, dtype=float))) + 1
    for name, tensor in fitted.weights.items():
        assert torch.equal(tensor, kept[fitted.best_epoch][name]), name


def test_without_a_validation_split_the_last_weights_are_kept(tmp_path: Path, discs: Any) -> None:
    fitted = _fit(tmp_path, discs, rows=41, patience=1)
    assert fitted.best_epoch == 4
    assert all(row.validation_loss is None for row in fitted.history)
    last = checkpoint.load(tmp_path, "a")
    assert last is not None
    assert save(fitted.weights) == save(last.model)


def test_every_image_is_seen_once_an_epoch(tmp_path: Path, discs: Any) -> None:
    _fit(tmp_path, discs, recorder := Recorder(), epochs=2, rows=34)
    assert recorder.steps == [(e, s, 5) for e in (1, 2) for s in range(1, 6)]


def test_a_loss_that_is_not_finite_names_epoch_and_minibatch(tmp_path: Path, discs: Any) -> None:
    class Poison(Observer):
        def on_step(self, epoch: int, step: int, steps: int) -> None:
            if (epoch, step) == (2, 3):
                with torch.no_grad():
                    next(model.parameters()).fill_(float("nan"))

    model = _model()
    settings = Settings(**SETTINGS)  # type: ignore[arg-type]
    rows = np.arange(41)
    with pytest.raises(TrainingError, match=r"training loss .* epoch 2, minibatch 4: lower train\.learning_rate"):
        fitting.fit(model, discs, rows, rows[:0], settings, tmp_path, "a", Poison())


def test_a_minibatch_that_no_memory_is_left_for_is_named(tmp_path: Path, discs: Any) -> None:
    class Greedy(Observer):
        def on_step(self, epoch: int, step: int, steps: int) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.\nMore follows.")

    said = r"no memory for a minibatch of 8 tiles \(CUDA out of memory.*GiB\.\): lower train\.minibatch"
    with pytest.raises(TrainingError, match=said):
        _fit(tmp_path, discs, Greedy())


def test_the_schedules_reach_the_optimiser(tmp_path: Path, discs: Any) -> None:
    fitted = _fit(tmp_path, discs, lr_decay=0.5, lr_step=2, beta=2.0, kl_warmup=4)
    assert [row.learning_rate for row in fitted.history] == [1e-3, 1e-3, 5e-4, 5e-4]
    assert [row.kl_weight for row in fitted.history] == [0.5, 1.0, 1.5, 2.0]


def test_a_warm_up_that_is_longer_than_the_training_is_said(
    tmp_path: Path, discs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _fit(tmp_path, discs, epochs=1, kl_warmup=4)
    assert "kl_warmup is 4 epochs and train.epochs 1: the weight of the KL term ends at 25 %" in caplog.text


def test_a_model_that_would_not_grow_is_refused_before_any_work(tmp_path: Path, discs: Any) -> None:
    model, recorder = progressive_vae.build(3, 16, 4), Recorder()
    settings = Settings(**{**SETTINGS, "epochs": 2})
    with pytest.raises(TrainingError, match=r"grows from 4 to 16 px .* in 3 epochs, train\.epochs is 2"):
        fitting.fit(model, discs, np.arange(33), np.arange(33, 41), settings, tmp_path, "a", recorder)
    assert recorder.steps == []


def test_no_training_crop_is_refused(tmp_path: Path, discs: Any) -> None:
    with pytest.raises(TrainingError, match="there are 0 training crops"):
        _fit(tmp_path, discs, rows=0)


def test_a_model_may_refuse_too_few_tiles_before_any_work(tmp_path: Path, discs: Any) -> None:
    model, recorder = vqvae.build(3, 32, 4, codes=34), Recorder()
    with pytest.raises(TrainingError, match="34 codes for the 33 vectors of 33 training tiles"):
        fitting.fit(model, discs, np.arange(33), np.arange(33, 41), Settings(**SETTINGS), tmp_path, "a", recorder)
    assert recorder.steps == []
    assert not model.codebook.started


def test_a_training_of_a_codebook_is_resumed_to_the_same_bytes(tmp_path: Path, discs: Any) -> None:
    def fit(folder: str, observer: Recorder) -> fitting.Fitted:
        (tmp_path / folder).mkdir(exist_ok=True)
        torch.manual_seed(1)
        model, settings = vqvae.build(3, 32, 4, codes=8), Settings(**{**SETTINGS, "epochs": 2})
        tiles = discs.repeat(2, axis=2).repeat(2, axis=3)
        return fitting.fit(model, tiles, np.arange(16), np.arange(16, 20), settings, tmp_path / folder, "a", observer)

    whole = fit("whole", Recorder())
    with pytest.raises(RuntimeError, match="killed"):
        fit("cut", Recorder(stop_in=2))
    resumed = fit("cut", Recorder())
    assert save(resumed.weights) == save(whole.weights)
    assert resumed.history == whole.history
    assert {"train_commitment", "train_perplexity", "validation_dead_codes"} <= whole.history[0].extras.keys()
