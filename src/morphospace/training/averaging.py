"""An average of the weights over the last share of all steps so far: it needs no schedule that knows the end.

The weight of each new step falls as one over their number, so that the average forgets the beginning at any length of
training (Shamir and Zhang 2013, polynomial-decay averaging).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

SLOT = "average"  # of the optimiser's state, which a checkpoint holds


@torch.no_grad()
def update(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Take the weights after a step into their average, of which they are one part in `share` x steps."""
    for group in optimizer.param_groups:
        for weight in group["params"]:
            state = optimizer.state.get(weight)
            if state:  # a weight without a gradient has none
                new = min(1.0, 1 / (share * float(state["step"])))
                if SLOT not in state:
                    state[SLOT] = weight.detach().clone()
                else:
                    state[SLOT].lerp_(weight, new)


@contextmanager
def averaged(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Give a model its averaged weights, where there are any, and then those of the last step again."""
    found = [(p, optimizer.state[p][SLOT]) for p in model.parameters() if SLOT in optimizer.state.get(p, {})]
    _swap(found)
    try:
        yield
    finally:
        _swap(found)


@torch.no_grad()
def _swap(pairs: list[tuple[nn.Parameter, Tensor]]) -> None:
    for weight, average in pairs:
        last = weight.detach().clone()
        weight.copy_(average)
        average.copy_(last)
