import math

import pytest
from scipy.stats import binomtest

from morphospace.metrics.wilson import wilson


@pytest.mark.parametrize(("hits", "rows"), [(0, 5), (84, 103), (96, 103), (7, 7), (1, 1)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_it_is_the_interval_of_scipy(hits: int, rows: int, confidence: float) -> None:
    theirs = binomtest(hits, rows).proportion_ci(confidence, "wilson")
    found = wilson(hits, rows, confidence)
    assert (found.low, found.high) == (pytest.approx(theirs.low, abs=1e-12), pytest.approx(theirs.high, abs=1e-12))


def test_a_tie_lies_between() -> None:
    low, between, high = (wilson(hits, 10, 0.95) for hits in (4, 4.5, 5))
    assert low.low < between.low < high.low
    assert low.high < between.high < high.high


def test_without_a_row_there_is_none() -> None:
    found = wilson(0, 0, 0.95)
    assert math.isnan(found.low)
    assert found.reason == "no row"
