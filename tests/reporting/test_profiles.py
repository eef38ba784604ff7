"""Pictures of profiles."""

import numpy as np

from morphospace.reporting import profiles


def test_a_heat_map_names_its_rows_and_parts_controls_from_the_rest() -> None:
    values = np.arange(12.0).reshape(4, 3)
    axis = profiles.heat_map(values, ["DMSO", "a", "b", "c"], [True, False, False, False], "sd").axes[0]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["DMSO", "a", "b", "c"]
    np.testing.assert_array_equal(axis.images[0].get_array(), values)
    low, high = axis.images[0].get_clim()
    assert low == -high
    assert [line.get_ydata()[0] for line in axis.lines] == [0.5]


def test_many_rows_are_thinned_and_the_title_says_so() -> None:
    axis = profiles.heat_map(np.zeros((130, 2)), [str(i) for i in range(130)], [False] * 130, "sd").axes[0]
    names = [t.get_text() for t in axis.get_yticklabels()]
    assert (len(names), names[0], names[-1]) == (60, "0", "129")
    assert axis.get_title(loc="left") == "60 of 130 treatments, evenly spaced"


def test_both_kinds_of_pairs_are_drawn_in_shares() -> None:
    rng = np.random.default_rng(0)
    figure = profiles.replicates(rng.uniform(0, 1, 7), rng.uniform(-1, 1, 300), "a caption")
    axis = figure.axes[0]
    assert [t.get_text() for t in axis.get_legend().get_texts()] == [
        "other compounds, same plates (300 pairs)", "replicates (7 pairs)"]  # fmt: skip
    assert axis.get_ylabel() == "share of the pairs"
