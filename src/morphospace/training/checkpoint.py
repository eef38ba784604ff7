"""A checkpoint is one safetensors file: weights now and at best, the optimiser's tensors, and a JSON header. No pickle.

The header holds what is not a tensor: the fingerprint of everything that decides the weights, the history, the seconds
spent. One file, renamed into place: a kill leaves the state after one epoch or the next, nothing between.
"""

import json
import logging
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from morphospace import files
from morphospace.training.history import Epoch

NAME = "checkpoint.safetensors"
_FORMAT = "2"  # 2 has a sum
_log = logging.getLogger(__name__)


class Checkpoint(NamedTuple):
    """The state after an epoch; `optimizer` has tensors by ``<parameter>/<slot>``."""

    history: list[Epoch]
    seconds: float
    model: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Tensor]


def save(folder: Path, fingerprint: str, state: Checkpoint) -> None:
    """Write the checkpoint of a folder, aside and renamed."""
    parts = {"model": state.model, "best": state.best, "optimizer": state.optimizer}
    tensors = {f"{part}/{name}": plain(t) for part, of in parts.items() for name, t in of.items()}
    header = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "history": json.dumps([row._asdict() for row in state.history]),
        "seconds": repr(state.seconds),
    }
    with files.replacing(folder / NAME) as aside:
        save_file(tensors, aside, {**header, "sum": _sum(header, tensors)})


def load_history(folder: Path, fingerprint: str, name: str = NAME) -> list[Epoch]:
    """Return the history of a checkpoint, empty when there is none that fits (`load`); its sum is not looked at."""
    try:
        with safe_open(folder / name, framework="pt") as file:
            header = file.metadata() or {}
        if header.get("format") == _FORMAT and header.get("fingerprint") == fingerprint:
            return [Epoch(**row) for row in json.loads(header["history"])]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        pass
    return []


def load(folder: Path, fingerprint: str, name: str = NAME) -> Checkpoint | None:
    """Return a checkpoint of a folder, or None when there is none that fits.

    It fits when its fingerprint is the given one, and its sum that of its content. Anything else, a file of another
    format, or one that cannot be read, is as good as no checkpoint; one that was damaged is named in a warning.
    """
    path = folder / name
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != _FORMAT or header.get("fingerprint") != fingerprint:
                return None
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        _log.warning("%s is not as it was written (%s): it is not used", path, error)
        return None
    if header.pop("sum", "") != _sum(header, tensors):
        _log.warning("%s is not as it was written (its sum is another): it is not used", path)
        return None
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    for key, tensor in tensors.items():
        part, _, of = key.partition("/")
        parts[part][of] = tensor
    history = [Epoch(**row) for row in json.loads(header["history"])]
    return Checkpoint(history, float(header["seconds"]), parts["model"], parts["best"], parts["optimizer"])


def optimizer_tensors(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state by ``<parameter>/<slot>``, so that it does not depend on an order."""
    named = {id(p): name for name, p in model.named_parameters()}
    return {
        f"{named[id(p)]}/{slot}": value
        for p, slots in optimizer.state.items()
        for slot, value in slots.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(model: torch.nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave, each tensor laid out in memory as its parameter is."""
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        name, _, slot = key.rpartition("/")
        target = parameters[name]
        optimizer.state[target][slot] = torch.empty_like(target).copy_(value) if value.ndim else value.clone()


def plain(tensor: Tensor) -> Tensor:
    """Return a copy of a tensor as safetensors takes it: on the host, in the order of its axes, its own memory."""
    return tensor.detach().cpu().contiguous().clone(memory_format=torch.contiguous_format)


def _sum(header: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """Return the CRC-32 of all that a checkpoint holds, which stands in it: the two cannot be of different epochs."""
    found = zlib.crc32(json.dumps(dict(header), sort_keys=True).encode())
    for name in sorted(tensors):
        found = zlib.crc32(name.encode(), found)
        found = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"
