"""The average is that of the last share of the steps, and a model has it for as long as it is asked to."""

import pytest
import torch
from torch import nn

from morphospace.training import averaging


def _descent(steps: int, share: float) -> tuple[nn.Linear, torch.optim.Optimizer, list[torch.Tensor]]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2, bias=False)
    optimizer, seen = torch.optim.AdamW(model.parameters(), lr=0.1), []
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 3)).square().sum().backward()
        optimizer.step()
        averaging.update(optimizer, share)
        seen.append(model.weight.detach().clone())
    return model, optimizer, seen


def test_the_share_one_is_the_plain_mean_of_all_steps() -> None:
    model, optimizer, seen = _descent(40, 1.0)
    with averaging.averaged(model, optimizer):
        torch.testing.assert_close(model.weight.detach(), torch.stack(seen).mean(dim=0))


@pytest.mark.parametrize("steps", [40, 400])
def test_a_share_weighs_the_steps_by_how_late_they_are(steps: int) -> None:
    share = 0.1
    model, optimizer, seen = _descent(steps, share)
    rest, wanted = 1.0, torch.zeros_like(model.weight)
    for number in range(steps, 0, -1):  # the newest takes its part first
        part = min(1.0, 1 / (share * number))
        wanted += rest * part * seen[number - 1]
        rest *= 1 - part
    assert rest == pytest.approx(0)
    with averaging.averaged(model, optimizer):
        torch.testing.assert_close(model.weight.detach(), wanted)


def test_the_last_weights_return_also_after_an_error() -> None:
    model, optimizer, seen = _descent(20, 0.5)
    between = []

    def work() -> None:
        with averaging.averaged(model, optimizer):
            between.append(model.weight.detach().clone())
            raise RuntimeError("in between")

    with pytest.raises(RuntimeError, match="in between"):
        work()
    assert not torch.equal(between[0], seen[-1])
    assert torch.equal(model.weight, seen[-1])


def test_before_the_first_step_there_is_no_average() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    with averaging.averaged(model, torch.optim.AdamW(model.parameters())):
        assert torch.equal(model.weight, before)
