"""Score mechanisms of action, beside everything that must be beaten for it to mean much (002-13, 004-17)."""

import logging
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure

from morphospace import files, params, records, schema, tables
from morphospace.imaging import packs
from morphospace.metrics import batches, moa, moa_floors
from morphospace.profiling import build
from morphospace.profiling.features import feature_columns
from morphospace.reasons import joined
from morphospace.reporting import figures, maps, mechanisms
from morphospace.reporting.clock import clock
from morphospace.training import cells

logger = logging.getLogger(__name__)

_TABLES = build.Profiles._fields
_MAPPED = 20  # wells: fewer are all neighbours of each other, and their map says nothing
_SCORES = ("NSC", "NSCB", "mAP", "mAP_replicates", "top_hit")
COMPARED = [f"{score}{end}" for score in _SCORES for end in ("", "_low", "_high", "_lead")]  # by `dvc metrics diff`
COMPARED += ["batch_from_controls", "batch_from_controls_majority"]


def run(
    profiles: Annotated[Path, typer.Argument(help="Folder with the profiles of sites, wells and treatments.")],
    crops: Annotated[Path, typer.Argument(help="Folder with the packs of crops, for the floors of the pixels.")],
    crops_table: Annotated[Path, typer.Argument(help="Table of the crops.")],
    splits: Annotated[Path, typer.Argument(help="Table of the split: PCA is fitted on its training cells.")],
    synthesized: Annotated[Path, typer.Argument(help="Metrics of the crops: their channels and size.")],
    table: Annotated[Path, typer.Argument(help="Table to write: the nearest of each treatment, and why not scored.")],
    timings: Annotated[Path, typer.Argument(help="What the stage cost, to write.")],
    metrics: Annotated[Path, typer.Argument(help="The scores of record with their floors, to write.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    pictures: Annotated[Path, typer.Argument(help="Folder for the figures.")],
) -> None:
    """Score mechanisms of action, beside everything that must be beaten for it to mean much.

    NSC, NSCB, mean average precision and top hits stand beside a random neighbour, one of the same batch, one of the
    same well position, and beside profiles of cell count, mean intensity, random projection and PCA of the pixels, made
    as those of the embedding are. What cannot be scored is named; when nothing can, the metrics say so.
    """
    options = params.load()
    with clock("moa", timings, table) as tally:
        made = build.Profiles(*(tables.read_parquet(profiles / f"{n}.parquet", "profile") for n in _TABLES))
        kept = cells.read(crops_table, splits)
        channels, size = cells.form(synthesized)
        tiles = packs.tiles(crops, kept, len(channels), size, files.scratch("tiles", "decoded"))
        card, batch = _scored(made, kept, tiles, options)
        tables.write_csv(card.table(), table)
        whole = joined(card.record(), batch.record())
        records.write(metrics, record, options.data_set, whole, COMPARED)
        with files.replacing_folder(pictures) as folder:
            for name, figure in _figures(card, made, options).items():
                figures.save(figure, folder / f"{name}.png")
        logger.info("%s", whole["verdict"])
        tally.items, tally.unit = len(kept), "cells"


def _scored(
    made: build.Profiles, kept: pd.DataFrame, tiles: Any, options: params.Params
) -> tuple[moa.Card, batches.BatchScore]:
    """Return the scores beside their floors, and how well the batch is predicted."""
    given = options.similarity
    settings = build.usable(kept, build.Settings(**options.profile.model_dump(), seed=options.seed))
    train = np.flatnonzero(kept[schema.SPLIT] == schema.TRAIN)
    of = moa_floors.tables(made)
    features = moa_floors.features(of)
    width = features[moa.WELLS].shape[1]
    pixels = moa_floors.pixels(tiles, width, train, given.pca_cells, options.seed)
    floors = moa_floors.floors(made, settings, kept, pixels)
    card = moa.card(of, features, floors, moa.Settings(**options.mechanisms()))
    images = of[moa.SITES], features[moa.SITES]
    return card, batches.from_controls(*images, batches.FOLDS, options.seed, given.bootstrap, given.confidence)


def _figures(card: moa.Card, made: build.Profiles, options: params.Params) -> dict[str, Figure]:
    """Return the figures by name; no map of fewer wells than a map needs."""
    names = feature_columns(made.wells)
    found = mechanisms.draw(card.rows(), card.counts(), card.matrices(), {moa.EMBEDDING: options.model}, len(names))
    if len(made.wells) >= _MAPPED:
        from morphospace.metrics import layout  # UMAP takes seconds to import

        points = layout.layout(made.wells[names].to_numpy(), options.seed)
        found["map_wells"] = maps.draw(points, made.wells[schema.MOA].to_list(), schema.MOA, "wells")
    return found
