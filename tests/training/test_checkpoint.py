"""A checkpoint gives back what was saved, or nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from morphospace.models import conv_vae
from morphospace.training import checkpoint
from morphospace.training.history import Epoch

ROW = Epoch(1, 1e-3, 1.0, 0.1 + 0.2, 8.0, 1.0, None, None, None)


def _trained() -> tuple[torch.nn.Module, torch.optim.Adam]:
    torch.manual_seed(0)
    model = conv_vae.build(1, 16, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.rand(4, 1, 16, 16)).reconstruction.sum().backward()
    optimizer.step()
    return model, optimizer


def _save(folder: Path) -> checkpoint.Checkpoint:
    model, optimizer = _trained()
    tensors = checkpoint.optimizer_tensors(model, optimizer)
    state = checkpoint.Checkpoint([ROW], 1.25, model.state_dict(), model.state_dict(), tensors)
    checkpoint.save(folder, "key", state)
    return state


def test_all_comes_back(tmp_path: Path) -> None:
    state = _save(tmp_path)
    found = checkpoint.load(tmp_path, "key")
    assert found is not None
    assert (found.history, found.seconds) == ([ROW], 1.25)
    for part in ("model", "best", "optimizer"):
        was, now = getattr(state, part), getattr(found, part)
        assert was.keys() == now.keys()
        assert all(torch.equal(was[k], now[k]) for k in was)
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.NAME]


def test_the_optimiser_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    state = _save(tmp_path)
    model, optimizer = _trained()
    again = torch.optim.Adam(model.parameters())
    checkpoint.restore_optimizer(model, again, state.optimizer)
    for p in model.parameters():
        assert again.state[p]["step"] == optimizer.state[p]["step"] == 1
        for slot in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(again.state[p][slot], optimizer.state[p][slot])
            assert again.state[p][slot].stride() == optimizer.state[p][slot].stride()


def test_one_of_other_inputs_is_ignored(tmp_path: Path) -> None:
    _save(tmp_path)
    assert checkpoint.load(tmp_path, "another") is None
    assert checkpoint.load(tmp_path / "nowhere", "key") is None


@pytest.mark.parametrize("content", [b"", b"half a file", b"\xff" * 64])
def test_a_damaged_one_is_ignored(tmp_path: Path, content: bytes) -> None:
    (tmp_path / checkpoint.NAME).write_bytes(content)
    assert checkpoint.load(tmp_path, "key") is None


def test_a_truncated_one_is_ignored(tmp_path: Path) -> None:
    _save(tmp_path)
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:-100])
    assert checkpoint.load(tmp_path, "key") is None


def test_any_altered_byte_is_noticed(tmp_path: Path) -> None:
    """In the tensors, in the history, in the seconds: wherever it still can be read."""
    _save(tmp_path)
    path = tmp_path / checkpoint.NAME
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(8, len(whole), 200):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert checkpoint.load(tmp_path, "key") is None
    path.write_bytes(whole)
    assert checkpoint.load(tmp_path, "key") is not None
    for text, other in ((b"1.25", b"1.26"), (b"8.0", b"8.1")):
        assert text in whole
        path.write_bytes(whole.replace(text, other))
        assert checkpoint.load(tmp_path, "key") is None


def test_one_of_another_format_is_ignored(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / checkpoint.NAME)
    assert checkpoint.load(tmp_path, "key") is None
