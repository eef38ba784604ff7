"""Pictures of segmentation: outlines on a field, and the illumination functions of all plates on one sheet."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from morphospace.reporting import figures
from morphospace.words import count

NUCLEI, CELLS = "#56B4E9", "#E69F00"  # sky blue and orange: told apart with every common colour blindness
WINDOW = 640  # px, side of the part of a field that is shown
BAR = 100  # px


def outlines(
    nuclei: NDArray[Any], cells: NDArray[Any], nuclei_labels: NDArray[Any], cells_labels: NDArray[Any], title: str
) -> Figure:
    """Return a figure of the middle of a field: cell stain in grey, nuclear stain in blue, outlines of both.

    Parameters
    ----------
    nuclei, cells
        The two channels, (H, W), any unit; each is stretched from its 1st to its 99.7th percentile.
    nuclei_labels, cells_labels
        Label images (H, W); 0 is background.
    title
        What the field is; the window and the number of cells in the field are added.
    """
    window = tuple(slice(max(0, (n - WINDOW) // 2), max(0, (n - WINDOW) // 2) + WINDOW) for n in nuclei.shape)
    grey, blue = (stretched(channel)[window] for channel in (cells, nuclei))
    picture = np.stack([0.75 * grey, 0.75 * grey, np.clip(0.75 * grey + 0.6 * blue, 0, 1)], axis=-1)
    for labels, colour in ((cells_labels, CELLS), (nuclei_labels, NUCLEI)):
        picture[inner_boundary(labels)[window]] = to_rgb(colour)
    figure = figures.new(6, 6 * picture.shape[0] / picture.shape[1] + 0.25)
    axis = figure.subplots()
    axis.imshow(picture)
    axis.set_axis_off()
    height, width = nuclei.shape
    shown = f"{picture.shape[1]} x {picture.shape[0]} of {width} x {height} px"
    axis.set_title(
        f"{title}: {count(len(np.unique(cells_labels)) - 1, 'cell')} in the field; shown {shown}", fontsize=8
    )
    bottom = picture.shape[0] - 12
    axis.plot([12, 12 + BAR], [bottom, bottom], color="white", linewidth=3, solid_capstyle="butt")
    axis.text(12, bottom - 8, f"{BAR} px", color="white", fontsize=8)
    patches = [Patch(color=CELLS, label="cells"), Patch(color=NUCLEI, label="nuclei")]
    axis.legend(handles=patches, loc="upper left", frameon=True, facecolor="black", labelcolor="white")
    return figure


def whole(planes: Sequence[NDArray[Any]], title: str) -> Figure:
    """Return a picture of a field that was taken whole: up to three channels as red, green and blue, one as grey.

    Parameters
    ----------
    planes
        The channels (H, W), any unit; each is stretched from its 1st to its 99.7th percentile.
    title
        What the field is; its size is added.
    """
    shown = [stretched(plane) for plane in planes[:3]]
    shown = shown * 3 if len(shown) == 1 else [*shown, np.zeros_like(shown[0])][:3]
    height, width = shown[0].shape
    figure = figures.new(6, 6 * height / width + 0.25)
    axis = figure.subplots()
    axis.imshow(np.stack(shown, axis=-1))
    axis.set_axis_off()
    axis.set_title(f"{title}: taken whole, {width} x {height} px", fontsize=8)
    axis.plot([12, 12 + BAR], [height - 12] * 2, color="white", linewidth=5, solid_capstyle="butt")
    axis.plot([12, 12 + BAR], [height - 12] * 2, color="black", linewidth=2, solid_capstyle="butt")
    axis.text(12, height - 18, f"{BAR} px", fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
    return figure


def stretched(channel: NDArray[Any]) -> NDArray[np.float64]:
    """Return a channel from 0 (its 1st percentile) to 1 (its 99.7th); an even one is 0."""
    low, high = np.percentile(channel, [1, 99.7])
    if high <= low:
        return np.zeros(channel.shape)
    return np.asarray(np.clip((channel.astype(float) - low) / (high - low), 0, 1))


def inner_boundary(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the pixels of each object that have a neighbour, up, down, left or right, of another label."""
    edge = np.zeros(labels.shape, bool)
    rows, columns = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= rows
    edge[:-1] |= rows
    edge[:, 1:] |= columns
    edge[:, :-1] |= columns
    return np.asarray(edge & (labels != 0))


def illumination(
    functions: Mapping[tuple[str, str], NDArray[Any]], plates: Sequence[str], channels: Sequence[str]
) -> Figure:
    """Return one sheet: a row a plate, a column a channel, one colour scale for all, from 1 to the brightest.

    `functions` maps (plate, channel) to an array (H, W) that images are divided by; large ones are thinned.
    """
    figure = figures.new(2.3 * len(channels) + 1.2, 1.9 * len(plates) + 0.7)
    axes = figure.subplots(len(plates), len(channels), squeeze=False)
    top = max(1.01, *(float(f.max()) for f in functions.values()))  # functions of ones have a scale, too
    for r, plate in enumerate(plates):
        for c, channel in enumerate(channels):
            axis, values = axes[r, c], functions[plate, channel]
            height, width = values.shape
            step = max(1, max(values.shape) // 256)
            shown = axis.imshow(values[::step, ::step], cmap="cividis", vmin=1, vmax=top, extent=(0, width, height, 0))
            axis.set_title(f"{plate}, {channel}: to {values.max():.2f}", fontsize=8)
            axis.set_xticks([0, width])
            axis.set_yticks([0, height])
    figure.supxlabel("px", fontsize=8)
    bar = figure.colorbar(shown, ax=axes, shrink=0.8)
    bar.set_label("divisor (1 is the dimmest 2 %)", fontsize=8)
    return figure
