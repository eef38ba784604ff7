"""Minibatches as indices into one array of uint8 tiles, kept on the device where it fits, without workers."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_SHARE = 0.5  # of the device's free memory that the tiles may take; the rest is for activations


class Tiles:
    """Tiles (N, C, H, W) of uint8, in the device's memory when they take at most half of what is free, else the host's.

    The host's array may be a memory map: only the rows of a minibatch are read. `resident=False`, for a single pass,
    leaves them with the host.
    """

    def __init__(self, array: NDArray[np.uint8], device: torch.device, resident: bool = True) -> None:
        self.array = array
        self.device = device
        self.resident: Tensor | None = None
        if resident and device.type != "cpu" and array.nbytes <= _SHARE * _free(device):
            self.resident = torch.from_numpy(np.array(array)).to(device)

    def take(self, rows: Tensor) -> Tensor:
        """Return the tiles of `rows` (a vector of indices) on the device, float32 in [0, 1], channels last."""
        if self.resident is not None:
            batch = self.resident[rows.to(self.device, non_blocking=True)]
        else:
            batch = torch.from_numpy(self.array[rows.cpu().numpy()]).to(self.device)
        return batch.contiguous(memory_format=torch.channels_last).to(torch.float32).div_(255)


class Minibatches:
    """The rows of a split in minibatches, each epoch in an order that depends on the seed and the epoch alone.

    So a resumed epoch sees the same minibatches without any stored state. The last minibatch is smaller when `size`
    does not divide the rows (the thesis had 7,165.2 steps an epoch); with batch normalisation one image alone has no
    variance, so a last minibatch of one image is left out in training, and another image each epoch.

    Parameters
    ----------
    rows
        Indices into the tiles.
    size
        Images a minibatch.
    seed
        Root of the orders; None keeps the given order and every row.
    epoch
        Gives the number of the epoch when the minibatches are drawn.
    """

    def __init__(
        self, rows: NDArray[np.intp], size: int, seed: int | None = None, epoch: Callable[[], int] = lambda: 0
    ) -> None:
        self.rows = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.int64))
        self.size = size
        self.seed = seed
        self.epoch = epoch

    def __len__(self) -> int:
        """Number of minibatches an epoch."""
        whole, rest = divmod(len(self.rows), self.size)
        return whole + (rest > (1 if self.seed is not None and whole else 0))

    def __iter__(self) -> Iterator[Tensor]:
        """Yield vectors of indices."""
        rows = self.rows
        if self.seed is not None:
            order = torch.Generator().manual_seed(epoch_seed(self.seed, self.epoch(), "order"))
            rows = rows[torch.randperm(len(rows), generator=order)]
        for step in range(len(self)):
            yield rows[step * self.size : (step + 1) * self.size]


def epoch_seed(seed: int, epoch: int, purpose: str) -> int:
    """Return a number below 2**63 that depends on the root seed, the epoch and what it is for."""
    entropy = [seed, epoch, *purpose.encode()]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _free(device: torch.device) -> int:
    """Bytes free on a device; 0 where torch cannot say, so that the tiles stay with the host."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else 0
