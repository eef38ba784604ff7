"""Pictures of what the latents move with: a map of latents and properties, strips of the cells along the top ones."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphospace import schema
from morphospace.reporting.figures import new

SHOWN = 80  # latents, and
PROPERTIES = 24  # properties of a kind in the map
SYMBOLS = {"rho": "rho", "epsilon2": "ε²"}
_LOOKS = {  # two hues that colour-blind people tell apart, white at 0
    "rho": ("PuOr_r", -1.0),
    "epsilon2": ("Purples", 0.0),
}


def short(latent: str) -> str:
    """Return ``z 12`` for ``Cells_Latent_012``."""
    return f"z {int(latent.removeprefix(schema.LATENT_PREFIX))}"


def heat_map(long: pd.DataFrame, fdr: float) -> Figure:
    """Return a map of the effects, properties down and latents across; a dot marks those with q of `fdr` at most.

    Latents stand in their order; of more than 80, those with the smallest q are shown.

    Parameters
    ----------
    long
        A row a latent and property: ``latent``, ``property``, ``measure``, ``effect``, ``q``.
    fdr
        The share of false ones allowed among the marked.
    """
    best = long.groupby("latent")["q"].min().sort_values(kind="stable", na_position="last")
    latents = sorted(best.index[:SHOWN])
    tested = long[long["effect"].notna()] if long["effect"].notna().any() else long
    kinds = {m: tested[tested["measure"] == m]["property"].drop_duplicates()[:PROPERTIES].tolist() for m in _LOOKS}
    kinds = {measure: names for measure, names in kinds.items() if names}
    heights = [len(names) for names in kinds.values()]
    figure = new(max(0.17 * len(latents) + 3.6, 6), 0.26 * sum(heights) + 2.0)
    axes = figure.subplots(len(kinds), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axis, (measure, names) in zip(axes, kinds.items(), strict=True):
        _map(figure, axis, long[long["measure"] == measure], measure, names, latents, fdr)
    axes[-1].set_xticks(range(len(latents)), [str(int(short(n)[2:])) for n in latents], fontsize=6, rotation=90)
    axes[-1].set_xlabel("latent")
    of = f"the {len(latents)} of {len(best)} latents with the smallest q" if len(best) > SHOWN else "the latents"
    figure.suptitle(f"What {of} move with; dot: q ≤ {fdr:g} over all tests", x=0.01, ha="left", fontsize=10)
    return figure


def _map(
    figure: Figure, axis: Axes, long: pd.DataFrame, measure: str, names: list[str], latents: list[str], fdr: float
) -> None:
    colours, low = _LOOKS[measure]
    wide = long.pivot(index="property", columns="latent", values=["effect", "q"]).reindex(names)
    effects = wide["effect"][latents].to_numpy(dtype=float)
    axis.set_facecolor("#DDDDDD")
    shown = axis.imshow(np.ma.masked_invalid(effects), cmap=colours, vmin=low, vmax=1, aspect="auto")
    rows, columns = np.nonzero(wide["q"][latents].to_numpy(dtype=float) <= fdr)
    strong: Any = np.abs(effects[rows, columns]) > 0.6
    axis.scatter(columns, rows, s=7, c=np.where(strong, "white", "black"), linewidths=0)
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(length=0)
    figure.colorbar(shown, ax=axis, label=SYMBOLS[measure], pad=0.01, aspect=max(5, 2 * len(names)))
