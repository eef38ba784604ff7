"""Pictures of a latent space: its histograms, the KL of its dimensions, what it generates, walks along it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

from morphospace.reporting.figures import COLOURS, grid, new

Floats = NDArray[np.floating[Any]]
SHOWN = 20  # dimensions in the histogram (000-37)
_BINS = 30
_COLUMNS = 5


def histogram(mean: Floats, samples: Floats | None, cells: str) -> Figure:
    """Return the histograms of 20 dimensions of encoded images beside the density of N(0, 1) (000-37).

    They are the first 20 of a posterior, which has no order; without one those that vary most, since the first of a
    flattened map are of its corner.

    Parameters
    ----------
    mean
        Latent means (N, z_dim): what is stored as the embedding.
    samples
        One sample of each posterior (N, z_dim): together the aggregated posterior, which the KL term draws to N(0, 1).
        None, for a model without a posterior: the density of N(0, 1) is left out too.
    cells
        Which cells these are, for the title.
    """
    count = min(SHOWN, mean.shape[1])
    lines = -(-count // _COLUMNS)
    figure = new(10, 1.75 * lines + 0.9)
    axes = figure.subplots(lines, _COLUMNS, squeeze=False, sharex=True, sharey=True)
    shown = [(mean, COLOURS[5], "stepfilled", "means")]
    if samples is not None:
        shown.append((samples, COLOURS[0], "step", "samples of the posteriors"))
    dimensions = np.arange(count) if samples is not None else np.argsort(-mean.var(axis=0), kind="stable")[:count]
    furthest = float(np.abs(shown[-1][0][:, dimensions]).max()) or 1.0
    limit = furthest if samples is None else float(np.clip(furthest, 3, 6))
    edges = np.linspace(-limit, limit, _BINS + 1)
    grid_points = np.linspace(-limit, limit, 200)
    top = 1.6 * float(norm.pdf(0)) if samples is not None else np.inf
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    for k, axis in zip(dimensions, axes.flat, strict=False):
        width = edges[1] - edges[0]
        for values, colour, kind, label in shown:
            heights = np.histogram(values[:, k], edges)[0] / (len(values) * width)
            axis.stairs(np.minimum(heights, top), edges, color=colour, fill=kind == "stepfilled", label=label)
        if samples is not None:
            axis.plot(grid_points, norm.pdf(grid_points), color=COLOURS[3], linewidth=1.2, label="N(0, 1)")
            axis.set_ylim(0, top)
        axis.set_title(f"dimension {k}", fontsize=8)
    figure.supxlabel("latent value", fontsize=9)
    figure.supylabel("density" + (f" (bars above {top:.2f} are cut)" if samples is not None else ""), fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=3)
    figure.suptitle(f"Encoded images of {len(mean):,} {cells} cells", x=0.01, ha="left", fontsize=10)
    return figure


def kl(per_dimension: Floats, active: NDArray[np.bool_], threshold: float) -> Figure:
    """Return the KL of each dimension, nats, largest first; active dimensions (Burda et al. 2016) are filled.

    `threshold` is the variance of the posterior mean above which a dimension is active.
    """
    order = np.argsort(per_dimension)[::-1]
    figure = new(8, 3)
    axis = figure.subplots()
    place = np.arange(len(order))
    on = active[order]
    sizes = per_dimension[order]
    label = f"active: variance of the mean > {threshold:g} ({int(on.sum())} of {len(on)})"
    axis.bar(place[on], sizes[on], width=0.85, color=COLOURS[0], label=label)
    if not on.all():
        axis.bar(
            place[~on],
            sizes[~on],
            width=0.85,
            color="white",
            edgecolor=COLOURS[6],
            label=f"not active ({int((~on).sum())})",
        )
    axis.set(xlabel="latent dimension, by KL", ylabel="KL to N(0, 1), nats", title=f"KL {sizes.sum():.2f} nats in all")
    axis.set_xlim(-0.8, len(order) - 0.2)
    axis.legend()
    return figure


def generated(normal: NDArray[Any], fitted: NDArray[Any], names: Sequence[str] = ()) -> Figure:
    """Return cells that nobody saw, tiles (n, C, H, W), values outside [0, 1] cut (000-39).

    Parameters
    ----------
    normal
        Decoded from z ~ N(0, I).
    fitted
        Decoded from points like those of training cells.
    names
        Of the channels.
    """
    rows = [list(part) for part in (*np.split(normal, 2), *np.split(fitted, 2))]
    labels = ["N(0, I)"] * 2 + ["like training\ncells"] * 2
    return grid(rows, labels, "Cells that nobody saw, decoded from random latent points", 1.1, names)


def walks(
    tiles: Sequence[NDArray[Any]], dimensions: Sequence[int], sizes: Sequence[float], by: str, span: float
) -> Figure:
    """Return one row of tiles (steps, C, H, W) a dimension, from -`span` to +`span` standard deviations.

    `sizes` is the KL (nats) or the variance of each dimension, as `by` says, for the label.
    """
    labels = [f"z {k}, {by} {size:.2f}" for k, size in zip(dimensions, sizes, strict=True)]
    return strips(tiles, labels, span, "From the average cell along single dimensions")


def strips(tiles: Sequence[NDArray[Any]], labels: Sequence[str], span: float, title: str) -> Figure:
    """Return labelled rows of tiles (steps, C, H, W), each from -`span` to +`span` standard deviations of a latent."""
    figure = grid([list(row) for row in tiles], labels, title=title)
    steps = len(tiles[0])
    for i, axis in enumerate(figure.axes[-steps:]):
        axis.set_xlabel(f"{-span + 2 * span * i / (steps - 1):+.3g} sd".replace("+0 ", "0 "), fontsize=8)
    return figure
