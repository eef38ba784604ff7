"""Pictures of distances from the negative controls: the plate as it stands, dose and response, controls."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from scipy.stats import t

from morphospace import schema
from morphospace.reporting.figures import COLOURS, new
from morphospace.wells import place as place_of
from morphospace.words import count

DISTANCE = "Distance"
LABEL = "distance from the negative controls"
_FORMATS = {"96": (8, 12), "384": (16, 24), "1536": (32, 48)}
_NUMBERED = 24  # columns at most for a number in every well
_COLUMNS = 3
_REPLICATES = 3  # wells of a dose for an interval of their mean: of two it would fill the panel
_LOGARITHMIC = 30  # doses that span more are drawn on a logarithmic axis
_KINDS = {schema.NEGCON: "negative control", schema.TREATED: "compound", schema.POSCON: "positive control"}
_LOOKS = {schema.NEGCON: (COLOURS[6], "s"), schema.TREATED: (COLOURS[0], "o"), schema.POSCON: (COLOURS[3], "^")}


class Response(NamedTuple):
    """What is written above the panel of a compound."""

    compound: str
    said: str


def plate(wells: pd.DataFrame, name: str) -> Figure | None:
    """Return a heat map of the distances of one plate, rows A down and columns 1 across as on the plate.

    The smallest of the formats with 96, 384 and 1536 wells that has all of them is drawn. None, when a well's name is
    not letters and a number.

    Parameters
    ----------
    wells
        A row a well: ``Distance`` and metadata.
    name
        Of the plate.
    """
    places = [place_of(str(well)) for well in wells[schema.WELL]]
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        return None
    last = np.max(known, axis=0)
    fits = [(rows, columns) for rows, columns in _FORMATS.values() if last[0] < rows and last[1] < columns]
    if not fits:
        return None
    rows, columns = fits[0]
    values = np.full((rows, columns), np.nan)
    values[tuple(np.transpose(known))] = wells[DISTANCE]
    owners = _owners(wells, known)
    figure = new(0.46 * min(columns, 24) + (3.2 if owners else 1.7), 0.4 * min(rows, 16) + 1.5)
    axis = figure.subplots()
    axis.set_facecolor("#EEEEEE")
    shown = axis.imshow(np.ma.masked_invalid(values), cmap="viridis", vmin=0, aspect="equal")
    figure.colorbar(shown, ax=axis, label=LABEL, shrink=0.9, pad=0.1 if owners else 0.02)
    _label_plate(axis, rows, columns)
    for row, owner in owners.items():
        axis.text(columns - 0.3, row, owner, va="center", fontsize=7)
    _mark(axis, wells, known, values, columns <= _NUMBERED)
    figure.suptitle(f"Plate {name}", x=0.01, ha="left")
    marks = "– negative control, framed: positive control" + ("; numbers: dose" if columns <= _NUMBERED else "")
    axis.set_xlabel(f"{marks}; grey: no well", fontsize=8)
    return figure


def _label_plate(axis: Axes, rows: int, columns: int) -> None:
    letters = [chr(65 + i) if i < 26 else "A" + chr(39 + i) for i in range(rows)]
    axis.set_yticks(range(rows), letters, fontsize=8 if rows <= 16 else 6)
    axis.set_xticks(range(columns), [str(i + 1) for i in range(columns)], fontsize=8 if columns <= 24 else 6)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.set_xticks(np.arange(-0.5, columns), minor=True)
    axis.set_yticks(np.arange(-0.5, rows), minor=True)
    axis.grid(which="minor", color="white", linewidth=1)
    axis.tick_params(which="minor", length=0)


def _owners(wells: pd.DataFrame, places: list[tuple[int, int]]) -> dict[int, str]:
    """Return the compound of each row of the plate that has a single one beside its negative controls."""
    treated = (wells[schema.PERT_TYPE] != schema.NEGCON).to_numpy()
    rows = pd.Series([place[0] for place in places], index=wells.index)[treated]
    found = wells.loc[treated, schema.COMPOUND].groupby(rows).unique()
    if found.map(len).max() != 1 or found.map(lambda names: names[0]).nunique() > len(found) / 2:
        return {}
    return {int(row): str(names[0]) for row, names in zip(found.index, found, strict=True)}


def _mark(axis: Axes, wells: pd.DataFrame, places: list[tuple[int, int]], values: NDArray[Any], numbers: bool) -> None:
    """Write the dose into each well, and mark the controls."""
    bright = np.nanmax(values) * 0.6 if np.isfinite(values).any() else 0
    kinds, doses = wells[schema.PERT_TYPE], wells[schema.CONCENTRATION]
    for (row, column), kind, dose in zip(places, kinds, doses, strict=True):
        colour = "black" if not values[row, column] < bright else "white"
        if kind == schema.POSCON:
            frame = (column - 0.44, row - 0.44), 0.88, 0.88
            axis.add_patch(Rectangle(*frame, fill=False, edgecolor=COLOURS[3], linewidth=2))
        text = "–" if kind == schema.NEGCON else f"{dose:g}" if numbers and np.isfinite(dose) else ""
        axis.text(column, row, text, ha="center", va="center", fontsize=6, color=colour)


def curves(wells: pd.DataFrame, responses: list[Response], confidence: float) -> Figure:
    """Return a panel a compound: a point a well, the mean of each dose with its interval, the range of the controls.

    Parameters
    ----------
    wells
        A row a well: ``Distance`` and metadata.
    responses
        Which compounds, and what to write above each panel.
    confidence
        Of the t-intervals of the means; doses with fewer than three wells have none.
    """
    lines = -(-len(responses) // _COLUMNS)
    across = min(len(responses), _COLUMNS)
    figure = new(3.6 * across + 0.6, 2.9 * lines + 0.9)
    axes = figure.subplots(lines, across, squeeze=False, sharey=True)
    for axis in axes.flat[len(responses) :]:
        axis.set_axis_off()
    controls = wells.loc[wells[schema.PERT_TYPE] == schema.NEGCON, DISTANCE].dropna()
    for axis, response in zip(axes.flat, responses, strict=False):
        mine = wells[(wells[schema.COMPOUND] == response.compound) & (wells[schema.PERT_TYPE] != schema.NEGCON)]
        axis.axhspan(controls.min(), controls.max(), color=COLOURS[6], alpha=0.25, linewidth=0)
        axis.axhline(controls.median(), color=COLOURS[6], linewidth=1, label="negative controls: median and range")
        _panel(axis, mine.dropna(subset=[schema.CONCENTRATION, DISTANCE]), confidence)
        axis.set_title(f"{response.compound}\n{response.said}", loc="left", fontsize=9)
        axis.set_ylim(bottom=0)
    figure.supxlabel("dose (Metadata_Concentration; µM unless your table has another unit)", fontsize=9)
    figure.supylabel(LABEL, fontsize=9)
    _legend(figure, axes)
    return figure


def _panel(axis: Axes, wells: pd.DataFrame, confidence: float) -> None:
    doses = wells[schema.CONCENTRATION]
    for kind in (schema.TREATED, schema.POSCON):
        of_kind = wells[wells[schema.PERT_TYPE] == kind]
        if len(of_kind):
            colour, marker = _LOOKS[kind]
            x, y = of_kind[schema.CONCENTRATION], of_kind[DISTANCE]
            axis.plot(x, y, marker, color=colour, markersize=4, alpha=0.6, label=f"well: {_KINDS[kind]}")
    groups = wells.groupby(doses)[DISTANCE]
    means, count = groups.mean(), groups.count()
    half = (groups.sem() * t.ppf((1 + confidence) / 2, np.maximum(count - 1, 1))).where(count >= _REPLICATES)
    label = f"mean of a dose, {100 * confidence:g} % interval"
    axis.errorbar(means.index, means, half, color=COLOURS[7], linewidth=1.2, capsize=2.5, label=label)
    if (doses > 0).all() and doses.max() / doses.min() > _LOGARITHMIC:
        axis.set_xscale("log")


def _legend(figure: Figure, axes: NDArray[Any]) -> None:
    """Put one legend for all panels above them."""
    named: dict[str, Any] = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    figure.legend(list(named.values()), list(named), loc="outside upper center", ncols=2)


def controls(wells: pd.DataFrame, said: str, seed: int) -> Figure:
    """Return the distances of all wells by their type, a point a well, with `said` above."""
    figure = new(6.4, 3.6)
    axis = figure.subplots()
    rng = np.random.default_rng(seed)
    there = [kind for kind in _KINDS if (wells[schema.PERT_TYPE] == kind).any()]
    for place, kind in enumerate(there):
        values = wells.loc[wells[schema.PERT_TYPE] == kind, DISTANCE].dropna()
        colour, marker = _LOOKS[kind]
        across = place + rng.uniform(-0.25, 0.25, len(values))
        axis.plot(across, values, marker, color=colour, markersize=4, alpha=0.7)
        if len(values):
            axis.hlines(values.median(), place - 0.35, place + 0.35, color=COLOURS[7], linewidth=1.5)
    names = [f"{_KINDS[kind]}\n({count(int((wells[schema.PERT_TYPE] == kind).sum()), 'well')})" for kind in there]
    axis.set_xticks(range(len(there)), names)
    axis.set_xlim(-0.6, len(there) - 0.4)
    axis.set_ylim(bottom=0)
    axis.set_ylabel(LABEL)
    axis.set_title(said, loc="left", fontsize=9)
    axis.set_xlabel("line: median", fontsize=8)
    return figure
