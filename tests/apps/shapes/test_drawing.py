import numpy as np
import pandas as pd

from morphospace.apps.shapes import drawing
from morphospace.reporting import figures


def _there(title):
    t = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    line = np.stack([10 + 8 * np.cos(t), 12 + 5 * np.sin(t)], axis=1)
    d = np.linalg.norm(line[:, None] - line, axis=2)
    return drawing.There(title, np.ones((20, 24), bool), line, d, d + 1, line + 0.5)


def _scores():
    rows = [
        (split, method, 7, 3, score, 0.8, 0.7, np.nan if method == "majority class" else 0.9)
        for split in ("together", "torn")
        for method in ("majority class", "embedding")
        for score in drawing.SCORES
        if (split, method) != ("torn", "embedding")
    ]
    return pd.DataFrame(rows, columns=["split", "method", "width", "repeats", "score", "value", "low", "high"])


def test_a_column_a_shape_there_and_back(tmp_path):
    figure = drawing.reconstructions([_there("a"), _there("b_$x$")], "two shapes")
    assert len(figure.axes) == 4 * 2 + 1  # and the scale of distances
    assert [len(a.lines) for a in figure.axes[:8:2]] == [1, 0, 0, 2]
    figures.save(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_bars_of_two_divisions_where_one_lacks_a_method(tmp_path):
    figure = drawing.bars(_scores())
    assert [a.get_xlabel() for a in figure.axes] == ["balanced accuracy", "macro F1", "ROC AUC"]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["majority class", "embedding"]
    figures.save(figure, tmp_path / "a.png")


def test_markdown_has_a_table_a_division():
    text = drawing.markdown(_scores())
    assert text.count("| method | numbers | repeats | accuracy | balanced accuracy |") == 2
    assert "| embedding | 7 | 3 | 0.800 [0.700, 0.900] |" in text
