"""The kept epoch and the end of training are functions of the losses alone."""

import pytest

from morphospace.training.history import Epoch, best, should_stop


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
        ((3.0, 2.0, 2.5, 2.6), 2, True),
        ((3.0, 2.0, 2.5), 2, False),
        ((3.0, 2.0, 2.5, 2.6), 0, False),
        ((None, None, None), 1, False),
        ((), 1, False),
    ],
)
def test_training_stops_after_its_patience(losses: tuple[float | None, ...], patience: int, expected: bool) -> None:
    assert should_stop(_rows(*losses), patience) is expected


def test_absent_numbers_are_not_logged() -> None:
    assert set(_rows(None)[0].numbers()) == {
        "learning_rate",
        "kl_weight",
        "train_loss",
        "train_reconstruction",
        "train_kl",
    }
