from typing import Any

import pandas as pd
import pytest

from morphospace.reporting import scores
from morphospace.reporting.page import Table

FOUND: dict[str, Any] = {
    "S": 0.91,
    "S_low": 0.9,
    "S_high": 0.92,
    "S_black": 0.8,
    "S_constant": 0.81,
    "S_mean": 0.85,
    "S_median": 0.86,
    "S_pca": 0.95,
    "pca_k": 75,
    "skill_pca": -1.0,
    "skill_pca_low": -1.2,
    "skill_pca_high": -0.8,
    "skill_mae": 0.3,
    "n_cells_test": 412,
    "n_groups_test": 8,
    "verdict": "PCA-75 wins: at length.",
}


def rows(*given: tuple[str, str, str, str, str, float]) -> pd.DataFrame:
    columns = ["split", "region", "channel", "method", "metric", "value"]
    return pd.DataFrame(given, columns=columns).assign(low=float("nan"), high=float("nan"), n_cells=10, n_groups=2)


def test_the_first_line_says_so_when_pca_wins() -> None:
    line = scores.headline(FOUND, "conv_vae")
    assert line.startswith("PCA-75 beats conv_vae: similarity S = 0.9100 [0.9000,\N{NO-BREAK SPACE}0.9200]")
    assert "PCA-75 0.9500" in line
    assert "the median image 0.8600" in line


@pytest.mark.parametrize(
    ("change", "start"),
    [
        ({"skill_pca_low": 0.1, "skill_pca_high": 0.3}, "conv_vae beats PCA-75"),
        ({"skill_pca_low": -0.1, "skill_pca_high": 0.3}, "conv_vae and PCA-75 cannot be told apart"),
        ({"skill_pca_low": None}, "conv_vae against PCA-75 is undecided, for want of an interval"),
        ({"S_pca": None}, "conv_vae was not compared with PCA"),
        ({"S": 0.7}, "conv_vae is no better than the median image"),
        ({"S": None}, "The similarity of conv_vae was not measured"),
    ],
)
def test_the_first_line_follows_the_numbers(change: dict[str, Any], start: str) -> None:
    assert scores.headline(FOUND | change, "conv_vae").startswith(start)


def test_without_a_measurement_there_is_no_claim() -> None:
    assert "not measured" in scores.headline(None, "conv_vae")
    assert scores.summary(None) == []
    assert "not measured" in str(scores.blocks(None, None, "conv_vae"))


def test_methods_are_ranked_and_the_model_is_marked() -> None:
    table = rows(
        ("test", "all", "all", "model", "S", 0.91),
        ("test", "all", "all", "model", "mse", 0.0123),
        ("test", "all", "all", "black", "S", 0.80),
        ("test", "all", "all", "pca", "S", 0.95),
        ("train", "all", "all", "model", "S", 0.93),
        ("test", "inside", "all", "model", "S", 0.5),
        ("test", "inside", "DNA", "model", "S", 0.6),
    )
    floors, splits, inside = scores.blocks(FOUND, table, "conv_vae")
    assert isinstance(floors, Table)
    assert [row[0] for row in floors.rows] == ["PCA-75", "conv_vae", "an all-black picture"]
    assert list(floors.marked) == [1]
    assert floors.rows[1][1:] == ["0.9100", "0.01230"]
    assert floors.rows[0][2] == "–"
    assert isinstance(splits, Table)
    assert [row[0] for row in splits.rows] == ["train", "test"]
    assert isinstance(inside, Table)
    assert inside.head == ["", "all channels", "DNA"]


def test_a_model_that_draws_nothing_has_a_verdict_and_floors_and_no_scores_of_its_own() -> None:
    found = FOUND | {"reconstructs": False, "S": None, "verdict": "metric_net draws nothing: so."}
    assert scores.headline(found, "metric_net") == "metric_net draws nothing: so."
    assert scores.summary(found) == []
