"""A column arrives in the browser as it was in the table."""

import numpy as np
import pandas as pd
import pytest

from morphospace import schema
from morphospace.apps.serve import columns
from morphospace.errors import InputError


def test_categories_are_sorted_codes_and_none_is_none() -> None:
    made = columns.column(schema.MOA, pd.Series(["b", None, "a", "", "b"]))
    assert (made.kind, made.levels, made.label, made.group) == ("category", ["a", "b"], "MoA", "metadata")
    assert made.values.dtype == np.uint16
    assert made.values.tolist() == [1, columns.NONE, 0, columns.NONE, 1]


def test_numbers_stay_numbers_and_truth_values_are_categories() -> None:
    made = columns.column(schema.CONCENTRATION, pd.Series([0.5, np.nan]))
    assert (made.kind, made.unit) == ("number", "µM")
    np.testing.assert_array_equal(made.values, np.float32([0.5, np.nan]))
    whole = columns.column("Cells", pd.Series([3, None], dtype="Int64"))
    np.testing.assert_array_equal(whole.values, np.float32([3, np.nan]))
    assert columns.column("Is_Good", pd.Series([True, False])).levels == ["False", "True"]


@pytest.mark.parametrize(
    ("name", "label", "unit", "group"),
    [
        ("Cells_Latent_012", "Latent 12", "", "latent"),
        ("Cells_AreaShape_Area", "Area", "px²", "measurement"),
        ("Nuclei_AreaShape_Area", "Nuclei Area", "px²", "measurement"),
        ("Cells_AreaShape_Center_X", "Center X", "px", "measurement"),
        (schema.PERT_TYPE, "Control type", "", "metadata"),
        (schema.OBJECT, "Object number", "", "metadata"),
        (schema.SPLIT, "Split", "", "metadata"),
    ],
)
def test_names_as_a_person_reads_them(name: str, label: str, unit: str, group: str) -> None:
    assert (columns.label(name), columns.unit(name), columns.group(name)) == (label, unit, group)


def test_more_categories_than_codes_are_refused() -> None:
    with pytest.raises(InputError, match="column Barcode has 65,535 different values, a page can show 65,534"):
        columns.column("Barcode", pd.Series(np.arange(columns.NONE)).astype(str))
