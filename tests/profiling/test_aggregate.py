"""Groups, what they keep, what they count; against pycytominer and against loops."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from plates import FEATURES

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling import aggregate, features


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_a_site_is_the_statistic_of_its_cells(cells: pd.DataFrame, statistic: Any) -> None:
    shuffled = cells.sample(frac=1, random_state=1)
    sites = aggregate.sites(shuffled, statistic)
    assert len(sites) == 24
    assert (sites["Metadata_Object_Count"] == 6).all()
    for _, site in sites.iterrows():
        rows = cells[(cells[schema.IMAGE_SET_KEY] == site[schema.IMAGE_SET_KEY].to_numpy()).all(axis=1)]
        np.testing.assert_allclose(site[FEATURES].to_numpy(float), getattr(np, statistic)(rows[FEATURES], axis=0))
        assert (rows[schema.METADATA] == site[schema.METADATA].to_numpy()).all(axis=None)
    assert list(sites.columns) == [*schema.METADATA, "Metadata_Object_Count", *FEATURES]


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_wells_equal_those_of_pycytominer(cells: pd.DataFrame, statistic: Any) -> None:
    ours = aggregate.wells(cells, statistic)
    theirs = features.pycytominer().aggregate(
        cells, aggregate.WELL_KEY, operation=statistic, compute_object_count=True, object_feature=schema.OBJECT
    )
    columns = [*aggregate.WELL_KEY, "Metadata_Object_Count", *FEATURES]
    pd.testing.assert_frame_equal(ours[columns], theirs[columns], check_dtype=False)


def test_a_site_counts_once_whatever_its_cells(cells: pd.DataFrame) -> None:
    """The mean over sites is not the mean over cells when one site has fewer."""
    uneven = cells.drop(cells.index[:5])
    first = aggregate.wells(aggregate.sites(uneven, "mean"), "mean").iloc[0]
    expected = (uneven[FEATURES].iloc[0] + cells[FEATURES].iloc[6:12].mean()) / 2
    np.testing.assert_allclose(first[FEATURES].to_numpy(float), expected)
    assert first["Metadata_Object_Count"] == 7


def test_a_treatment_lists_its_plates_and_batches_sorted(cells: pd.DataFrame) -> None:
    wells = aggregate.wells(cells, "mean")
    found = aggregate.treatments(wells.iloc[::-1], "median").set_index(aggregate.TREATMENT_KEY)
    assert list(found.index) == [("DMSO", 0.0), ("taxol", 10.0), ("taxol", 1000.0)]
    assert set(found[schema.PLATE]) == {"P0,P1,P2"}
    assert set(found[schema.BATCH]) == {"Week1,Week2"}
    assert list(found[schema.MOA]) == ["DMSO", "stabilizers", "stabilizers"]
    assert schema.WELL not in found
    assert found["Metadata_Object_Count"].sum() == len(cells)
    rows = wells[wells[schema.CONCENTRATION] == 10]
    np.testing.assert_allclose(found.loc[("taxol", 10.0), FEATURES].to_numpy(float), rows[FEATURES].median())


def test_a_compound_without_concentration_is_a_treatment_of_its_own(cells: pd.DataFrame) -> None:
    cells.loc[cells[schema.CONCENTRATION] == 10, schema.CONCENTRATION] = np.nan
    found = aggregate.treatments(aggregate.wells(cells, "mean"), "mean")
    assert len(found) == 3
    assert found[schema.CONCENTRATION].isna().sum() == 1
    without = aggregate.treatments(aggregate.wells(cells, "mean").drop(columns=schema.CONCENTRATION), "mean")
    assert list(without[schema.COMPOUND]) == ["DMSO", "taxol"]


def test_other_metadata_stay_where_they_are_constant(cells: pd.DataFrame) -> None:
    cells["Metadata_Gene"] = cells[schema.COMPOUND].where(cells[schema.COMPOUND] != "DMSO")
    cells["Metadata_Column"] = cells[schema.WELL].str[1:]
    wells = aggregate.wells(cells, "mean")
    assert list(wells["Metadata_Column"][:4]) == ["01", "02", "03", "04"]
    assert wells["Metadata_Gene"].isna().sum() == 6
    assert "Metadata_Column" not in aggregate.treatments(wells, "mean")
    assert "Metadata_Gene" in aggregate.treatments(wells, "mean")


def test_a_table_of_wells_without_counts_gets_none(cells: pd.DataFrame) -> None:
    wells = cells.drop_duplicates(aggregate.WELL_KEY).drop(columns=[schema.SITE, schema.OBJECT])
    assert "Metadata_Object_Count" not in aggregate.wells(wells, "mean")


def test_a_well_with_two_compounds_is_refused(cells: pd.DataFrame) -> None:
    cells.loc[3, schema.COMPOUND] = "nocodazole"
    with pytest.raises(InputError, match="Plate P0, Well A01, Site 1 has Metadata_Compound DMSO and nocodazole"):
        aggregate.sites(cells, "mean")


def test_a_treatment_with_two_mechanisms_is_refused(cells: pd.DataFrame) -> None:
    cells[schema.CONCENTRATION] = np.nan
    cells.loc[cells[schema.WELL] == "A04", schema.MOA] = "destabilizers"
    wells = aggregate.wells(cells, "mean")
    with pytest.raises(InputError, match="Compound taxol, Concentration nan has Metadata_MoA destabilizers and stab"):
        aggregate.treatments(wells, "mean")
