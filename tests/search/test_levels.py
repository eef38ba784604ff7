"""Wells and treatments are means of their cells, and have all their tags."""

import numpy as np
import pandas as pd
import pytest

from morphospace import schema
from morphospace.errors import InputError
from morphospace.search import levels


def table(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return an embedding table, its cells in no order."""
    rng = np.random.default_rng(seed)
    found = pd.DataFrame({schema.PLATE: rng.choice(["P1", "P2"], rows), schema.WELL: rng.choice(["B02", "C03"], rows)})
    found = found.assign(**{schema.SITE: rng.choice(["1", "2"], rows), schema.OBJECT: range(1, rows + 1)})
    found[schema.BATCH] = found[schema.PLATE].map({"P1": "Week1", "P2": "Week2"})
    found[schema.COMPOUND] = found[schema.WELL].map({"B02": "DMSO", "C03": "mevinolin/lovastatin"})
    found[schema.CONCENTRATION] = found[schema.WELL].map({"B02": 0.0, "C03": 1.5})
    found[schema.MOA] = found[schema.WELL].map({"B02": "DMSO", "C03": "Cholesterol-lowering"})
    found[schema.PERT_TYPE] = found[schema.WELL].map({"B02": "negcon", "C03": "trt"})
    latent = rng.standard_normal((rows, 3)).astype(np.float32)
    return found.join(pd.DataFrame(latent, columns=schema.latent_names(3)))


@pytest.mark.parametrize("level", ["well", "treatment"])
def test_groups_are_the_means_of_pandas(level: levels.Level) -> None:
    cells = table()
    names = schema.latent_columns(cells)
    rows, means = levels.grouped(cells.drop(columns=names), levels.vectors(cells, "x"), level)
    wanted = cells.groupby(levels.KEYS[level])[names].mean()
    np.testing.assert_allclose(means, wanted, rtol=1e-5)
    assert rows[levels.KEYS[level]].apply(tuple, axis=1).tolist() == wanted.index.tolist()
    assert rows[levels.CELLS].sum() == len(cells)
    for _, row in rows.iterrows():
        mine = cells[(cells[levels.KEYS[level]] == row[levels.KEYS[level]]).all(axis=1)]
        for column in (schema.SITE, schema.BATCH):
            assert row[column] == sorted(set(mine[column])), "a group has all tags of its cells"


def test_a_cell_without_a_treatment_is_in_none() -> None:
    cells = table(6)
    cells.loc[0, schema.CONCENTRATION] = np.nan
    rows, means = levels.grouped(cells, levels.vectors(cells, "x"), "treatment")
    assert rows[levels.CELLS].sum() == 5
    cells[schema.CONCENTRATION] = np.nan
    rows, means = levels.grouped(cells, levels.vectors(cells, "x"), "treatment")
    assert (len(rows), means.shape) == (0, (0, 3))


def test_ids_are_keys_with_strokes_between() -> None:
    cells = table(1)
    assert levels.ids(cells, "cell") == [f"{cells[schema.PLATE][0]}/{cells[schema.WELL][0]}/{cells[schema.SITE][0]}/1"]
    cells = cells.assign(**{schema.COMPOUND: "a/b", schema.CONCENTRATION: 0.30000000000000004})
    assert levels.ids(cells, "treatment") == ["a/b/0.3"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_value_that_is_no_number_is_named_with_its_row(bad: float) -> None:
    cells = table(10)
    cells[schema.latent_columns(cells)] = cells[schema.latent_columns(cells)].astype(np.float64)
    cells.loc[4, "Cells_Latent_001"] = bad
    with pytest.raises(InputError, match=r"e\.parquet, row 4 \(.*ObjectNumber 5\): Cells_Latent_001 is "):
        levels.vectors(cells, "e.parquet")


def test_a_table_without_latents_or_rows_is_refused() -> None:
    for empty in (table(3)[schema.OBJECT_KEY], table(3).iloc[:0]):
        with pytest.raises(InputError, match=r"e\.parquet holds no embedding"):
            levels.vectors(empty, "e.parquet")
