"""Settings of the whole process that training needs: how memory is kept, what Lightning may say, and what is undone."""

import ctypes
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)


def keep_memory() -> bool:
    """Let the C library keep freed memory instead of giving it back; return whether it could be told.

    By default glibc asks the kernel for every large tensor anew, and the kernel clears each page of it: for the
    activations of a minibatch that takes longer than computing them. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning's advice out of the log and the warnings: no validation split is a choice, LeafSpec is its own."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            warnings.filterwarnings("ignore", message="You defined a `validation_step` but have no `val_dataloader`")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def deterministic() -> Iterator[None]:
    """Undo afterwards what a deterministic Trainer sets, and do not let it fill new memory: nothing reads that."""
    before = torch.are_deterministic_algorithms_enabled()
    switches: Any = torch.utils.deterministic
    filling = switches.fill_uninitialized_memory
    switches.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        switches.fill_uninitialized_memory = filling
