"""Contradictions that profiles would find after training are found in the table, with both rows."""

import numpy as np
import pandas as pd
import pytest

from morphospace import schema
from morphospace.datasets._agreement import refuse_contradictions
from morphospace.errors import InputError
from morphospace.profiling import aggregate

NAN = float("nan")
SOUND = [  # well, site, batch, compound, concentration, mechanism, type
    ("A01", "1", "b", "DMSO", 0.0, "DMSO", "negcon"),
    ("A01", "2", "b", "DMSO", 0.0, "DMSO", "negcon"),
    ("A02", "1", "b", "taxol", 1.0, "X", "trt"),
    ("A03", "1", "c", "taxol", 1.0, "X", "trt"),
    ("A04", "1", "c", "taxol", 3.0, "Y", "trt"),
    ("A05", "1", "c", "taxol", NAN, "unknown", "trt"),
    ("A06", "1", "c", "unknown", NAN, "unknown", "trt"),
    ("A07", "1", "c", "unknown", NAN, "unknown", "trt"),
]
COLUMNS = [schema.WELL, schema.SITE, schema.BATCH, schema.COMPOUND, schema.CONCENTRATION, schema.MOA, schema.PERT_TYPE]


def _sets(**changes: tuple[int, object]) -> tuple[pd.DataFrame, list[str]]:
    table = pd.DataFrame(SOUND, columns=COLUMNS, index=range(7, 7 + len(SOUND))).assign(**{schema.PLATE: "P"})
    for name, (row, value) in changes.items():
        table.iloc[row, table.columns.get_loc(f"Metadata_{name}")] = value
    return table, [f"line {i + 2}" for i in range(len(table))]


def _profiles(table: pd.DataFrame) -> None:
    """What would fail after training."""
    cells = table.assign(Cells_x=np.arange(len(table), dtype=float), ObjectNumber=1)
    aggregate.treatments(aggregate.wells(aggregate.sites(cells, "mean"), "mean"), "mean")


def test_what_agrees_passes_here_and_as_profiles() -> None:
    table, names = _sets()
    refuse_contradictions(table, names)
    _profiles(table)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"MoA": (3, "Y")}, "Compound taxol, Concentration 1 has MoA X (line 4) and Y (line 5); give it one"),
        ({"MoA": (3, "unknown")}, "Compound taxol, Concentration 1 has MoA X (line 4) and unknown (line 5)"),
        ({"PertType": (3, "poscon")}, "Compound taxol, Concentration 1 has PertType trt (line 4) and poscon (line 5)"),
        ({"Compound": (1, "taxol")}, "Plate P, Well A01 has Compound DMSO (line 2) and taxol (line 3); give it one"),
        ({"Concentration": (1, 0.5)}, "Plate P, Well A01 has Concentration 0 (line 2) and 0.5 (line 3)"),
        ({"Concentration": (1, NAN)}, "Plate P, Well A01 has Concentration 0 (line 2) and none (line 3)"),
        ({"Batch": (1, "c")}, "Plate P, Well A01 has Batch b (line 2) and c (line 3)"),
        (
            {"PertType": (7, "negcon")},
            "Compound unknown has PertType trt (line 8) and negcon (line 9); name the compounds",
        ),
        ({"MoA": (7, "X")}, "Compound unknown has MoA unknown (line 8) and X (line 9); name the compounds"),
    ],
)
def test_what_profiles_cannot_use_is_refused_with_both_rows(changes: dict[str, tuple[int, object]], said: str) -> None:
    table, names = _sets(**changes)
    with pytest.raises(InputError) as refused:
        refuse_contradictions(table, names)
    assert said in str(refused.value)
    with pytest.raises(InputError, match="give it one"):
        _profiles(table)
