"""Feature columns as pycytominer infers them."""

import pandas as pd
import pytest

from morphospace.errors import SchemaError
from morphospace.profiling import features


def test_features_are_those_that_pycytominer_infers(cells: pd.DataFrame) -> None:
    table = cells.assign(Image_Count_Cells=1, Metadata_Cells=2, CellsX=3.0, Location_Center_X=4.0)
    inferred = features.pycytominer().cyto_utils.infer_cp_features(table)
    assert features.feature_columns(table) == inferred == [*cells.columns[-4:], "CellsX"]


def test_metadata_columns_are_those_that_pycytominer_infers(cells: pd.DataFrame) -> None:
    inferred = features.pycytominer().cyto_utils.infer_cp_features(cells, metadata=True)
    assert features.metadata_columns(cells) == inferred


def test_a_table_without_features_is_refused_with_its_columns() -> None:
    with pytest.raises(SchemaError, match=r"no features.* it has Metadata_Plate, f1"):
        features.feature_columns(pd.DataFrame({"Metadata_Plate": ["a"], "f1": [1.0]}))


def test_a_feature_of_text_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="column Cells_Name starts like a feature but holds no numbers"):
        features.feature_columns(pd.DataFrame({"Cells_Name": ["a"]}))
