"""Cells of another table find their kept crops."""

from pathlib import Path

import pandas as pd
import pytest

from morphospace import schema
from morphospace.errors import InputError, SchemaError
from morphospace.imaging import kept


def _cells(*objects: int) -> pd.DataFrame:
    place = {schema.PLATE: "P1", schema.WELL: "A01", schema.SITE: "1"}
    return pd.DataFrame({**place, schema.OBJECT: list(objects)})


@pytest.fixture
def table(tmp_path: Path) -> Path:
    status = ["too_large", *[schema.KEPT] * 3]
    files = ["", "b.png", "c.png", "d.png"]
    crops = _cells(1, 2, 3, 4).assign(
        **{schema.CROP_STATUS: status, schema.CROP_FILE: files, "Cells_AreaShape_Area": 9.0}
    )
    crops.to_parquet(tmp_path / "crops.parquet")
    return tmp_path / "crops.parquet"


def test_crops_stand_in_the_order_of_the_cells(table: Path) -> None:
    found = kept.of(_cells(4, 2, 3), "embeddings.parquet", table)
    assert found[schema.CROP_FILE].tolist() == ["d.png", "b.png", "c.png"]
    assert found[schema.OBJECT].tolist() == [4, 2, 3]
    assert found["Cells_AreaShape_Area"].tolist() == [9.0] * 3


def test_a_cell_whose_crop_was_not_kept_is_named(table: Path) -> None:
    with pytest.raises(InputError, match="no kept crop of 2 of 3 cells of mine, the first is P1, A01, 1, 1"):
        kept.of(_cells(2, 1, 7), "mine", table)


def test_tables_without_their_columns_or_with_a_cell_twice_are_refused(table: Path, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="mine"):
        kept.of(_cells(2, 2), "mine", table)
    with pytest.raises(SchemaError, match=schema.OBJECT):
        kept.of(_cells(2).drop(columns=schema.OBJECT), "mine", table)
    pd.read_parquet(table).drop(columns=schema.CROP_STATUS).to_parquet(table)
    with pytest.raises(SchemaError, match=schema.CROP_STATUS):
        kept.of(_cells(2), "mine", table)
    with pytest.raises(InputError, match="synthesize"):
        kept.of(_cells(2), "mine", tmp_path / "nothing.parquet")
