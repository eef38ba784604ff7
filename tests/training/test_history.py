"""The kept epoch and the end of training are functions of the losses alone."""

import pytest

from morphospace.training.history import Epoch, Extent, best, ends


def _rows(*validation: float | None) -> list[Epoch]:
    return [Epoch(i + 1, 1e-3, 1.0, 9.0, 8.0, 1.0, v, v, v) for i, v in enumerate(validation)]


@pytest.mark.parametrize(
    ("losses", "min_delta", "expected"),
    [
        ((3.0, 2.0, 2.5), 0.0, 2),
        ((3.0, 2.0, 2.0), 0.0, 2),  # a tie keeps the earlier
        ((3.0, 2.95, 2.5), 0.1, 3),
        ((3.0, 2.95, 2.92), 0.1, 1),
        ((None, None, None), 0.0, 3),
        ((), 0.0, 0),
    ],
)
def test_the_best_epoch(losses: tuple[float | None, ...], min_delta: float, expected: int) -> None:
    assert best(_rows(*losses), min_delta) == expected


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ((3.0, 2.0, 2.5, 2.6), 2, 4),
        ((3.0, 2.0, 2.5, 2.6, 1.0), 2, 4),  # whatever came after
        ((3.0, 2.0, 2.5), 2, None),
        ((3.0, 2.0, 2.5, 2.6), 0, None),
        ((3.0,) * 12, 0, 9),
        ((3.0,) * 12, 5, 6),
        ((None, None, None), 1, None),
        ((), 1, None),
    ],
)
def test_training_ends_after_its_epochs_or_its_patience(
    losses: tuple[float | None, ...], patience: int, expected: int | None
) -> None:
    assert ends(_rows(*losses), Extent(9, patience)) == expected


def test_the_epochs_that_are_kept() -> None:
    assert list(Extent(9, keep_every=3).kept(7)) == [3, 6]
    assert list(Extent(9).kept(7)) == []


def test_absent_numbers_are_not_logged() -> None:
    assert set(_rows(None)[0].numbers()) == {
        "learning_rate",
        "kl_weight",
        "train_loss",
        "train_reconstruction",
        "train_kl",
    }
