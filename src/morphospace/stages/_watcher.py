"""What stands beside a training: progress, log, trackers, a search, pictures of fixed cells, the spending cap."""

import logging
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from morphospace import seals, spending, supervision
from morphospace.errors import StoppedError
from morphospace.models._base import Model
from morphospace.reporting import training as drawing
from morphospace.training import embedding, fitting, loggers
from morphospace.training.history import Epoch
from morphospace.training.module import Observer

logger = logging.getLogger(__name__)


class Watcher(Observer):
    """Shows the progress, tells the log, the trackers and a search, keeps pictures, minds the spending cap."""

    def __init__(
        self,
        trackers: loggers.Trackers,
        tiles: NDArray[np.uint8],
        scratch: Path,
        epochs: int,
        meter: spending.Meter,
    ) -> None:
        console = Console(stderr=True)
        self.trackers, self.tiles, self.scratch, self.epochs = trackers, tiles, scratch, epochs
        self.meter, self.search = meter, supervision.Watched()
        self.progress = Progress(console=console, transient=True, disable=not console.is_terminal)
        self.task = self.progress.add_task("train", total=None)

    def __enter__(self) -> "Watcher":
        """Show the bar."""
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self.progress.stop()

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        """Move the bar; stop when the search that started this has let it go, or, after an epoch, at the cap."""
        if not self.search.wanted():
            raise StoppedError(f"`morphospace tune` let go of this training in epoch {epoch} of {self.epochs}")
        if step == 1 and epoch > 1:
            self.meter.check()  # the epoch before is saved
        self.meter.note()
        label = f"epoch {epoch} of {self.epochs}"
        self.progress.update(
            self.task, description=label, total=self.epochs * steps, completed=(epoch - 1) * steps + step
        )

    def on_epoch(self, row: Epoch, model: Model, replayed: bool) -> None:
        """Log the row and, when it is new, draw the fixed cells."""
        self.trackers.log(row)
        if (mse := row.extras.get("validation_mse")) is not None:
            self.search.tell({"epoch": row.epoch, "validation_mse": mse, "validation_kl": row.validation_kl})
        if replayed:
            return
        said = f"loss {row.train_loss:.2f} r {row.train_reconstruction:.2f} kl {row.train_kl:.2f}"
        if row.validation_loss is not None:
            said += f", validation {row.validation_loss:.2f}"
        logger.info("epoch %d of %d: %s", row.epoch, self.epochs, said)
        if not model.reconstructs:
            return
        drawn = embedding.reconstruct(model, self.tiles, len(self.tiles))
        with seals.keeping(picture(self.scratch, row.epoch)) as aside:
            np.save(aside, (drawn.clip(0, 1) * 255).round().astype(np.uint8))


def picture(scratch: Path, epoch: int) -> Path:
    """Return where the tiles lie that were drawn after an epoch."""
    return scratch / f"epoch_{epoch:06d}.npy"


def epochs(originals: NDArray[np.uint8], scratch: Path, fitted: fitting.Fitted) -> Figure:
    """Return the figure of the fixed cells after some epochs; one whose picture was damaged is left out, and said."""
    shown = drawing.shown_epochs(len(fitted.history), fitted.best_epoch)
    whole = {e: np.load(path) for e in shown if not seals.fault(path := picture(scratch, e))}
    if lost := [str(e) for e in shown if e not in whole]:
        logger.warning("the figure lacks the pictures after epoch %s, damaged in %s", ", ".join(lost), scratch)
    return drawing.epochs(originals, whole, fitted.best_epoch)
