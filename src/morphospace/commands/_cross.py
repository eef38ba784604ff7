"""One model a class, trained and used: what the command ``cross`` does for hours, and what it can take up again."""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress, TaskID

from morphospace import files, params
from morphospace.errors import InputError, TrainingError
from morphospace.metrics import cross
from morphospace.models._base import Model
from morphospace.training import embedding, fitting, recipe
from morphospace.training import progress as trained
from morphospace.training.history import Extent
from morphospace.training.module import Observer

BLOCK = 256  # tiles reconstructed at a time
Rows = NDArray[np.intp]
Tiles = NDArray[np.uint8]


class Bar(Observer):
    """Moves a bar by the steps of one training."""

    def __init__(self, progress: Progress, task: TaskID, before: int, epochs: int) -> None:
        self.progress, self.task, self.before, self.epochs = progress, task, before, epochs

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        """Count in epochs of all trainings: `before` are those of the classes that came before."""
        self.progress.update(self.task, completed=self.before + epoch - 1 + step / steps)


def build(options: params.Params, channels: int, size: int) -> Model:
    """Return an untrained model, the same for every class.

    Raises
    ------
    TrainingError
        When it refuses the shape, draws no tiles, or learns from labels, which a class alone has not.
    """
    model = _recipe(options).untrained(channels, size)
    if not model.reconstructs or model.pairs:
        raise TrainingError(f"{options.model} does not learn to reconstruct one class alone; name another --model")
    return model


def errors(
    options: params.Params,
    tiles: Tiles,
    train: tuple[Rows, ...],
    held_out: Rows,
    size: int,
    classes: tuple[str, ...],
    progress: Progress,
) -> tuple[NDArray[np.float64], list[Path]]:
    """Return the error of each held-out cell under the model of each class, (n, K), and the scratch folders.

    Parameters
    ----------
    options
        How to train, and which model.
    tiles
        All tiles (N, C, H, W).
    train, held_out
        Rows of `tiles`.
    size
        Side of the middle of each tile that is used, px.
    classes
        Their names, for the progress.
    progress
        Gets a bar.
    """
    epochs, found, folders = options.train.epochs, [], []
    locks = files.scratch("cross", "locks")
    task = progress.add_task("cross", total=len(classes) * epochs)
    for number, (name, rows) in enumerate(zip(classes, train, strict=True)):
        progress.update(task, description=f"model of {name}", completed=number * epochs)
        seen = middle(tiles, rows, size)
        given, content = _recipe(options), hashlib.sha256(seen.tobytes()).hexdigest()
        key = files.fingerprint(given.trajectory(), content, seen.shape)
        folder = files.scratch("cross", key)
        folders.append(folder)
        model = build(options, seen.shape[1], size)
        with ExitStack() as held:
            held.enter_context(files.alone(locks / key))
            bar = Bar(progress, task, number * epochs, epochs)
            settings, nothing = given.settings(seen.shape[1], size), np.arange(0)
            trained.begin(folder, key, settings.extent)
            fitted = fitting.fit(model, seen, np.arange(len(seen)), nothing, settings, folder, key, bar)
        model.load_state_dict(fitted.weights)
        found.append(_errors(model.to(embedding.device()), tiles, held_out, size))
    return np.stack(found, axis=1), folders


def finish(options: params.Params, folders: Sequence[Path]) -> None:
    """Note in the scratch folders of trainings that all was made of them, and bound what they take."""
    locks, train = files.scratch("cross", "locks"), options.train
    for folder in folders:
        with files.alone(locks / folder.name):
            trained.finish(folder, Extent(train.epochs, 0, train.min_delta, train.keep_every))
    trained.prune(locks.parent, locks)


def middle(tiles: Tiles, rows: Rows, size: int) -> Tiles:
    """Return the middle of some tiles, (n, C, size, size)."""
    edge = (tiles.shape[-1] - size) // 2
    return np.ascontiguousarray(tiles[rows][:, :, edge : edge + size, edge : edge + size])


def beyond(tiles: Tiles, rows: Rows, size: int) -> int:
    """Return how many tiles show something outside their middle."""
    if size == tiles.shape[-1]:
        return 0
    blocks = (rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK))
    axes = (1, 2, 3)
    return sum(
        int(np.count_nonzero(tiles[b].sum(axes, dtype=np.int64) > middle(tiles, b, size).sum(axes, dtype=np.int64)))
        for b in blocks
    )


def require_size(size: int, side: int) -> int:
    """Return the side to use, px; 0 stands for the whole tile.

    Raises
    ------
    InputError
        When the tiles are smaller.
    """
    if size > side:
        raise InputError(f"--size is {size} px, the tiles are {side} px wide: give no more, or 0 for the whole tile")
    return size or side


def _errors(model: Model, tiles: Tiles, rows: Rows, size: int) -> NDArray[np.float64]:
    found = []
    for i in range(0, len(rows), BLOCK):
        shown = middle(tiles, rows[i : i + BLOCK], size)
        found.append(cross.squared_errors(shown, embedding.reconstruct(model, shown, BLOCK)))
    return np.concatenate(found)


def _recipe(options: params.Params) -> recipe.Recipe:
    """Return a training that nothing stops early."""
    return recipe.Recipe(**options.training(patience=0, contrastive=0.0))
