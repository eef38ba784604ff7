"""Profiles of sites, wells and treatments, measured from the negative controls."""

import logging
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from morphospace import files, params, records, schema, tables
from morphospace.metrics import replicates
from morphospace.profiling import build
from morphospace.profiling.features import feature_columns
from morphospace.reasons import nested
from morphospace.reporting import figures
from morphospace.reporting import profiles as drawing
from morphospace.reporting.clock import clock

logger = logging.getLogger(__name__)

_STREAM = 6  # of random numbers
_UNITS = {
    "none": "value, in the embedding's own units",
    "standardize": "distance from the plate's negative controls (their standard deviations)",
    "robustize": "distance from the plate's negative controls (their 1.4826 MAD)",
    "pooled": "distance from the plate's negative controls (pooled standard deviations)",
}
COMPARED = (
    "wells",
    "treatments",
    "replicates.share_above_random",
    "replicates.low",
    "replicates.high",
)  # by `dvc metrics diff`


def run(
    embeddings: Annotated[Path, typer.Argument(help="Table of the embeddings: a row a cell.")],
    profiles: Annotated[Path, typer.Argument(help="Folder to write: a table of sites, of wells, of treatments.")],
    timings: Annotated[Path, typer.Argument(help="What the stage cost, to write.")],
    metrics: Annotated[Path, typer.Argument(help="How many there are, and how alike replicates, to write.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    pictures: Annotated[Path, typer.Argument(help="Folder for the figures.")],
) -> None:
    """Write the profiles of sites, wells and treatments, each plate measured from its negative controls.

    A site is the mean or median of its cells, a well of its sites, a treatment (compound and concentration) of its
    sites or wells. Before that last step profiles are normalised, sphered and aligned as params.yaml says. Columns are
    named as pycytominer names them, so that its functions read the tables. Plates without any negative controls are
    taken as they are, with a warning.
    """
    options = params.load()
    with clock("profile", timings, profiles) as tally:
        cells = tables.read_parquet(embeddings, "embed")
        schema.check(cells, schema.METADATA, str(embeddings), key=schema.OBJECT_KEY)
        settings = build.usable(cells, build.Settings(**options.profile.model_dump(), seed=options.seed))
        made = build.build(cells, settings, str(embeddings))
        with files.replacing_folder(profiles) as folder:
            for name, table in zip(made._fields, made, strict=True):
                table.to_parquet(folder / f"{name}.parquet", index=False)
        features = feature_columns(made.wells)
        found = replicates.compare(made.wells, features)
        rng = np.random.default_rng([options.seed, _STREAM])
        scored = replicates.score(found, options.similarity.bootstrap, options.similarity.confidence, rng)
        whole = _record(cells, made, len(features), settings, scored)
        records.write(metrics, record, options.data_set, whole, COMPARED)
        with files.replacing_folder(pictures) as folder:
            figures.save(_map(made.treatments, features, settings), folder / "treatments.png")
            if len(found.alike):
                figures.save(_replicates(found, scored), folder / "replicates.png")
        tally.items, tally.unit = len(cells), "cells"


def _record(
    cells: pd.DataFrame, made: build.Profiles, features: int, settings: build.Settings, scored: dict[str, Any]
) -> dict[str, Any]:
    """Return the sizes of the tables, how they were normalised, and how many controls each plate was measured from."""
    controls = made.wells[made.wells[schema.PERT_TYPE] == schema.NEGCON]
    numbers = controls[schema.PLATE].value_counts().sort_index()
    found = {
        "cells": len(cells),
        **{name: len(table) for name, table in zip(made._fields, made, strict=True)},
        "features": features,
        **{step: getattr(settings, step) for step in ("level", "normalize", "sphere", "align")},
        "control_wells": {str(plate): int(number) for plate, number in numbers.items()},
        "replicates": scored,
    }
    return nested(found, "replicates")


def _map(treatments: pd.DataFrame, features: list[str], settings: build.Settings) -> Any:
    """Draw the treatments, controls first, then by mechanism and compound."""
    control = treatments[schema.PERT_TYPE] == schema.NEGCON
    order = treatments.assign(last=~control).sort_values(["last", schema.MOA, schema.COMPOUND, schema.CONCENTRATION])
    labels = [
        str(compound) if moa == compound else f"{'' if moa == schema.UNKNOWN else f'{moa}: '}{compound} {dose:g} µM"
        for moa, compound, dose in order[[schema.MOA, schema.COMPOUND, schema.CONCENTRATION]].itertuples(index=False)
    ]
    plain = settings.sphere == "none" and settings.align == "none"
    unit = _UNITS[settings.normalize] if plain else "distance from the negative controls (after sphering or alignment)"
    return drawing.heat_map(order[features].to_numpy(), labels, list(~order["last"]), unit)


def _replicates(found: replicates.Replicates, scored: dict[str, Any]) -> Any:
    caption = f"replicates exceed random pairs: {scored['share_above_random']:.3f}"
    if np.isfinite(scored["low"]):
        caption += f" [{scored['low']:.3f}, {scored['high']:.3f}]"
    return drawing.replicates(found.alike, found.others, f"{caption}, chance {replicates.FLOOR}")
