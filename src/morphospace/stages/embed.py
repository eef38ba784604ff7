"""Write the latent mean of every cell, and what the latent space looks like (000-37, 000-39)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from morphospace import files, params, records, schema
from morphospace.imaging import packs
from morphospace.metrics import latent as metric
from morphospace.metrics import prior
from morphospace.models._base import Model
from morphospace.reporting import figures
from morphospace.reporting import latent as drawing
from morphospace.reporting.clock import clock
from morphospace.training import cells, embedding, process

_MINIBATCH = 128  # images a forward pass; it does not change the result
_CHUNK = 2048  # images a step of the progress bar
_HISTOGRAM = 5000  # images (000-37)
_GENERATED = 20  # cells (000-39)
_WALKS, _STEPS, _SPAN = 8, 7, 3.0  # dimensions, tiles a walk, standard deviations
Floats = NDArray[np.float32]
COMPARED = ("z_dim", "active_units", "kl_total")  # by `dvc metrics diff`


def run(
    crops: Annotated[Path, typer.Argument(help="Folder with the packs of crops.")],
    crops_table: Annotated[Path, typer.Argument(help="Table of the crops.")],
    splits: Annotated[Path, typer.Argument(help="Table of the split.")],
    models: Annotated[Path, typer.Argument(help="Folder with the trained model.")],
    embeddings: Annotated[Path, typer.Argument(help="Table to write: the latent mean of every kept cell.")],
    timings: Annotated[Path, typer.Argument(help="What the stage cost, to write.")],
    metrics: Annotated[Path, typer.Argument(help="How much of the latent space is in use, to write.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    pictures: Annotated[Path, typer.Argument(help="Folder for the figures.")],
) -> None:
    """Write the latent mean of every cell, and what the latent space looks like.

    The table has one row a kept crop, sorted, with its metadata, its split and the columns Cells_Latent_000 and on.
    Numbers and pictures are of test cells, where there are any: of images as they are encoded, not of reconstructions.
    """
    options = params.load()
    process.keep_memory()
    with clock("embed", timings, embeddings) as tally:
        table = cells.read(crops_table, splits)
        model, card = embedding.load_model(models)
        tiles = packs.tiles(crops, table, len(card["channels"]), card["size"], files.scratch("tiles", "decoded"))
        mean, logvar = _encode(model, tiles)
        with files.replacing(embeddings) as aside:
            latents = _table(table, mean)
            latents.attrs = embedding.origin(card)
            latents.to_parquet(aside, index=False)
        side = schema.TEST if (table[schema.SPLIT] == schema.TEST).any() else schema.TRAIN
        rows = np.flatnonzero(table[schema.SPLIT] == side)
        chosen = mean[rows], None if logvar is None else logvar[rows]
        found = {"split": side, **metric.score(*chosen)}
        records.write(metrics, record, options.data_set, found, COMPARED)
        trained = mean[np.flatnonzero(table[schema.SPLIT] == schema.TRAIN)]
        drawn = _figures(model, *chosen, trained, side, options.seed, card["channels"])
        with files.replacing_folder(pictures) as aside:
            for name, figure in drawn.items():
                figures.save(figure, aside / f"{name}.png")
        tally.items, tally.unit = len(table), "cells"
        tally.device = str(next(model.parameters()).device)


def _encode(model: Model, tiles: NDArray[np.uint8]) -> tuple[Floats, Floats | None]:
    """Return the posteriors of all tiles, under a progress bar."""
    console = Console(stderr=True)
    starts = range(0, len(tiles), _CHUNK)
    shown = track(starts, "embed", console=console, transient=True, disable=not console.is_terminal)
    parts = [embedding.encode(model, tiles[i : i + _CHUNK], _MINIBATCH) for i in shown]
    logvars = [p[1] for p in parts if p[1] is not None]
    return np.concatenate([p[0] for p in parts]), np.concatenate(logvars) if logvars else None


def _table(table: pd.DataFrame, mean: Floats) -> pd.DataFrame:
    """Return metadata, object, split and the latent columns."""
    latent = pd.DataFrame(mean, columns=schema.latent_names(mean.shape[1]), index=table.index)
    return pd.concat([table[[*schema.METADATA, schema.OBJECT, schema.SPLIT]], latent], axis="columns")


def _figures(
    model: Model,
    mean: Floats,
    logvar: Floats | None,
    trained: Floats,
    side: str,
    seed: int,
    names: Sequence[str],
) -> dict[str, Figure]:
    """Return the figures by name: those that the model can be drawn in."""
    rng = np.random.default_rng([seed, 2])
    some = np.sort(rng.choice(len(mean), min(_HISTOGRAM, len(mean)), replace=False))
    drawn, samples, order = {}, None, mean.var(axis=0)
    if logvar is not None:
        samples = mean[some] + np.exp(0.5 * logvar[some]) * rng.standard_normal(mean[some].shape)
        order = metric.kl_per_dimension(mean, logvar)
        drawn["kl"] = drawing.kl(order, metric.active(mean), metric.ACTIVE)
    drawn["histogram"] = drawing.histogram(mean[some], samples, side)
    if model.decodes and logvar is not None:
        normal = rng.standard_normal((_GENERATED, mean.shape[1])).astype(np.float32)
        likely = prior.fit(trained).sample(_GENERATED, rng)
        drawn["generated"] = drawing.generated(embedding.decode(model, normal), embedding.decode(model, likely), names)
    if model.decodes:
        drawn["walks"] = _walks(model, mean, order, "variance" if logvar is None else "KL")
    return drawn


def _walks(model: Model, mean: Floats, order: NDArray[Any], by: str) -> Figure:
    """Draw the average cell moved along the first dimensions in an order, by standard deviations of the means."""
    top = [int(k) for k in np.argsort(order)[::-1][:_WALKS]]
    rows = [embedding.walk(model, mean, k, _SPAN, _STEPS) for k in top]
    return drawing.walks(rows, top, [float(order[k]) for k in top], by, _SPAN)
