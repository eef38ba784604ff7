"""The contact sheet of a search: the query first, then what was found, each with its rank and what is known of it."""

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphospace.reporting import figures

_COLUMNS = 6
_WIDTH = 22  # characters of a line below a tile
_LINES = 5
_TILE = 1.6  # inches
_PANEL = 0.8  # inches, of a channel, at least


def sheet(
    query: NDArray[Any],
    said: Sequence[str],
    found: Sequence[tuple[NDArray[Any], Sequence[str]]],
    names: Sequence[str] = (),
) -> Figure:
    """Return the figure of a query (C, H, W), and of tiles of the same shape with the lines below each.

    Parameters
    ----------
    query
        Its tile.
    said
        Lines below it.
    found
        Tile and lines of each, the nearest first.
    names
        Of the channels.
    """
    cells = [(query, said), *found]
    columns = min(_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    down, across = figures.panels(len(query))
    # A block of panels is as wide as a tile in colour, and wider only where its panels would be too small to see.
    side = max(_TILE / across, _PANEL) if across > 1 else _TILE
    side = figures.side(side, columns, len(query), columns * 0.15)
    figure = figures.new(columns * (side * across + 0.15), rows * (side * down + 0.95))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (number, (tile, lines)) in zip(axes, enumerate(cells), strict=False):
        axis.set_axis_on()
        axis.set_xticks([])
        axis.set_yticks([])
        figures.show(axis, tile, names, side)
        for spine in axis.spines.values():
            spine.set_visible(number == 0)
            spine.set_color(figures.COLOURS[3])
            spine.set_linewidth(3)
        axis.set_xlabel(_below(lines), fontsize=7.5, loc="left", parse_math=False)
    return figure


def _below(lines: Sequence[str]) -> str:
    """Return lines broken to the width of a tile, filled up so that all tiles of a row stand alike."""
    broken = [part for line in lines for part in textwrap.wrap(line, _WIDTH) or [""]]
    if len(broken) > _LINES:
        broken = [*broken[: _LINES - 1], broken[_LINES - 1][: _WIDTH - 1] + "…"]
    return "\n".join([*broken, *[" "] * (_LINES - len(broken))])
