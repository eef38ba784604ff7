"""Figures of a training show what they are given."""

import numpy as np
import pandas as pd
import pytest

from morphospace.reporting import training


def _history(epochs: int, validation: bool) -> pd.DataFrame:
    parts = {p: np.geomspace(100, 1, epochs) for p in ("loss", "reconstruction", "kl")}
    table = pd.DataFrame({"epoch": range(1, epochs + 1)} | {f"train_{p}": v for p, v in parts.items()})
    for p, v in parts.items():
        table[f"validation_{p}"] = 2 * v if validation else None
    return table


@pytest.mark.parametrize(("validation", "lines"), [(True, 3), (False, 2)])
def test_curves_show_each_split_and_the_kept_epoch(validation: bool, lines: int) -> None:
    figure = training.curves(_history(6, validation), best_epoch=4)
    assert [len(axis.lines) for axis in figure.axes] == [lines] * 3
    assert figure.axes[0].get_yscale() == "log"
    assert "kept: epoch 4" in [t.get_text() for t in figure.legends[0].get_texts()]


def test_every_panel_shows_where_the_resolution_grows() -> None:
    table = _history(6, True)
    table["train_resolution"] = table["validation_resolution"] = [7.0, 7.0, 14.0, 14.0, 14.0, 28.0]
    figure = training.curves(table, best_epoch=4)
    axes = figure.axes[:4]
    for axis in axes:
        upright = {float(np.asarray(line.get_xdata())[0]) for line in axis.lines if line.get_linestyle() == "-"}
        assert {x for x in upright if x % 1} == {2.5, 5.5}
    assert axes[3].get_title() == "resolution, px"
    assert [t.get_text() for t in axes[3].get_yticklabels()] == ["7", "14", "28"]
    labels = [t.get_text() for t in figure.legends[0].get_texts()]
    assert labels.count("resolution grows") == 1


def test_a_single_epoch_is_drawn() -> None:
    assert len(training.curves(_history(1, False), 1).axes) == 3


@pytest.mark.parametrize(
    ("epochs", "best", "expected"),
    [(1, 1, [1]), (2, 1, [1, 2]), (5, 3, [1, 2, 3, 4, 5]), (50, 31, [1, 2, 4, 7, 14, 26, 31, 50])],
)
def test_first_best_and_last_epochs_are_shown(epochs: int, best: int, expected: list[int]) -> None:
    assert training.shown_epochs(epochs, best) == expected


def test_every_epoch_has_its_row() -> None:
    tiles = np.zeros((4, 3, 8, 8), dtype=np.uint8)
    figure = training.epochs(tiles, {1: tiles, 3: tiles}, best_epoch=3)
    assert [a.get_ylabel() for a in figure.axes[::4]] == ["original", "epoch 1", "epoch 3 (kept)"]


def test_what_a_model_has_not_has_no_panel() -> None:
    history = _history(3, True).assign(train_kl=0.0, validation_kl=0.0, train_pairs=1.0, validation_pairs=2.0)
    shown = [a.get_title() for a in training.curves(history, 2).axes if a.lines]
    assert shown == ["loss", "reconstruction, R × distortion", "pairs"]


@pytest.mark.parametrize(("power", "panels"), [(1, 3), (2, 4)])
@pytest.mark.parametrize("validation", [True, False])
def test_the_squared_error_has_a_panel_unless_the_reconstruction_shows_it(
    power: int, panels: int, validation: bool
) -> None:
    table = _history(6, validation)
    for side in ("train", "validation") if validation else ("train",):
        table[f"{side}_mse"] = table[f"{side}_reconstruction"] ** power / 5000
    drawn = [axis for axis in training.curves(table, 4).axes if axis.axison]
    assert len(drawn) == panels
    assert ("mean squared error of a pixel" in {axis.get_title() for axis in drawn}) == (power == 2)


def test_a_masked_tile_stands_between_its_original_and_what_was_drawn() -> None:
    tiles = [np.full((2, 3, 8, 8), value, dtype=np.uint8) for value in (10, 20, 30)]
    figure = training.masked(*tiles)
    assert [a.get_ylabel() for a in figure.axes[::2]] == ["original", "masked input", "hidden part drawn"]
    assert [int(a.images[0].get_array().max()) for a in figure.axes] == [10, 10, 20, 20, 30, 30]  # type: ignore[union-attr]
