"""The plate stands as on the bench; curves and controls show every well."""

import string

import numpy as np
import pandas as pd
import pytest

from morphospace import schema, wells
from morphospace.reporting import dose


def _wells(names: list[str]) -> pd.DataFrame:
    n = len(names)
    table = pd.DataFrame({schema.PLATE: "P1", schema.WELL: names, dose.DISTANCE: np.arange(n, dtype=float)})
    kinds = [(schema.NEGCON, schema.TREATED, schema.TREATED, schema.POSCON)[i % 4] for i in range(n)]
    compounds = ["DMSO" if kind == schema.NEGCON else "taxol" for kind in kinds]
    return table.assign(
        **{schema.PERT_TYPE: kinds, schema.COMPOUND: compounds, schema.CONCENTRATION: 1.0 + table.index}
    )


@pytest.mark.parametrize(
    ("last", "shape"), [("H12", (8, 12)), ("P24", (16, 24)), ("I01", (16, 24)), ("AF48", (32, 48))]
)
def test_the_smallest_plate_that_has_all_wells_is_drawn(last: str, shape: tuple[int, int]) -> None:
    figure = dose.plate(_wells(["A01", "B03", last]), "P1")
    assert figure is not None
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == shape
    assert shown[0, 0] == 0
    assert shown[1, 2] == 1
    assert shown[wells.place(last)] == 2
    assert np.ma.count(shown) == 3


def test_rows_are_letters_from_the_top_and_columns_are_numbers() -> None:
    figure = dose.plate(_wells(["A01", "P24"]), "P1")
    assert figure is not None
    axis = figure.axes[0]
    assert [t.get_text() for t in axis.get_yticklabels()] == list(string.ascii_uppercase[:16])
    assert [t.get_text() for t in axis.get_xticklabels()] == [str(i + 1) for i in range(24)]
    low, high = axis.get_ylim()
    assert low > high  # A at the top


@pytest.mark.parametrize("names", [["A01", "field 3"], ["A01", "AG01"], ["A01", "A49"]])
def test_what_is_on_no_plate_is_not_drawn(names: list[str]) -> None:
    assert dose.plate(_wells(names), "P1") is None


def test_controls_and_doses_are_marked_in_their_wells() -> None:
    figure = dose.plate(_wells(["A01", "A02", "A03", "A04"]), "P1")
    assert figure is not None
    texts = {t.get_position(): t.get_text() for t in figure.axes[0].texts}
    assert [texts[i, 0] for i in range(4)] == ["–", "2", "3", "4"]
    assert len(figure.axes[0].patches) == 1


def test_a_plate_without_distances_is_drawn_empty() -> None:
    figure = dose.plate(_wells(["A01", "A02"]).assign(Distance=np.nan), "P1")
    assert figure is not None
    figure.draw_without_rendering()
    assert np.ma.count(figure.axes[0].images[0].get_array()) == 0


def test_every_well_of_a_compound_is_a_point_and_wide_doses_are_logarithmic() -> None:
    wells = _wells([f"A{i:02d}" for i in range(1, 13)])
    for doses, scale in ((np.arange(1, 13), "linear"), (10.0 ** np.arange(-3, 9), "log"), (np.arange(12), "linear")):
        figure = dose.curves(
            wells.assign(**{schema.CONCENTRATION: doses.astype(float)}), [dose.Response("taxol", "rho")], 0.95
        )
        figure.draw_without_rendering()
        axis = figure.axes[0]
        points = [
            line for line in axis.get_lines() if line.get_marker() in ("o", "^") and line.get_linestyle() == "None"
        ]
        assert sum(len(line.get_xdata()) for line in points) == 9
        assert axis.get_xscale() == scale


def test_every_type_of_well_that_there_is_has_a_place() -> None:
    wells = _wells([f"A{i:02d}" for i in range(1, 9)])
    figure = dose.controls(wells[wells[schema.PERT_TYPE] != schema.POSCON], "nothing", 0)
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert labels == ["negative control\n(2 wells)", "compound\n(4 wells)"]
