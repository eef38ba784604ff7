"""A training that is to be longer or shorter than before ends in the bytes of one at a stroke, whatever lies there."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from morphospace import files
from morphospace.models import conv_vae
from morphospace.models._base import Model
from morphospace.training import fitting, progress
from morphospace.training.history import Epoch, Extent
from morphospace.training.module import Observer
from morphospace.training.objective import Objective
from morphospace.training.settings import Settings

SETTINGS: dict[str, Any] = {"seed": 7, "epochs": 4, "minibatch": 8, "learning_rate": 1e-3, "lr_decay": 0.9}
LAST = 6


class Recorder(Observer):
    """Counts epochs, keeps the weights after each, and may be killed in one."""

    def __init__(self, stop_in: int = 0) -> None:
        self.trained: list[int] = []
        self.weights: dict[int, bytes] = {}
        self.stop_in = stop_in

    def on_epoch(self, row: Epoch, model: Model, replayed: bool) -> None:
        if not replayed:
            if row.epoch == self.stop_in:
                raise RuntimeError("killed")
            self.trained.append(row.epoch)
            self.weights[row.epoch] = save({k: v.contiguous() for k, v in model.state_dict().items()})


@pytest.fixture(scope="module")
def discs() -> Any:
    y, x = np.mgrid[:16, :16]
    radius = np.random.default_rng(0).uniform(2, 7, size=(20, 1, 1, 1))
    return (np.hypot(y - 8, x - 8) < radius).astype(np.uint8) * 200


def _fit(
    folder: Path, tiles: Any, observer: Observer | None = None, validation: int = 4, **changes: Any
) -> fitting.Fitted:
    torch.manual_seed(1)
    model = conv_vae.build(1, 16, 4, batch_norm=True, dropout=0.25)
    settings = Settings(**{**SETTINGS, **changes}, objective=Objective(1000.0))
    rows = np.arange(16), np.arange(16, 16 + validation)
    return fitting.fit(model, tiles, *rows, settings, folder, "a", observer)


def _same(a: fitting.Fitted, b: fitting.Fitted) -> None:
    assert a.history == b.history
    assert (a.best_epoch, a.stopped_early) == (b.best_epoch, b.stopped_early)
    assert save(a.weights) == save(b.weights)
    assert list(a.kept) == list(b.kept)
    assert [p.read_bytes() for p in a.kept.values()] == [p.read_bytes() for p in b.kept.values()]


def _there(folder: Path) -> dict[str, int]:
    """The epoch of each checkpoint, by name."""
    return {name: len(rows) for name, rows in progress._checkpoints(folder, "a")}


def test_more_epochs_go_on_from_the_last_one(tmp_path: Path, discs: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    _fit(tmp_path / "a", discs, epochs=2)
    longer = _fit(tmp_path / "a", discs, recorder := Recorder(), epochs=5)
    assert recorder.trained == [3, 4, 5]
    assert "resuming after epoch 2" in caplog.text
    _same(longer, _fit(tmp_path / "b", discs, epochs=5))


def test_more_patience_goes_on_from_where_it_stopped(tmp_path: Path, discs: Any) -> None:
    impatient = _fit(tmp_path / "a", discs, epochs=40, patience=1, learning_rate=0.05)
    assert impatient.stopped_early
    patient = _fit(tmp_path / "a", discs, recorder := Recorder(), epochs=40, patience=3, learning_rate=0.05)
    assert recorder.trained[0] == len(impatient.history) + 1
    _same(patient, _fit(tmp_path / "b", discs, epochs=40, patience=3, learning_rate=0.05))
    _same(_fit(tmp_path / "a", discs, epochs=40, patience=1, learning_rate=0.05), impatient)


def test_any_order_of_requests_gives_what_each_gives_alone(tmp_path: Path, discs: Any) -> None:
    rng = np.random.default_rng(3)
    for number in range(7):
        asked = {"epochs": int(rng.integers(1, 6)), "patience": int(rng.choice([0, 1, 2]))}
        asked["keep_every"] = int(rng.choice([0, 0, 2]))
        asked["learning_rate"] = 0.02  # the best epoch is not always the last
        if number % 3 == 2:
            with suppress(RuntimeError):
                _fit(tmp_path / "a", discs, Recorder(stop_in=int(rng.integers(1, 6))), **asked)
        _same(_fit(tmp_path / "a", discs, **asked), _fit(tmp_path / str(number), discs, **asked))
        assert len(_there(tmp_path / "a")) <= 3


def test_fewer_epochs_are_read_off_when_their_weights_are_there(tmp_path: Path, discs: Any) -> None:
    """Without a validation split the last weights are kept: those of epoch 2 are there when they were asked for."""
    whole = _fit(tmp_path / "a", discs, epochs=LAST, validation=0, keep_every=2)
    short = _fit(tmp_path / "a", discs, recorder := Recorder(), epochs=2, validation=0)
    assert recorder.trained == []
    _same(short, _fit(tmp_path / "b", discs, epochs=2, validation=0))
    _same(_fit(tmp_path / "a", discs, epochs=LAST, validation=0, keep_every=2), whole)


def test_fewer_epochs_whose_weights_are_gone_are_trained_anew_and_lose_nothing(
    tmp_path: Path, discs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    whole = _fit(tmp_path / "a", discs, epochs=LAST, validation=0)
    short = _fit(tmp_path / "a", discs, recorder := Recorder(), epochs=2, validation=0)
    assert recorder.trained == [1, 2]
    assert "6 epochs were trained, but the weights of epoch 2 were not kept: training starts" in caplog.text
    _same(short, _fit(tmp_path / "b", discs, epochs=2, validation=0))
    again = _fit(tmp_path / "a", discs, recorder := Recorder(), epochs=LAST, validation=0)
    assert recorder.trained == []
    _same(again, whole)


def test_the_weights_of_chosen_epochs_are_those_that_it_had_then(tmp_path: Path, discs: Any) -> None:
    fitted = _fit(tmp_path / "a", discs, recorder := Recorder(), epochs=5, keep_every=2)
    assert list(fitted.kept) == [2, 4]
    for epoch, path in fitted.kept.items():
        assert save(load_file(path)) == recorder.weights[epoch]
    assert not _fit(tmp_path / "b", discs, epochs=2).kept


def test_weights_that_were_not_kept_are_trained_again(tmp_path: Path, discs: Any) -> None:
    _fit(tmp_path / "a", discs, epochs=3)
    kept = _fit(tmp_path / "a", discs, recorder := Recorder(), epochs=4, keep_every=2)
    assert recorder.trained == [1, 2, 3, 4]
    _same(kept, _fit(tmp_path / "b", discs, epochs=4, keep_every=2))
    kept.kept[2].write_bytes(b"Aborted.")
    again = _fit(tmp_path / "a", discs, recorder := Recorder(), epochs=4, keep_every=2)
    assert recorder.trained == [1, 2, 3, 4]
    _same(again, kept)


@pytest.mark.parametrize("damage", ["cut", "empty", "altered", "gone"])
@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_checkpoint_is_replaced_by_the_one_before_or_by_the_first_epoch(
    tmp_path: Path, discs: Any, damage: str, both: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        _fit(tmp_path / "a", discs, Recorder(stop_in=4))
    assert _there(tmp_path / "a") == {progress.NEWEST: 3, progress.BEFORE: 2}
    for name in (progress.NEWEST, progress.BEFORE) if both else (progress.NEWEST,):
        path = tmp_path / "a" / name
        content = path.read_bytes()
        altered = content[:-1] + bytes([content[-1] ^ 1])
        path.write_bytes({"cut": content[:-99], "empty": b"", "altered": altered, "gone": b""}[damage])
        if damage == "gone":
            path.unlink()
    resumed = _fit(tmp_path / "a", discs, recorder := Recorder())
    assert recorder.trained == ([1, 2, 3, 4] if both else [3, 4])
    _same(resumed, _fit(tmp_path / "b", discs))
    assert damage == "gone" or "checkpoint.safetensors is not as it was written" in caplog.text


def test_a_finished_training_leaves_one_checkpoint(tmp_path: Path, discs: Any) -> None:
    _fit(tmp_path, discs, epochs=5)
    assert _there(tmp_path) == {progress.NEWEST: 5, progress.BEFORE: 4}
    progress.finish(tmp_path, Extent(5))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.safetensors", "done.json"]


def test_what_is_asked_for_just_as_it_was_done_is_done_again(tmp_path: Path, discs: Any) -> None:
    def run(epochs: int) -> list[int]:
        progress.begin(tmp_path, "a", Extent(epochs))
        _fit(tmp_path, discs, recorder := Recorder(), epochs=epochs, validation=0)
        progress.finish(tmp_path, Extent(epochs))
        return recorder.trained

    assert [run(n) for n in (1, 1, 3, 3)] == [[1], [1], [2, 3], [1, 2, 3]]
    assert [run(n) for n in (2, 2, 3)] == [[1, 2], [], []]  # what is longer is not lost
    (tmp_path / progress.DONE).write_text("Aborted.")
    assert run(3) == []


def _training(root: Path, name: str, days: float, done: bool) -> Path:
    folder = root / name
    (folder / "epochs").mkdir(parents=True)
    (folder / "epochs" / "weights").write_bytes(bytes(100))
    paths = [folder]
    if done:
        paths.append(folder / progress.DONE)
        paths[-1].touch()
    for path in paths:
        os.utime(path, (time.time() - 86_400 * days,) * 2)
    return folder


def test_old_trainings_go_when_all_take_too_much(tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    made = {
        name: _training(tmp_path, name, *of)
        for name, of in {
            "oldest": (9, True),
            "in-use": (8, True),
            "interrupted": (7, False),
            "forgotten": (50, False),
            "old": (6, True),
            "newest": (1, True),
        }.items()
    }
    with files.alone(locks / "in-use"):
        progress.prune(tmp_path, locks, most=1_000_000)
        assert all(f.is_dir() for f in made.values())
        progress.prune(tmp_path, locks, most=10_000)  # the sizes of folders themselves count, too
        progress.prune(tmp_path, locks, most=1)
    assert {name for name, f in made.items() if f.is_dir()} == {"in-use", "interrupted", "newest"}
