"""Galleries and the figure of floors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from morphospace.reporting import figures
from morphospace.reporting import similarity as drawing

METHODS = ("black", "constant", "mean", "median", "pca", "model", "perfect")


def _scores(value: float | None = None, interval: bool = True) -> pd.DataFrame:
    rows = []
    for region in ("all", "inside"):
        for channel in ("all", "DNA", "Actin"):
            for i, method in enumerate(METHODS):
                s = value if value is not None else 1 - 0.1 / (i + 1)
                s = 1.0 if method == "perfect" else s
                ends = (s - 0.01, min(s + 0.01, 1)) if interval else (np.nan, np.nan)
                rows += [("test", region, channel, method, metric, s, *ends) for metric in ("S", "S_legacy")]
    return pd.DataFrame(rows, columns=["split", "region", "channel", "method", "metric", "value", "low", "high"])


@pytest.mark.parametrize("interval", [True, False])
def test_the_figure_of_floors_names_every_method_best_last(tmp_path: Path, interval: bool) -> None:
    figure = drawing.floors(_scores(interval=interval), "conv_vae", 75)
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels[0] == "all black"
    assert labels[-2:] == ["conv_vae", "the image itself"]
    assert "PCA-75" in labels
    figures.save(figure, tmp_path / "bars.png")


def test_scores_of_one_have_no_point_but_a_number(tmp_path: Path) -> None:
    figure = drawing.floors(_scores(1.0), "conv_vae", 75)
    assert sum(t.get_text() == "S 1.0000" for t in figure.axes[0].texts) == len(METHODS)
    figures.save(figure, tmp_path / "bars.png")


def test_each_channel_has_a_panel(tmp_path: Path) -> None:
    figure = drawing.per_channel(_scores(), ["DNA", "Actin"], "conv_vae", 75)
    assert [axis.get_title() for axis in figure.axes] == ["DNA", "Actin"]
    figures.save(figure, tmp_path / "per_channel.png")


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_gallery_shows_every_tile_with_its_caption(tmp_path: Path, channels: int) -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (4, channels, 16, 16), dtype=np.uint8)
    rows = [drawing.Row("original", tiles), drawing.Row("conv_vae", tiles / 255, ["S 1"] * 4)]
    figure = drawing.gallery(rows, "Drawn at random")
    assert [axis.get_xlabel() for axis in figure.axes] == [""] * 4 + ["S 1"] * 4
    figures.save(figure, tmp_path / "random.png")
