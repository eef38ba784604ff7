"""The trials as a table and as a figure."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from morphospace.apps.tune import drawing
from morphospace.reporting import figures

KEYS = ["z_dim", "train.learning_rate", "conv_vae.batch_norm", "conv_vae.output_activation"]


def _found(rows: int) -> pd.DataFrame:
    states = ["complete", "pruned", "interrupted", "fail"]
    return pd.DataFrame(
        {
            "trial": range(rows),
            "state": [states[i % 4] for i in range(rows)],
            "validation_mse": [None if i % 4 == 3 else 0.01 / (i + 1) for i in range(rows)],
            "skill": [0.5] * rows,
            "validation_kl": [2.0] * rows,
            "epochs": [3.0] * rows,
            "seconds": [1.5] * rows,
            "experiment": [f"tune-{i}" for i in range(rows)],
            "reason": ["error: a | b" if i % 4 == 3 else None for i in range(rows)],
            "z_dim": [25, 75] * (rows // 2),
            "train.learning_rate": [10.0 ** -(1 + i % 4) for i in range(rows)],
            "conv_vae.batch_norm": [True, False] * (rows // 2),
            "conv_vae.output_activation": ["linear", "sigmoid"] * (rows // 2),
        }
    ).astype({"validation_mse": float})


def test_the_best_stands_first_and_failures_say_why() -> None:
    lines = drawing.markdown(_found(8), KEYS, "mean", 0.02).splitlines()
    rows = [line for line in lines if line.startswith("|")][2:]
    assert rows[0].startswith("| 4 | complete | 25 | 0.1 |")
    assert rows[1].startswith("| 0 | complete |")
    assert any(r"failed: error: a \| b" in r for r in rows)
    assert all(r.replace(r"\|", "").count("|") == rows[0].count("|") for r in rows)
    assert "the mean picture (0.02)" in lines[2]


@pytest.mark.parametrize("rows", [0, 2, 12])
def test_the_figure_is_drawn_with_any_number_of_trials(tmp_path: Path, rows: int) -> None:
    figure = drawing.figure(_found(rows), KEYS, "mean", 0.02, {"z_dim": 0.75}, ["train.learning_rate"])
    assert figure.axes[2].get_xscale() == ("log" if rows else "linear")
    labels = [axis.get_xlabel() for axis in figure.axes]
    assert labels == ["trial", "z_dim; importance 0.75", *KEYS[1:]]
    figures.save(figure, tmp_path / "trials.png")
    with Image.open(tmp_path / "trials.png") as picture:
        assert picture.width > 1000
