"""CORAL and Harmony: what they must do to batches, and whom they refuse."""

import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from plates import FEATURES

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling import aggregate
from morphospace.profiling.align import coral, harmony


def per_batch(table: pd.DataFrame) -> dict[str, np.ndarray]:
    rows = table[table[schema.PERT_TYPE] == schema.NEGCON]
    return {str(name): part[FEATURES].to_numpy() for name, part in rows.groupby(schema.BATCH)}


def test_coral_gives_the_controls_of_all_batches_one_mean_and_covariance(cells: pd.DataFrame) -> None:
    before = per_batch(cells)
    mean = np.mean([v.mean(axis=0) for v in before.values()], axis=0)
    within = np.concatenate([v - v.mean(axis=0) for v in before.values()])
    for values in per_batch(coral(cells, 0)(cells)).values():
        np.testing.assert_allclose(values.mean(axis=0), mean, rtol=1e-9)
        np.testing.assert_allclose(np.cov(values.T), within.T @ within / (len(within) - 1), rtol=1e-8)


def test_strong_regularization_leaves_only_the_move_of_means(cells: pd.DataFrame) -> None:
    before, after = per_batch(cells), per_batch(coral(cells, 1e14)(cells))
    for name, values in after.items():
        np.testing.assert_allclose(values - values.mean(axis=0), before[name] - before[name].mean(axis=0), atol=1e-6)


def test_coral_names_a_batch_without_controls(cells: pd.DataFrame) -> None:
    cells.loc[cells[schema.BATCH] == "Week2", schema.PERT_TYPE] = "trt"
    with pytest.raises(InputError, match="batch Week2 has no rows of negative controls"):
        coral(cells, 1)


def test_coral_without_regularization_needs_more_controls_than_features(cells: pd.DataFrame) -> None:
    wells = aggregate.wells(cells, "mean")
    with pytest.raises(InputError, match=r"controls of batch Week1 span 3 of 4 dimensions.*align_regularization"):
        coral(wells, 0)
    assert np.isfinite(coral(wells, 1)(wells)[FEATURES]).all(axis=None)


def test_harmony_brings_batches_together_and_repeats_itself(many: Callable[..., pd.DataFrame]) -> None:
    sites = aggregate.sites(many(plates=4, wells=12), "mean")
    moved = harmony(sites, schema.IMAGE_SET_KEY, 1)(sites)

    def apart(table: pd.DataFrame) -> float:
        means = table.groupby(schema.BATCH)[FEATURES].mean().to_numpy()
        return float(np.linalg.norm(means[0] - means[1]))

    assert apart(moved) < 0.5 * apart(sites)
    pd.testing.assert_frame_equal(moved, harmony(sites, schema.IMAGE_SET_KEY, 1)(sites))


def test_sites_move_as_their_well_does(cells: pd.DataFrame) -> None:
    sites = aggregate.sites(cells, "mean")
    wells = aggregate.wells(sites, "mean")
    step = harmony(wells, aggregate.WELL_KEY, 1)
    np.testing.assert_allclose(aggregate.wells(step(sites), "mean")[FEATURES], step(wells)[FEATURES])


def test_harmony_takes_as_many_rows_as_features(cells: pd.DataFrame) -> None:
    wells = aggregate.wells(cells, "mean").query("Metadata_Well in ['A01', 'A02'] and Metadata_Plate != 'P1'")
    assert len(wells) == len(FEATURES)
    moved = harmony(wells, aggregate.WELL_KEY, 1)(wells)
    extended = wells.assign(Cells_E=0.0)
    other = harmony(extended, aggregate.WELL_KEY, 1)(extended)
    np.testing.assert_allclose(moved[FEATURES], other[FEATURES], rtol=1e-4)


def test_harmony_needs_two_batches(cells: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="two batches or more; all rows are of Week2"):
        harmony(aggregate.wells(cells.query("Metadata_Batch == 'Week2'"), "mean"), aggregate.WELL_KEY, 0)


def test_without_harmonypy_the_message_says_how_to_get_it(cells: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harmonypy", None)
    with pytest.raises(InputError, match=r"pip install 'morphospace\[harmony\]'"):
        harmony(aggregate.wells(cells, "mean"), aggregate.WELL_KEY, 0)
