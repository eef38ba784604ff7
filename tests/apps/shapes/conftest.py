"""Masks that are drawn by arithmetic."""

import numpy as np
import pytest


@pytest.fixture
def ellipse():
    """An ellipse of half axes a (down) and b (across), px, around the middle of a picture."""

    def draw(a: float, b: float, size: int = 96) -> np.ndarray:
        yy, xx = np.indices((size, size)) - size / 2
        return (yy / a) ** 2 + (xx / b) ** 2 < 1

    return draw


@pytest.fixture
def blob():
    """A shape without any symmetry."""
    yy, xx = np.indices((80, 90))
    return (np.hypot(yy - 40, (xx - 35) / 1.3) < 20) | ((abs(yy - 30) < 6) & (xx > 30) & (xx < 80))
