"""From cells to treatments in one call: levels, orders, tables that are already wells, and what is refused."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plates import FEATURES

from morphospace import schema
from morphospace.errors import InputError, SchemaError
from morphospace.profiling import aggregate, features
from morphospace.profiling.build import PUBLISHED, Profiles, Settings, build, usable

RAW = Settings(normalize="none")


def test_without_normalisation_it_is_plain_aggregation(cells: pd.DataFrame) -> None:
    made = build(cells, RAW._replace(level="well", site="median"))
    sites = aggregate.sites(cells, "median")
    wells = aggregate.wells(sites, "mean")
    expected = Profiles(sites, wells, aggregate.treatments(wells, "mean"))
    for ours, theirs in zip(made, expected, strict=True):
        pd.testing.assert_frame_equal(ours, theirs)


def test_settings_hold_where_one_plate_has_two_controls_and_no_longer_ask_for_any_where_none_has(
    cells: pd.DataFrame,
) -> None:
    asked = PUBLISHED._replace(normalize="pooled", align="harmony")
    controls = cells[schema.PERT_TYPE] == schema.NEGCON
    first = cells[schema.PLATE] == cells[schema.PLATE].iloc[0]
    assert usable(cells[first | ~controls], asked) == asked
    single = controls & (cells[schema.WELL] == cells.loc[controls, schema.WELL].iloc[0])
    without = {"site": cells[~controls], "well": cells[~controls | single]}
    for level, rows in without.items():
        found = usable(rows, asked._replace(level=level))
        assert found == asked._replace(level=level, normalize="none", sphere="none")
        assert len(build(rows, found._replace(align="none")).wells)
    assert usable(cells[~controls], RAW) == RAW


def test_a_treatment_is_the_statistic_of_sites_or_of_wells(cells: pd.DataFrame) -> None:
    treatments = {level: build(cells, RAW._replace(treatment="median", level=level)) for level in ("site", "well")}
    for level, made in treatments.items():
        rows = made.sites if level == "site" else made.wells
        some = rows[rows[schema.CONCENTRATION] == 10]
        np.testing.assert_allclose(made.treatments[FEATURES].iloc[1].to_numpy(float), some[FEATURES].median())


@pytest.mark.parametrize("level", ["site", "well"])
def test_z_scores_take_away_what_plates_add(cells: pd.DataFrame, level: Any) -> None:
    """The plates differ by a shift and a factor; after standardising, replicates agree across plates."""
    wells = build(cells, Settings(level=level, normalize="standardize")).wells
    treated = wells[wells[schema.PERT_TYPE] == schema.TREATED].groupby(schema.CONCENTRATION)["Nuclei_B"]
    controls = wells[wells[schema.PERT_TYPE] == schema.NEGCON].groupby(schema.PLATE)[FEATURES].mean()
    np.testing.assert_allclose(controls, 0, atol=1e-9)
    raw = aggregate.wells(cells, "mean").groupby(schema.CONCENTRATION)["Nuclei_B"]
    before = (raw.std() / raw.mean()).drop(0.0)
    assert (treated.std() / treated.mean() < before / 2).all()


def test_steps_come_in_order(cells: pd.DataFrame, many: Callable[..., pd.DataFrame]) -> None:
    """Plates first, so that sphering sees them alike; batches last."""
    made = build(cells, Settings(sphere="zca", sphere_regularization=0))
    controls = made.sites[made.sites[schema.PERT_TYPE] == schema.NEGCON]
    np.testing.assert_allclose(np.cov(controls[FEATURES].to_numpy().T), np.eye(4), atol=1e-6)
    aligned = build(many(plates=4), Settings(sphere="zca", align="coral", align_regularization=0))
    parts = aligned.sites[aligned.sites[schema.PERT_TYPE] == schema.NEGCON].groupby(schema.BATCH)
    covariances = [np.cov(rows[FEATURES].to_numpy().T) for _, rows in parts]
    np.testing.assert_allclose(covariances[0], covariances[1], atol=1e-8)


def test_the_published_protocol(cells: pd.DataFrame) -> None:
    """Mean of cells, TVN on the controls' sites, CORAL, median of sites: the notebook's own lines, CORAL apart."""
    made = build(cells, PUBLISHED._replace(align="none"))
    sites = aggregate.sites(cells, "mean")
    controls = sites.loc[sites[schema.PERT_TYPE] == schema.NEGCON, FEATURES]
    s, v = np.linalg.eigh(np.cov(controls.to_numpy().T))
    expected = (sites[FEATURES] - controls.mean()).to_numpy() @ (v @ np.diag(1 / np.sqrt(s + 1)))[:, ::-1]
    found = made.sites[features.feature_columns(made.sites)]
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-8)
    taxol = found[(sites[schema.CONCENTRATION] == 10).to_numpy()].median()
    np.testing.assert_allclose(made.treatments.iloc[1][found.columns].to_numpy(float), taxol)
    assert np.isfinite(build(cells, PUBLISHED).treatments[found.columns]).all(axis=None)


@pytest.mark.parametrize("settings", [Settings(), Settings(level="well"), Settings(align="harmony", seed=2)])
def test_a_table_of_wells_is_taken_as_it_is(cells: pd.DataFrame, settings: Settings) -> None:
    wells = aggregate.wells(cells, "mean")
    made = build(wells, settings)
    assert made.sites.empty
    assert len(made.wells) == 12
    assert len(made.treatments) == 3


def test_profiles_of_profiles_are_the_same(cells: pd.DataFrame) -> None:
    made = build(cells, Settings())
    again = build(made.sites, RAW)
    for one, other in zip(made, again, strict=True):
        pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("settings", [Settings(align="harmony"), Settings(align="harmony", level="well"), PUBLISHED])
def test_the_order_of_rows_changes_nothing(cells: pd.DataFrame, settings: Settings) -> None:
    for one, other in zip(build(cells, settings), build(cells.sample(frac=1, random_state=2), settings), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_without_compounds_there_are_no_treatments(cells: pd.DataFrame) -> None:
    assert build(cells.drop(columns=[schema.COMPOUND, schema.CONCENTRATION]), Settings()).treatments.empty


def test_pycytominer_reads_the_tables(cells: pd.DataFrame) -> None:
    theirs = features.pycytominer()
    made = build(cells, Settings())
    wells = theirs.aggregate(made.sites, aggregate.WELL_KEY, operation="mean")
    np.testing.assert_allclose(wells[FEATURES], made.wells[FEATURES])
    normalized = theirs.normalize(made.wells, samples="Metadata_PertType == 'negcon'")
    assert set(normalized.columns) == set(made.wells.columns)
    selected = theirs.feature_select(
        made.wells.assign(Cells_Copy=made.wells["Cells_A"]), operation="correlation_threshold"
    )
    assert len(features.feature_columns(selected)) < 5


def test_the_tables_of_pycytominer_are_read(cells: pd.DataFrame) -> None:
    theirs = features.pycytominer().aggregate(cells, [*aggregate.WELL_KEY, schema.PERT_TYPE], operation="mean")
    pd.testing.assert_frame_equal(
        build(theirs, Settings()).wells[FEATURES], build(aggregate.wells(cells, "mean"), Settings()).wells[FEATURES]
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_no_number_is_refused_by_row_and_feature(cells: pd.DataFrame, value: float) -> None:
    cells.loc[13, "Nuclei_B"] = value
    what = r"t.csv: 1 of 144 rows and 1 of 4 features .* Nuclei_B in row 13 \(.*Plate=P0.*Well=A02.*ObjectNumber=2\)"
    with pytest.raises(InputError, match=what):
        build(cells, Settings(), "t.csv")


def test_rows_or_features_that_are_no_numbers_can_be_dropped(
    cells: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    cells.loc[13, "Nuclei_B"] = np.nan
    with caplog.at_level(logging.WARNING):
        rows = build(cells, Settings(missing="rows"))
        columns = build(cells, Settings(missing="features"))
    assert "these rows are dropped" in caplog.text
    assert "these features are dropped" in caplog.text
    assert rows.wells["Metadata_Object_Count"].sum() == len(cells) - 1
    assert features.feature_columns(columns.wells) == [f for f in FEATURES if f != "Nuclei_B"]
    with pytest.raises(InputError, match="without these features nothing is left"):
        build(cells.assign(**dict.fromkeys(FEATURES, np.nan)), Settings(missing="features"))


def test_an_empty_table_and_one_without_wells_are_refused(cells: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="t has no rows"):
        build(cells.iloc[:0], Settings(), "t")
    with pytest.raises(SchemaError, match="t lacks Metadata_Well"):
        build(cells.drop(columns=schema.WELL), Settings(), "t")


def test_a_mechanism_that_is_not_known_is_no_disagreement(many: Callable[..., pd.DataFrame]) -> None:
    cells = many(plates=1)
    cells[schema.MOA] = pd.Series([None] * len(cells), dtype="str")
    assert build(cells, Settings()).treatments[schema.MOA].isna().all()


def ljosa(real_data: Path) -> pd.DataFrame:
    folder = real_data / "bbbc021_meta"
    profiles = pd.read_csv(folder / "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz")
    images = pd.read_csv(folder / "BBBC021_v1_image.csv.gz")
    names = {
        "Image_Metadata_Plate_DAPI": schema.PLATE, "Image_Metadata_Well_DAPI": schema.WELL,
        "Image_Metadata_Compound": schema.COMPOUND, "Image_Metadata_Concentration": schema.CONCENTRATION,
    }  # fmt: skip
    wells = images.rename(columns=names)[list(names.values())].drop_duplicates()
    table = profiles.rename(columns=lambda c: c.removeprefix("Image_")).merge(wells, on=aggregate.WELL_KEY)
    kinds = np.where(table[schema.COMPOUND] == "DMSO", schema.NEGCON, schema.TREATED)
    known = pd.DataFrame({schema.BATCH: table[schema.PLATE].str.split("_").str[0], schema.PERT_TYPE: kinds})
    return pd.concat([table, known], axis="columns")


def test_published_well_means_give_sane_profiles(real_data: Path) -> None:
    """632 wells, 516 features, 103 treatments and DMSO; the controls of each plate become the origin and the unit."""
    table = ljosa(real_data)
    assert table.shape[0] == 632
    made = build(table, Settings(normalize="standardize"))
    names = features.feature_columns(made.wells)
    assert (len(made.treatments), len(names)) == (104, 516)
    controls = made.wells[made.wells[schema.PERT_TYPE] == schema.NEGCON].groupby(schema.PLATE)
    np.testing.assert_allclose(controls[names].mean(), 0, atol=1e-9)
    spread = controls[names].std(ddof=0).to_numpy()
    assert np.all(np.isclose(spread, 1, atol=1e-6) | np.isclose(spread, 0, atol=1e-6))
    dmso = made.treatments.set_index(schema.COMPOUND).loc["DMSO"]
    assert len(dmso[schema.BATCH].split(",")) == 10
    assert len(made.treatments[made.treatments[schema.COMPOUND] == "taxol"]) == 3


def test_published_well_means_are_whitened_by_as_many_controls_as_there_are(real_data: Path) -> None:
    """330 DMSO wells span fewer than 516 dimensions: 0 is refused, and 1 shrinks every direction below 1."""
    table = ljosa(real_data)
    with pytest.raises(InputError, match=r"negative controls span .* of 516 dimensions"):
        build(table, Settings(sphere="zca", sphere_regularization=0))
    made = build(table, Settings(normalize="pooled", sphere="pca", sphere_regularization=1))
    names = features.feature_columns(made.wells)
    controls = made.wells.loc[made.wells[schema.PERT_TYPE] == schema.NEGCON, names].to_numpy()
    covariance = np.cov(controls.T)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-6)
    assert np.diag(covariance).max() < 1
    assert np.diag(covariance)[0] > 0.9
