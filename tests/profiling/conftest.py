"""The experiment, drawn anew for each test."""

from collections.abc import Callable

import pandas as pd
import pytest
from plates import experiment


@pytest.fixture
def cells() -> pd.DataFrame:
    return experiment()


@pytest.fixture
def many() -> Callable[..., pd.DataFrame]:
    return experiment
