"""Pictures of what is doubtful: where the fields lie, and channels beside their names."""

import numpy as np
import pandas as pd

from morphospace import schema
from morphospace.reporting import doubts, stains


def test_wells_stand_where_they_are_on_the_plate() -> None:
    shares = pd.DataFrame({schema.PLATE: "P1", schema.WELL: ["B02", "C12"], "Share": [1.0, 0.5]})
    values = doubts.wells(shares).axes[0].images[0].get_array()
    assert values.shape == (8, 12)
    assert (values[1, 1], values[2, 11], values.count()) == (1.0, 0.5, 2)


def test_wells_of_other_names_stand_in_a_row() -> None:
    shares = pd.DataFrame({schema.PLATE: "P1", schema.WELL: ["one", "two", "three"], "Share": [0.0, 0.5, 1.0]})
    assert doubts.wells(shares).axes[0].images[0].get_array().tolist() == [[0.0, 0.5, 1.0]]


def test_the_plates_with_most_doubtful_fields_are_drawn() -> None:
    plates = [f"P{i:02d}" for i in range(20)]
    shares = pd.DataFrame({schema.PLATE: plates, schema.WELL: "A01", "Share": np.arange(20) / 20})
    figure = doubts.wells(shares)
    assert figure.axes[0].get_title() == "P19"
    assert "the 12 of 20 plates with most" in str(figure.get_suptitle())


def test_every_plate_and_pair_of_channels_has_a_point() -> None:
    signs = pd.DataFrame(
        {"Plate": ["P1", "P1", "P2"], "Pair": ["a and b", "b and c", "a and b"], "Share": [2.0, -3.0, 1.5]}
    )
    figure = stains.draw({"a": [np.eye(9), np.eye(7)], "b": [np.eye(9), np.eye(7)]}, "P1", signs)
    lower = figure.subfigs[1].axes[0]
    assert sorted(tuple(xy) for dots in lower.collections for xy in np.asarray(dots.get_offsets()).tolist()) == [
        (-3.0, 0.0),
        (1.5, 1.0),
        (2.0, 0.0),
    ]
    assert len([a for a in figure.subfigs[0].axes if a.images]) == 4


def test_a_plate_without_nuclei_to_show_is_drawn_all_the_same() -> None:
    signs = pd.DataFrame({"Plate": ["P1"], "Pair": ["a and b"], "Share": [0.2]})
    assert stains.draw({"a": [], "b": []}, "P1", signs).subfigs[1].axes
