"""One epoch after the other: each depends on the state before it, the seed and its number, so it can be resumed."""

import itertools
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphospace.errors import TrainingError
from morphospace.models._base import Model, Shown
from morphospace.training import averaging, checkpoint, contrast, elbo, history
from morphospace.training.allowance import Allowance
from morphospace.training.data import Labels, Minibatches, Tiles, epoch_seed
from morphospace.training.history import Epoch
from morphospace.training.losses import Losses
from morphospace.training.settings import Settings

_log = logging.getLogger(__name__)
_SHOWN = 256  # tiles that a model looks at at a time
_CHECK_EVERY = 50  # steps between looks at the losses: each look waits for the device


class Observer:
    """What is told of the training; each method may be overridden."""

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        """After each minibatch; all count from 1."""

    def on_epoch(self, row: Epoch, model: Model, replayed: bool) -> None:
        """After each epoch, before its checkpoint; `replayed` rows were trained before an interruption."""


class Training(lightning.LightningModule):
    """A model with the loss, the optimiser and the schedules of the thesis (000-24, 000-25)."""

    def __init__(
        self,
        model: Model,
        array: NDArray[np.uint8],
        shown: NDArray[np.intp],
        settings: Settings,
        observer: Observer,
        save: Callable[..., None],
        labels: Labels | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.array = array
        self.shown = shown
        self.settings = settings
        self.observer = observer
        self.save = save
        self.labels = labels
        self.rows: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.optimizer_state: dict[str, Tensor] = {}
        self.first = 0
        self.train_seconds = 0.0
        self.images = 0
        self.allowance = Allowance(settings.budget)
        self._losses = Losses()
        self._train: dict[str, float] = {}
        self._validation: dict[str, float] = {}

    @property
    def epoch(self) -> int:
        """Number of the current epoch, from 0, with those before an interruption."""
        return self.first + self.current_epoch

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam with Keras's epsilon, its weight decay decoupled, in the state of the checkpoint."""
        s = self.settings
        groups: Any = [
            {"params": g.parameters, "rate": g.rate, "weight_decay": s.weight_decay * g.decay}
            for g in self.model.groups()
        ]
        optimizer = torch.optim.AdamW(groups, lr=s.learning_rate, eps=1e-7)
        checkpoint.restore_optimizer(self.model, optimizer, self.optimizer_state)
        self.steps = int(max((float(t) for k, t in self.optimizer_state.items() if k.endswith("/step")), default=0))
        return optimizer

    def transfer_batch_to_device(self, batch: Tensor, device: torch.device, dataloader_idx: int) -> Tensor:
        """Leave the indices with the host: `Tiles` knows where the pictures are."""
        return batch

    def on_fit_start(self) -> None:
        """Put the tiles where the model is."""
        self.tiles = Tiles(self.array, self.device)

    def on_train_start(self) -> None:
        """Let the model look at what it will be trained on; that counts as training.

        A model that remembers makes the same copies again when a training goes on, before its weights return.
        """
        if self.first and not self.model.remembers:
            return
        reached = {k: checkpoint.plain(v) for k, v in self.model.state_dict().items()} if self.first else {}
        torch.manual_seed(epoch_seed(self.settings.seed, 0, "prepare"))
        if self.model.remembers:
            _log.info("making %s copies of the training tiles to learn from", f"{self.model.copies(len(self.shown)):,}")
        self.allowance.start()
        self.model.prepare(Shown(self._tiles, self._views()))
        self.allowance.stop()
        if reached:
            self.model.load_state_dict(reached)

    def on_train_epoch_start(self) -> None:
        """Seed the epoch's noise and set its learning rate."""
        s = self.settings
        torch.manual_seed(epoch_seed(s.seed, self.epoch, "noise"))
        self._rate = elbo.learning_rate(self.epoch, s.learning_rate, s.lr_decay, s.lr_step)
        self._weight = elbo.kl_weight(self.epoch, s.kl_warmup, s.beta, s.kl_period)
        self._train, self._validation = {}, {}
        self._started = time.perf_counter()
        self.allowance.start()

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """Return the loss of a minibatch: of samples of the posterior, with dropout."""
        self.model.advance(self.epoch, batch_idx / self.trainer.num_training_batches)
        self.images += len(batch)
        self.steps += 1
        warm = min(1.0, self.steps / self.settings.warmup) if self.settings.warmup else 1.0
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = warm * self._rate * group["rate"]
        if self.model.remembers:
            return self._count(self.settings.objective.parts(batch, self.model.recall(batch), self._weight), len(batch))
        return self._step(batch, self.settings.augment(self.tiles.take(batch)), self._weight)

    def on_train_batch_end(self, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        """Take the weights into their average; look at the losses now and then."""
        if self.settings.average:
            averaging.update(self.trainer.optimizers[0], self.settings.average)
        if (batch_idx + 1) % _CHECK_EVERY == 0:
            self._refuse_nan("training", batch_idx + 1 - _CHECK_EVERY)
        self.observer.on_step(self.epoch + 1, batch_idx + 1, int(self.trainer.num_training_batches))
        self.allowance.step()
        if self.allowance.epoch_over:
            self.trainer.should_stop = True  # ends the epoch; what follows is decided at its end

    def on_validation_epoch_start(self) -> None:
        """Close the training half of the epoch."""
        self._close_training()

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        """Take the loss of the posterior mean, without dropout, with the full beta: no chance in it."""
        with averaging.averaged(self.model, self.trainer.optimizers[0]):
            self._step(batch, self.tiles.take(batch), self.settings.beta)

    def on_train_epoch_end(self) -> None:
        """Write the row of the epoch; keep the weights when they are the best; save; stop when it is time."""
        if self._train:
            self._validation = self._means("validation")
        else:
            self._close_training()
        self.rows.append(history.row(self.epoch + 1, self._rate, self._weight, self._train, self._validation))
        s = self.settings
        with averaging.averaged(self.model, self.trainer.optimizers[0]):
            if history.best(self.rows, s.min_delta) == self.epoch + 1:
                self.best = {k: checkpoint.plain(v) for k, v in self.model.state_dict().items()}
            self.observer.on_epoch(self.rows[-1], self.model, False)
        self.model.train()  # an observer may have drawn with it
        self.save(self)
        self.trainer.should_stop = self.allowance.over or history.ends(self.rows, s.extent) is not None

    def _step(self, rows: Tensor, x: Tensor, weight: float) -> Tensor:
        out = self.model(x)
        terms = {**out.terms, **self._contrast(rows, out.latent.mean)}
        return self._count(self.settings.objective.parts(x, replace(out, terms=terms), weight), len(x))

    def _count(self, parts: dict[str, Tensor], images: int) -> Tensor:
        self._losses.add(parts, images)
        return parts["loss"]

    def _contrast(self, rows: Tensor, embedding: Tensor) -> dict[str, Tensor]:
        """Return the parts of the loss that come from the labels of a minibatch."""
        s, found = self.settings, {}
        if self.model.pairs:
            found["pairs"] = contrast.n_pair(embedding, s.temperature)
        if s.contrastive and self.labels is not None:
            named = (of[rows.numpy()] for of in (self.labels.treatments, self.labels.groups))
            treatment, group = (torch.from_numpy(of).to(embedding.device) for of in named)
            found["contrastive"] = s.contrastive * contrast.across(embedding, treatment, group, s.temperature)
        return found

    def _tiles(self) -> Iterator[Tensor]:
        """Yield all training tiles, each once, in order."""
        for rows in Minibatches(self.shown, _SHOWN):
            yield self.tiles.take(rows)

    def _views(self) -> Iterator[Tensor]:
        """Yield minibatches as training sees them, without end."""
        s = self.settings
        loader = Minibatches(self.shown, s.minibatch, s.seed)
        for rows in itertools.chain.from_iterable(itertools.repeat(loader)):
            yield s.augment(self.tiles.take(rows))

    def _close_training(self) -> None:
        self._train = self._means("training")
        self.train_seconds += time.perf_counter() - self._started
        self.allowance.stop()
        self._train |= self.allowance.means()

    def _means(self, split: str) -> dict[str, float]:
        """Means over images of the loss and its parts since the last call, which are forgotten."""
        self._refuse_nan(split, len(self._losses) // _CHECK_EVERY * _CHECK_EVERY if split == "training" else 0)
        return self._losses.means()

    def _refuse_nan(self, split: str, since: int) -> None:
        if (step := self._losses.not_finite(since)) is not None:
            raise TrainingError(
                f"the {split} loss is no longer finite in epoch {self.epoch + 1}, minibatch {step}: lower "
                f"train.learning_rate (now {self.settings.learning_rate:g}), train.r_loss_factor (now "
                f"{self.settings.objective.r_loss_factor:g}) or max_logvar, or give the model dropout or batch_norm"
            )
