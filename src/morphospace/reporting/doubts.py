"""The picture of where doubtful fields lie: a panel a plate, rows and columns as on the bench."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from morphospace import schema
from morphospace.reporting import figures
from morphospace.wells import place as place_of

_PANELS, _COLUMNS = 12, 3  # plates drawn, those with most doubtful fields; panels abreast


def wells(shares: pd.DataFrame) -> Figure:
    """Return the share of doubtful fields of each well, from 0 to 1; wells without a field are grey.

    Parameters
    ----------
    shares
        A row a well: plate, well and ``Share``. Where a name is not letters and a number, as are those of plates, the
        wells of a plate stand in one row, in order.
    """
    order = shares.groupby(schema.PLATE)["Share"].sum().sort_values(ascending=False, kind="stable")
    plates = list(order.index[:_PANELS])
    columns = min(_COLUMNS, len(plates))
    lines = -(-len(plates) // columns)
    figure = figures.new(3.1 * columns + 0.9, 2.2 * lines + 0.5)
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(plates) :]:
        axis.set_axis_off()
    for axis, plate in zip(axes.flat, plates, strict=False):
        values, named = _grid(shares[shares[schema.PLATE] == plate])
        axis.set_facecolor("#DDDDDD")
        height, width = values.shape
        extent = (0.5, width + 0.5, height + 0.5, 0.5)
        shown = axis.imshow(np.ma.masked_invalid(values), cmap="viridis", vmin=0, vmax=1, extent=extent, aspect="auto")
        axis.set_title(str(plate), fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_yticks(range(1, height + 1) if named and height <= 16 else [])
        if named and height <= 16:
            axis.set_yticklabels([chr(64 + row) for row in range(1, height + 1)], fontsize=7)
    figure.colorbar(shown, ax=axes, label="share of fields that are doubtful", shrink=0.9)
    more = f"; the {len(plates)} of {len(order)} plates with most" if len(order) > len(plates) else ""
    figure.suptitle(f"Doubtful fields, well by well{more}", fontsize=10)
    return figure


def _grid(wells: pd.DataFrame) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], bool]:
    """Return the shares as rows and columns of the plate, and whether its rows have letters."""
    places = [place_of(str(well)) for well in wells[schema.WELL]]
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        return wells["Share"].to_numpy(dtype=float)[None], False
    height, width = np.max(known, axis=0) + 1
    values = np.full((max(8, height), max(12, width)), np.nan)
    values[tuple(np.transpose(known))] = wells["Share"]
    return values, True
