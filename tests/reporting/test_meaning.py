"""The map of latents and properties: what is marked is what is significant."""

import numpy as np
import pandas as pd

from morphospace import schema
from morphospace.reporting import meaning


def _long(latents: int, **effects: str) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "latent": schema.latent_names(latents),
                "property": name.replace("_", " "),
                "measure": measure,
                "effect": rng.uniform(0, 1, latents),
                "q": rng.uniform(0, 1, latents),
            }
        )
        for name, measure in effects.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_every_latent_and_property_has_a_field_and_the_significant_a_dot() -> None:
    long = _long(12, dose="rho", cell_area="rho", plate="epsilon2")
    figure = meaning.heat_map(long, 0.3)
    figure.draw_without_rendering()
    maps = [axis for axis in figure.axes if axis.images and axis.get_label() != "<colorbar>"]
    assert [axis.images[0].get_array().shape for axis in maps] == [(2, 12), (1, 12)]
    wide = long.pivot(index="property", columns="latent", values="effect")
    np.testing.assert_allclose(maps[0].images[0].get_array()[1], wide.loc["cell area"])
    marked = sum(len(axis.collections[0].get_offsets()) for axis in maps)
    assert marked == (long["q"] <= 0.3).sum()
    assert [t.get_text() for t in maps[0].get_yticklabels()] == ["dose", "cell area"]


def test_of_many_latents_those_with_the_smallest_q_are_shown_in_their_order() -> None:
    long = _long(200, dose="rho")
    figure = meaning.heat_map(long, 0.05)
    axis = figure.axes[0]
    shown = [int(t.get_text()) for t in axis.get_xticklabels()]
    assert len(shown) == meaning.SHOWN
    assert shown == sorted(shown)
    assert set(shown) == set(long["q"].nsmallest(meaning.SHOWN).index)


def test_what_was_not_tested_is_left_out_unless_nothing_was() -> None:
    long = _long(5, dose="rho", plate="epsilon2")
    long.loc[long["property"] == "plate", ["effect", "q"]] = np.nan
    labels = [t.get_text() for t in meaning.heat_map(long, 0.05).axes[0].get_yticklabels()]
    assert labels == ["dose"]
    figure = meaning.heat_map(long.assign(effect=np.nan, q=np.nan), 0.05)
    figure.draw_without_rendering()
    assert len(figure.axes[0].collections[0].get_offsets()) == 0
