"""What lies in the scratch folder of a training, and what of it serves one that is to go on longer, or less long.

A folder is of one training in all that decides the weights of an epoch: data, settings, seed, code. How many epochs
there are to be is not part of it. It has the newest checkpoint, the one before it in case that is damaged, and, while a
shorter training is done again, the furthest one; and the weights of the epochs that were chosen.
"""

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from morphospace import files, seals
from morphospace.errors import InputError
from morphospace.training import checkpoint, history
from morphospace.training.checkpoint import Checkpoint
from morphospace.training.history import Epoch, Extent

NEWEST, BEFORE = checkpoint.NAME, "checkpoint.before.safetensors"
FURTHEST = "checkpoint.furthest.safetensors"
DONE = "done.json"  # how long the last training was that came to its end; as old as its last use
MOST = 4_000_000_000  # bytes of all folders: beyond, those of finished trainings go, the oldest first
_MONTH = 30 * 86_400.0  # seconds, after which an unfinished one may go too
Whole = Callable[[Path], bool]
_log = logging.getLogger(__name__)


def save(folder: Path, fingerprint: str, state: Checkpoint) -> None:
    """Write the checkpoint of an epoch; what was there is kept as the one before it, or as the furthest."""
    epoch = len(state.history)
    reached = {name: len(checkpoint.load_history(folder, fingerprint, name)) for name in (NEWEST, FURTHEST)}
    if reached[NEWEST] > max(epoch, reached[FURTHEST]):
        (folder / NEWEST).replace(folder / FURTHEST)
        reached[FURTHEST] = reached[NEWEST]
    elif reached[NEWEST]:
        _link(folder / NEWEST, folder / BEFORE)
    checkpoint.save(folder, fingerprint, state)
    if reached[FURTHEST] <= epoch:
        (folder / FURTHEST).unlink(missing_ok=True)
    (folder / DONE).unlink(missing_ok=True)


def keep(folder: Path, epoch: int, weights: Mapping[str, Tensor]) -> None:
    """Keep the weights of an epoch."""
    with seals.keeping(kept(folder, epoch)) as aside:
        save_file({name: checkpoint.plain(t) for name, t in weights.items()}, aside)


def kept(folder: Path, epoch: int) -> Path:
    """Return where the weights of an epoch are, if they were kept."""
    return folder / "epochs" / f"{epoch:06d}.safetensors"


def trained(folder: Path, fingerprint: str, extent: Extent) -> int:
    """Return how many epochs of a training need not be trained any more."""
    for _, rows in _checkpoints(folder, fingerprint):
        if not _lacking(folder, rows, extent):
            return history.ends(rows, extent) or len(rows)
    return 0


def find(folder: Path, fingerprint: str, extent: Extent) -> Checkpoint | None:
    """Return the furthest state that a training can go on from, or, when it went beyond its end, its end.

    In the second case the history ends there, `best` are the weights of its best epoch, and nothing can be trained on.
    None when it starts from the first epoch: nothing lies there that is whole, or weights that it asks for were not
    kept, which is logged.
    """
    for name in (NEWEST, BEFORE, FURTHEST):
        if not checkpoint.load_history(folder, fingerprint, name):
            checkpoint.load(folder, fingerprint, name)  # says that it was damaged, if it was
    reason = ""
    for name, rows in _checkpoints(folder, fingerprint):
        if lacking := _lacking(folder, rows, extent, seals.intact):
            reason = reason or f"{len(rows)} epochs were trained, but the weights of epoch {lacking} were not kept"
        elif found := checkpoint.load(folder, fingerprint, name):
            return _cut(folder, found, extent)
        else:
            reason = reason or f"the checkpoint after epoch {len(rows)} was damaged"
    if reason:
        _log.info("%s: training starts from the first epoch", reason)
    return None


def begin(folder: Path, fingerprint: str, extent: Extent) -> None:
    """Empty the folder of a training that is asked for just as it came to its end the last time: it is done again.

    Not when a longer one lies there, which would be lost.
    """
    try:
        last = files.read_json(folder / DONE)
    except InputError:  # none, or a damaged one
        return
    longer = any(history.ends(rows, extent) != len(rows) for _, rows in _checkpoints(folder, fingerprint))
    if last == list(extent) and not longer:
        shutil.rmtree(folder)
        folder.mkdir()


def finish(folder: Path, extent: Extent) -> None:
    """Note that a training came to its end; the checkpoint that was kept in case of damage goes."""
    (folder / BEFORE).unlink(missing_ok=True)
    files.write_json(folder / DONE, list(extent))


def prune(root: Path, locks: Path, most: int = MOST) -> None:
    """Delete folders of trainings until all take at most so many bytes: finished ones, the longest unused first.

    One that was interrupted goes only when nothing was added to it for a month; the newest, and one in use, never does.
    """
    folders = sorted((f for f in root.iterdir() if f.is_dir() and f != locks), key=_age, reverse=True)
    sizes = {folder: _size(folder) for folder in folders}
    total = sum(sizes.values())
    for folder in folders[:-1]:
        if total <= most:
            return
        if not ((folder / DONE).is_file() or _age(folder) > _MONTH):
            continue
        try:
            with files.alone(locks / folder.name, seconds=0):
                shutil.rmtree(folder)
        except TimeoutError:
            continue
        total -= sizes[folder]
        _log.info("%s is deleted: checkpoints take more than %.1f GB", folder, most / 1e9)


def _age(folder: Path) -> float:
    done = folder / DONE
    return time.time() - (done if done.is_file() else folder).stat().st_mtime


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # of a training that goes on beside this one
            total += path.stat().st_size
    return total


def _link(path: Path, target: Path) -> None:
    """Let a second name stand for a file; what had that name is gone."""
    aside = target.with_name(f".{target.name}")
    aside.unlink(missing_ok=True)
    aside.hardlink_to(path)
    aside.replace(target)


def _checkpoints(folder: Path, fingerprint: str) -> list[tuple[str, list[Epoch]]]:
    """Return the checkpoints of a training by name with their histories, the furthest first."""
    found = [(name, checkpoint.load_history(folder, fingerprint, name)) for name in (NEWEST, BEFORE, FURTHEST)]
    return sorted(((n, rows) for n, rows in found if rows), key=lambda pair: len(pair[1]), reverse=True)


def _lacking(folder: Path, rows: Sequence[Epoch], extent: Extent, whole: Whole = Path.is_file) -> int:
    """Return the first epoch whose weights are asked for and cannot be had; 0 when all can."""
    end = history.ends(rows, extent) or len(rows)
    wanted = {*extent.kept(end)}
    best = history.best(rows[:end], extent.min_delta)
    if best != history.best(rows, extent.min_delta):
        wanted.add(best)
    return next((e for e in sorted(wanted) if not whole(kept(folder, e))), 0)


def _cut(folder: Path, found: Checkpoint, extent: Extent) -> Checkpoint:
    """Return a checkpoint as it would be at the end of a training, when it went beyond."""
    end = history.ends(found.history, extent) or len(found.history)
    rows = found.history[:end]
    best = history.best(rows, extent.min_delta)
    if best == history.best(found.history, extent.min_delta):
        return found._replace(history=rows)
    return found._replace(history=rows, best=load_file(kept(folder, best)))
