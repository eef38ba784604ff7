"""Training by Lightning, from the checkpoint that an interruption left."""

import logging
import time
from pathlib import Path
from typing import NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from numpy.typing import NDArray
from torch import Tensor

from morphospace.errors import StoppedError, TrainingError
from morphospace.models._base import Model, Plan
from morphospace.training import averaging, checkpoint, history, process, progress
from morphospace.training.augment import Augmentation
from morphospace.training.data import Labels, loaders
from morphospace.training.history import Epoch
from morphospace.training.module import Observer, Training
from morphospace.training.objective import Objective
from morphospace.training.settings import Settings

_log = logging.getLogger(__name__)


class Fitted(NamedTuple):
    """What training gave: `weights` of `best_epoch`; `earlier_seconds` were spent before this run.

    `kept` has the files with the weights of the epochs that `keep_every` chooses.
    """

    weights: dict[str, Tensor]
    kept: dict[int, Path]
    history: list[Epoch]
    best_epoch: int
    stopped_early: bool
    earlier_seconds: float
    images_per_second: float | None
    device: str


def fit(
    model: Model,
    array: NDArray[np.uint8],
    train: NDArray[np.intp],
    validation: NDArray[np.intp],
    settings: Settings,
    folder: Path,
    fingerprint: str,
    observer: Observer | None = None,
    labels: Labels | None = None,
) -> Fitted:
    """Train a model, from the furthest checkpoint of `folder` that serves.

    A run that was interrupted and resumed, or that is to have more epochs or more patience than an earlier one, gives,
    on the same processor with the same number of threads, the same bytes as one at a stroke: every epoch is seeded by
    its number, and none knows how many there will be. One that is to have fewer is read off the checkpoint where it has
    the weights, or else trained from the first epoch.

    Parameters
    ----------
    model
        With ``forward(x) -> Output``; its weights are changed.
    array
        Tiles (N, C, H, W), uint8.
    train, validation
        Indices of tiles. Without validation rows nothing stops early and the last weights are kept.
    settings
        How to train.
    folder
        Where checkpoints go (`progress`).
    fingerprint
        Names everything that decides the weights of an epoch; a checkpoint with another one is ignored.
    observer
        Is told of steps and epochs.
    labels
        Of all tiles; needed for `contrastive` and by a model that is trained on pairs.

    Raises
    ------
    TrainingError
        When the loss is no longer finite, there is nothing to train on, too little for this model, or labels lack.
    """
    if len(train) < 2:
        raise TrainingError(
            f"there are {len(train)} training crops, at least 2 are needed; see reports/records/split.json"
        )
    if settings.contrastive and labels is None:
        raise TrainingError("train.contrastive needs the labels of the cells, and none were given")
    if settings.epochs < settings.kl_warmup:
        reached = settings.epochs / settings.kl_warmup
        _log.warning(
            "train.kl_warmup is %d epochs and train.epochs %d: the weight of the KL term ends at %.0f %% of train.beta",
            settings.kl_warmup,
            settings.epochs,
            100 * reached,
        )
    model.require(Plan(len(train), settings.epochs, settings.patience))
    if model.remembers:
        _refuse_ignored(settings)
    start = time.perf_counter()
    observer = observer or Observer()
    found = progress.find(folder, fingerprint, settings.extent)
    spent = found.seconds if found else 0.0

    def save(t: Training) -> None:
        epoch, weights = len(t.rows), t.model.state_dict()
        if epoch in settings.extent.kept(epoch):
            with averaging.averaged(t.model, t.trainer.optimizers[0]):
                progress.keep(folder, epoch, weights)
        tensors = checkpoint.optimizer_tensors(t.model, t.trainer.optimizers[0])
        seconds = spent + time.perf_counter() - start
        state = checkpoint.Checkpoint(t.rows, seconds, weights, t.best, tensors)
        progress.save(folder, fingerprint, state)

    task = Training(model, array, train, settings, observer, save, labels)
    if found:
        _resume(task, found)
    if history.ends(task.rows, settings.extent) is None and not task.allowance.over:
        _run(task, train, validation)
    return Fitted(
        weights=task.best,
        kept={e: progress.kept(folder, e) for e in settings.extent.kept(len(task.rows))},
        history=task.rows,
        best_epoch=history.best(task.rows, settings.min_delta),
        stopped_early=len(task.rows) < settings.epochs,
        earlier_seconds=spent,
        images_per_second=task.images / task.train_seconds if task.train_seconds else None,
        device=str(task.device),
    )


def _refuse_ignored(settings: Settings) -> None:
    """Refuse what a model that learns from copies of its own would ignore: how tiles are seen, and how weighed.

    Raises
    ------
    TrainingError
        Naming the first such setting.
    """
    objective = settings.objective
    plain = Objective(objective.r_loss_factor)
    ignored = {
        "train.augment": settings.augment != Augmentation(),
        "train.contrastive": bool(settings.contrastive),
        "train.likelihood": objective.likelihood != plain.likelihood,
        "train.background": objective.background != plain.background,
    }
    if wrong := [name for name, set_ in ignored.items() if set_]:
        raise TrainingError(
            f"{wrong[0]} would change nothing: this model learns from copies of the tiles that it makes itself, by a "
            "likelihood of its own; set it back to its default, or choose another model"
        )


def _resume(task: Training, found: checkpoint.Checkpoint) -> None:
    """Put a task into the state of a checkpoint and replay its history."""
    task.model.load_state_dict(found.model)
    task.rows, task.best, task.optimizer_state = list(found.history), found.best, found.optimizer
    task.first = len(found.history)
    task.allowance.resume(found.history[-1].extras)
    if history.ends(found.history, task.settings.extent) is None:
        _log.info("resuming after epoch %d, %.0f s spent", task.first, found.seconds)
    else:
        _log.info("all %d epochs were trained before: nothing is trained", task.first)
    for row in found.history:
        task.observer.on_epoch(row, task.model, True)
    task.model.train()


def _run(task: Training, train: NDArray[np.intp], validation: NDArray[np.intp]) -> None:
    """Let Lightning run the epochs that are left."""
    settings, model = task.settings, task.model
    rows = np.arange(model.copies(len(train))) if model.remembers else train
    batches = loaders(rows, validation, settings.minibatch, settings.seed, lambda: task.epoch, task.labels, model.pairs)
    with process.quiet(), process.deterministic():
        trainer = lightning.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=settings.epochs - task.first,
            logger=False,  # the trackers get the rows of the history, also those of an interrupted run: see loggers.py
            enable_checkpointing=False,  # Lightning's are pickles
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic=True,
        )
        try:
            trainer.fit(task, *batches)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"{task.device} has no memory for a minibatch of {settings.minibatch} tiles "
                f"({str(error).splitlines()[0]}): lower train.minibatch, or hide the GPU (CUDA_VISIBLE_DEVICES=)"
            ) from None
        except SIGTERMException:  # a SystemExit without a code: for the shell and for DVC, a success
            raise StoppedError(
                f"told to stop (SIGTERM) after epoch {len(task.rows)} of {settings.epochs}; run again to go on"
            ) from None
