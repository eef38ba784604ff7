"""Minibatches cover every row once, in an order that the seed and the epoch decide."""

import numpy as np
import pytest
import torch

from morphospace.training.data import Minibatches, Tiles, epoch_seed


def _order(size: int, seed: int | None, epoch: int, rows: int = 20) -> list[int]:
    batches = Minibatches(np.arange(100, 100 + rows), size, seed, lambda: epoch)
    drawn = list(batches)
    assert len(drawn) == len(batches)
    return torch.cat(drawn).tolist()  # type: ignore[no-any-return]


def test_an_epoch_has_every_row_once() -> None:
    assert sorted(_order(6, 1, 0)) == list(range(100, 120))


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    assert _order(6, 1, 4) == _order(6, 1, 4)
    assert _order(6, 1, 4) == _order(3, 1, 4)
    assert _order(6, 1, 4) != _order(6, 1, 5)
    assert _order(6, 1, 4) != _order(6, 2, 4)


def test_without_a_seed_the_rows_keep_their_order() -> None:
    assert _order(19, None, 3) == list(range(100, 120))


@pytest.mark.parametrize(("size", "sizes"), [(8, [8, 8, 4]), (10, [10, 10]), (19, [19]), (30, [20])])
def test_a_last_minibatch_of_one_is_left_out_when_training(size: int, sizes: list[int]) -> None:
    assert [len(b) for b in Minibatches(np.arange(20), size, 1)] == sizes


def test_tiles_are_scaled_and_taken_by_row() -> None:
    array = np.arange(4 * 2 * 3 * 3, dtype=np.uint8).reshape(4, 2, 3, 3)
    array.setflags(write=False)
    taken = Tiles(array, torch.device("cpu")).take(torch.tensor([3, 0, 3]))
    np.testing.assert_array_equal(taken.numpy(), array[[3, 0, 3]].astype(np.float32) / np.float32(255))
    assert taken.is_contiguous(memory_format=torch.channels_last)


def test_tiles_stay_with_the_host_where_the_device_does_not_say_what_is_free() -> None:
    array = np.zeros((2, 1, 4, 4), dtype=np.uint8)
    assert Tiles(array, torch.device("meta")).resident is None


def test_seeds_differ_by_purpose() -> None:
    seeds = {epoch_seed(s, e, p) for s in (0, 1) for e in (0, 1) for p in ("order", "noise")}
    assert len(seeds) == 8
    assert max(seeds) < 2**63


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_tiles_on_the_device_are_those_of_the_host() -> None:
    array = np.random.default_rng(0).integers(0, 256, (9, 3, 8, 8), dtype=np.uint8)
    rows = torch.tensor([5, 1, 8])
    held = Tiles(array, torch.device("cuda"))
    assert held.resident is not None
    torch.testing.assert_close(held.take(rows).cpu(), Tiles(array, torch.device("cpu")).take(rows))
