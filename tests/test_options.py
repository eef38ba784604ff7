"""How many tiles an epoch has follows from the options of the model."""

import pytest

from morphospace.options import tiles_an_epoch


@pytest.mark.parametrize(
    ("images", "options", "tiles"),
    [
        (100, {}, 100),
        (100, {"copies": 1000}, 1000),
        (300, {"copies": 1000}, 900),  # each equally often
        (5000, {"copies": 1000}, 5000),  # and at least once
        (0, {"copies": 1000}, 0),
    ],
)
def test_every_image_is_seen_equally_often(images: int, options: dict[str, int], tiles: int) -> None:
    assert tiles_an_epoch(images, options) == tiles
