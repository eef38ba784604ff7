"""Kept crops find the split of their image set."""

from pathlib import Path

import pandas as pd
import pytest

from morphospace import schema
from morphospace.errors import InputError, SchemaError
from morphospace.training.cells import form, with_splits


def _crops() -> pd.DataFrame:
    table = pd.DataFrame(
        {
            schema.PLATE: "P",
            schema.WELL: ["B02", "B01", "B01", "B02"],
            schema.SITE: "1",
            schema.OBJECT: [1, 2, 1, 2],
            schema.CROP_STATUS: ["kept", "kept", "kept", "too_large"],
            schema.CROP_FILE: ["c", "b", "a", ""],
        }
    )
    return table.assign(**{c: "x" for c in schema.METADATA if c not in table})


def _sides(*wells: str) -> pd.DataFrame:
    return pd.DataFrame({schema.PLATE: "P", schema.WELL: wells, schema.SITE: "1", schema.SPLIT: "train"})


def test_rows_are_the_kept_ones_sorted_by_object() -> None:
    found = with_splits(_crops(), _sides("B01", "B02").assign(Split=["train", "test"]))
    assert found[schema.CROP_FILE].tolist() == ["a", "b", "c"]
    assert found[schema.SPLIT].tolist() == ["train", "train", "test"]


def test_an_image_set_without_a_split_is_named() -> None:
    with pytest.raises(InputError, match="no row for image set P, B02, 1"):
        with_splits(_crops(), _sides("B01"))


def test_tables_without_their_columns_are_refused() -> None:
    with pytest.raises(SchemaError, match="Crop_Status"):
        with_splits(_crops().drop(columns=schema.CROP_STATUS), _sides("B01", "B02"))
    with pytest.raises(SchemaError, match="Split"):
        with_splits(_crops(), _sides("B01", "B02").drop(columns=schema.SPLIT))


def test_metrics_of_the_crops_name_their_channels_and_size(tmp_path: Path) -> None:
    (path := tmp_path / "synthesize.json").write_text('{"channels": ["DAPI", "Actin"], "size": 64, "kept": 3}')
    assert form(path) == (["DAPI", "Actin"], 64)


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"channels": [], "size": 16}', '{"channels": {"A": 1}, "size": "16"}']
)
def test_metrics_without_channels_are_refused(content: str, tmp_path: Path) -> None:
    (path := tmp_path / "synthesize.json").write_text(content)
    with pytest.raises(InputError, match="does not name channels and size"):
        form(path)
