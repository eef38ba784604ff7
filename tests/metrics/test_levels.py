import numpy as np
import pytest
from wells import sites

from morphospace import schema
from morphospace.errors import SchemaError
from morphospace.metrics import levels
from morphospace.profiling import build


def test_treatments_know_their_batches_and_the_wells_they_were_in() -> None:
    made = build.build(sites(), build.Settings())
    of = levels.level(made.treatments, levels.places(made.wells))
    wells = made.wells.groupby([schema.COMPOUND, schema.CONCENTRATION])
    for i, (_, rows) in enumerate(wells):
        assert of.places[i] == set(rows[schema.WELL])
        assert of.profiles.batches[i] == set(rows[schema.BATCH])
    assert of.profiles.names[0] == "Actin-0 1"
    assert [of.treatments[i] for i in np.flatnonzero(of.controls)] == ["DMSO 0"]


def test_wells_are_named_with_their_plate_and_stand_in_one_place() -> None:
    made = build.build(sites(), build.Settings())
    of = levels.level(made.wells)
    assert of.profiles.names[0] == "Week0_P0/B02"
    assert of.places[0] == {"B02"}
    some = of.take(np.array([3, 1]))
    assert some.profiles.names == ("Week0_P0/B05", "Week0_P0/B03")
    assert some.treatments == (of.treatments[3], of.treatments[1])


def test_an_unknown_mechanism_is_none_and_an_unknown_dose_no_number() -> None:
    table = sites().assign(**{schema.MOA: schema.UNKNOWN, schema.CONCENTRATION: np.nan}).drop(columns=schema.BATCH)
    of = levels.level(table)
    assert set(of.profiles.mechanisms) == {""}
    assert of.treatments[0] == "DMSO"
    assert of.profiles.batches[0] == {""}


def test_a_table_without_mechanisms_is_refused() -> None:
    with pytest.raises(SchemaError, match="the table of profiles lacks Metadata_MoA"):
        levels.level(sites().drop(columns=schema.MOA))
