import numpy as np
import pytest

from morphospace.reporting import contest

REFERENCES = {"PCA-9": 0.02, "PCA-9 of 8 views": 0.018}


def test_the_curves_are_skills_over_the_first_reference() -> None:
    """An error of half of PCA's is a skill of 0.5; PCA's own is 0."""
    (axis,) = contest.curves({"good": [(1, 0.02), (2, 0.01)], "level": [(1, 0.03), (2, 0.02)]}, REFERENCES).axes
    drawn = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in axis.lines}
    assert drawn["good"] == pytest.approx([0, 0.5])
    assert drawn["level"] == pytest.approx([-0.5, 0])
    assert drawn["PCA-9"] == pytest.approx([0, 0])
    assert drawn["PCA-9 of 8 views"] == pytest.approx([0.1, 0.1])
    assert axis.get_yscale() == "linear"


def test_a_poor_model_does_not_press_the_others_together() -> None:
    (axis,) = contest.curves({"poor": [(1, 0.9), (2, 0.4)]}, REFERENCES).axes
    assert axis.get_yscale() == "symlog"
    assert "logarithmic below" in axis.get_ylabel()
    assert 0 in axis.get_yticks()
