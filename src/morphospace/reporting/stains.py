"""The picture of channels beside their names: some nuclei with what surrounds them, and every plate's signs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphospace.reporting import figures, overlays

_LABELLED = 60  # plates whose names fit beside the points


def draw(cells: Mapping[str, Sequence[NDArray[np.generic]]], plate: str, signs: pd.DataFrame) -> Figure:
    """Return a sheet: a row a channel of the same nuclei, and below it a point a plate and pair of channels.

    Parameters
    ----------
    cells
        Windows (h, w) round the same nuclei by the name of the channel, any unit; each is stretched by itself.
    plate
        Where they are from.
    signs
        Columns Plate, Pair and Share: the sign of each pair of channels over the one that is asked for; -1 and below
        looks exchanged.
    """
    plates = sorted(signs["Plate"].unique())
    count = max(1, *(len(row) for row in cells.values()))
    heights = [0.95 * len(cells) + 0.3, min(0.22 * len(plates), 9) + 0.9]
    figure = figures.new(7.4, sum(heights) + 0.3)
    parts: Any = figure.subfigures(2, 1, height_ratios=heights)
    upper, lower = parts
    axes = upper.subplots(len(cells), count, squeeze=False)
    for r, (name, row) in enumerate(cells.items()):
        for c, axis in enumerate(axes[r]):
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
            if c < len(row):
                axis.imshow(overlays.stretched(row[c]))
        axes[r, 0].set_ylabel(name, rotation=0, ha="right", va="center")
    upper.suptitle(f"The same nuclei of plate {plate} in each channel, by its name", fontsize=10)
    _points(lower, plates, signs)
    return figure


def _points(figure: Any, plates: list[str], signs: pd.DataFrame) -> None:
    """Draw a point a plate and pair; where nothing can be said between -1 and 1, in grey."""
    axis = figure.subplots()
    axis.axvspan(-1, 1, color="#DDDDDD", label="unclear")
    axis.axvline(0, color="black", linewidth=0.6)
    for i, (pair, rows) in enumerate(signs.groupby("Pair", sort=False)):
        y = [plates.index(plate) for plate in rows["Plate"]]
        axis.scatter(rows["Share"], y, s=26, marker="os^"[i % 3], color=figures.COLOURS[i % 8], label=str(pair))
    axis.set_yticks(range(len(plates)) if len(plates) <= _LABELLED else [], plates if len(plates) <= _LABELLED else [])
    axis.set_ylim(len(plates) - 0.5, -0.5)
    reach = max(1.5, 1.1 * float(signs["Share"].abs().max()))
    axis.set_xlim(-reach, reach)
    axis.set_xlabel("left of grey: names look exchanged; right of grey: as named")
    figure.legend(loc="outside lower center", ncols=4)
