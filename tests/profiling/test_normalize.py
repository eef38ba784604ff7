"""Each plate against its controls, and sphering: the defining properties, on data far from the origin."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from plates import FEATURES

from morphospace import schema
from morphospace.errors import InputError, SchemaError
from morphospace.profiling import aggregate, features
from morphospace.profiling.normalize import covariance, per_plate, sphere, sphered_names

NEGCON = f"{schema.PERT_TYPE} == '{schema.NEGCON}'"


def of_controls(table: pd.DataFrame) -> pd.DataFrame:
    return table.query(NEGCON)


@pytest.mark.parametrize(("ours", "theirs"), [("standardize", "standardize"), ("robustize", "mad_robustize")])
def test_every_plate_equals_pycytominers(cells: pd.DataFrame, ours: Any, theirs: str) -> None:
    sites = aggregate.sites(cells, "mean")
    found = per_plate(sites, ours)(sites)
    normalize = features.pycytominer().normalize
    for plate, rows in sites.groupby(schema.PLATE):
        expected = normalize(rows.copy(), FEATURES, meta_features=schema.METADATA, samples=NEGCON, method=theirs)
        np.testing.assert_allclose(found.loc[found[schema.PLATE] == plate, FEATURES], expected[FEATURES], rtol=1e-10)
    pd.testing.assert_frame_equal(found[schema.METADATA], sites[schema.METADATA])


def test_controls_of_every_plate_have_mean_0_and_deviation_1(cells: pd.DataFrame) -> None:
    found = of_controls(per_plate(cells, "standardize")(cells)).groupby(schema.PLATE)[FEATURES]
    np.testing.assert_allclose(found.mean(), 0, atol=1e-9)
    np.testing.assert_allclose(found.std(ddof=0), 1, atol=1e-9)


def test_one_wild_control_does_not_move_the_robust_score(cells: pd.DataFrame) -> None:
    before = per_plate(cells, "robustize")(cells)
    wild = cells.copy()
    largest = of_controls(cells)["Cells_A"].where(cells[schema.PLATE] == "P0").idxmax()
    wild.loc[largest, "Cells_A"] = 1e9
    after = per_plate(wild, "robustize")(wild).drop(index=largest)
    np.testing.assert_allclose(after[FEATURES], before.drop(index=largest)[FEATURES])


def test_pooled_takes_one_deviation_from_within_the_plates(many: Callable[..., pd.DataFrame]) -> None:
    cells = many(plates=2, wells=2)
    found = of_controls(per_plate(cells, "pooled")(cells))
    np.testing.assert_allclose(found.groupby(schema.PLATE)[FEATURES].mean(), 0, atol=1e-9)
    np.testing.assert_allclose((found[FEATURES] ** 2).sum(), len(found) - 2)
    one_each = cells.query(NEGCON).drop_duplicates(schema.PLATE)
    with pytest.raises(InputError, match="no plate has two negative controls"):
        per_plate(one_each, "pooled")


@pytest.mark.parametrize("method", ["standardize", "robustize", "pooled"])
def test_a_feature_that_does_not_vary_is_centred_with_a_warning(
    cells: pd.DataFrame, method: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cells["Cells_D"] = np.where(cells[schema.PERT_TYPE] == schema.NEGCON, 0.1, 7.0)
    with caplog.at_level(logging.WARNING):
        found = per_plate(cells, method)(cells)
    np.testing.assert_allclose(found["Cells_D"], np.where(cells[schema.PERT_TYPE] == schema.NEGCON, 0, 6.9), atol=1e-9)
    assert "1 of 4 features do not vary" in caplog.text
    assert "Cells_D on P0" in caplog.text


def test_what_wells_taught_moves_sites(cells: pd.DataFrame) -> None:
    """The mean of normalised sites is the normalised well."""
    sites = aggregate.sites(cells, "mean")
    wells = aggregate.wells(sites, "mean")
    step = per_plate(wells, "standardize")
    np.testing.assert_allclose(aggregate.wells(step(sites), "mean")[FEATURES], step(wells)[FEATURES])


@pytest.mark.parametrize("method", ["standardize", "robustize", "pooled"])
def test_a_plate_without_controls_is_refused_by_name(cells: pd.DataFrame, method: Any) -> None:
    cells.loc[cells[schema.PLATE] == "P1", schema.PERT_TYPE] = "trt"
    with pytest.raises(InputError, match=r"plate P1 has no rows of negative controls .*, of 48 in all"):
        per_plate(cells, method)


def test_one_control_has_no_deviation(cells: pd.DataFrame) -> None:
    wells = aggregate.wells(cells, "mean").query("Metadata_Plate != 'P2' or Metadata_Well != 'A01'")
    with pytest.raises(InputError, match=r"plate P2 has 1 row of negative controls .*needs 2 or more"):
        per_plate(wells, "standardize")


def test_none_leaves_the_table_and_asks_for_no_controls(cells: pd.DataFrame) -> None:
    bare = cells.drop(columns=schema.PERT_TYPE)
    assert per_plate(bare, "none")(bare) is bare
    assert sphere(bare, "none", 0)(bare) is bare
    with pytest.raises(SchemaError, match="lacks Metadata_PertType"):
        per_plate(bare, "standardize")


@pytest.mark.parametrize("how", ["zca", "pca"])
def test_the_covariance_of_controls_becomes_the_identity(cells: pd.DataFrame, how: Any) -> None:
    found = of_controls(sphere(cells, how, 0)(cells))[features.feature_columns(sphere(cells, how, 0)(cells))]
    np.testing.assert_allclose(np.cov(found.to_numpy().T), np.eye(4), atol=1e-6)
    np.testing.assert_allclose(found.mean(), 0, atol=1e-6)


def test_small_regularization_tends_to_the_identity_and_large_to_a_uniform_scale(cells: pd.DataFrame) -> None:
    small = of_controls(sphere(cells, "zca", 1e-9)(cells))[FEATURES]
    np.testing.assert_allclose(np.cov(small.to_numpy().T), np.eye(4), atol=1e-6)
    large = sphere(cells, "zca", 1e12)(cells)[FEATURES].to_numpy() * 1e6
    np.testing.assert_allclose(large, cells[FEATURES] - of_controls(cells)[FEATURES].mean(), atol=1e-4)


def test_each_plate_can_be_sphered_by_its_own_controls(cells: pd.DataFrame) -> None:
    found = sphere(cells, "zca", 0, "plate")(cells)
    for _, rows in of_controls(found).groupby(schema.PLATE):
        np.testing.assert_allclose(np.cov(rows[FEATURES].to_numpy().T), np.eye(4), atol=1e-6)


def test_held_out_controls_become_spheres_within_their_sampling_error() -> None:
    """10,000 controls held out of a fit on as many: each entry of the covariance is within 6 standard errors."""
    rng = np.random.default_rng(3)
    values = rng.standard_normal((20_000, 5)) @ rng.standard_normal((5, 5)) + 1000
    table = pd.DataFrame(values, columns=[f"Cells_{i}" for i in range(5)])
    table = table.assign(**{schema.PLATE: "P", schema.PERT_TYPE: schema.NEGCON})
    fitted, held_out = table.iloc[:10_000], table.iloc[10_000:]
    found = sphere(fitted, "zca", 0)(held_out)[features.feature_columns(table)]
    np.testing.assert_allclose(np.cov(found.to_numpy().T), np.eye(5), atol=6 * np.sqrt(2 * 2 / 10_000))


def test_both_rotations_keep_the_same_distances(cells: pd.DataFrame) -> None:
    zca, pca = sphere(cells, "zca", 0.5)(cells)[FEATURES], sphere(cells, "pca", 0.5)(cells)[sphered_names(4)]
    np.testing.assert_allclose(zca @ zca.T, pca.to_numpy() @ pca.to_numpy().T, atol=1e-8)
    spread = of_controls(cells.assign(**pca))[sphered_names(4)].var()
    assert (np.diff(spread) < 0).all()  # the largest axis of the controls is shrunk least, relative to regularization
    assert pca.columns[0] == "Cells_Sphered_000"


def test_zca_equals_pycytominers_where_controls_outnumber_features(cells: pd.DataFrame) -> None:
    """Also that the installed pycytominer centres before it takes axes: 1.3.0 to 1.6.1 did not."""
    theirs = features.pycytominer().normalize(
        cells, FEATURES, meta_features=schema.METADATA, samples=NEGCON, method="spherize",
        spherize_method="ZCA", spherize_epsilon=0.0,
    )  # fmt: skip
    np.testing.assert_allclose(sphere(cells, "zca", 0)(cells)[FEATURES], theirs[FEATURES], atol=1e-7)


def test_fewer_controls_than_features_need_regularization(cells: pd.DataFrame) -> None:
    wells = aggregate.wells(cells, "mean").query("Metadata_Plate == 'P0'")
    with pytest.raises(InputError, match=r"the 2 negative controls span 1 of 4 dimensions.*sphere_regularization"):
        sphere(wells, "zca", 0)
    assert np.isfinite(sphere(wells, "zca", 1)(wells)[FEATURES]).all(axis=None)
    with pytest.raises(InputError, match="the 2 negative controls of plate P0 span 1 of 4"):
        sphere(wells, "zca", 0, "plate")


def test_a_feature_that_is_a_sum_of_others_needs_regularization(cells: pd.DataFrame) -> None:
    cells["Cells_E"] = cells["Cells_A"] + cells["Cells_D"]
    with pytest.raises(InputError, match="span 4 of 5 dimensions"):
        sphere(cells, "pca", 0)


def test_sphering_without_two_controls_is_refused(cells: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="needs two negative controls or more; there are 0"):
        sphere(cells.assign(**{schema.PERT_TYPE: "trt"}), "zca", 1)


def test_covariance_is_numpys(cells: pd.DataFrame) -> None:
    values = cells[FEATURES].to_numpy()
    np.testing.assert_allclose(covariance(values), np.cov(values.T))
