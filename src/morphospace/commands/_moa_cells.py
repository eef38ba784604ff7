"""``moa --cells``: models trained without labels on raw cells, beside what is measured by hand, and the floors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from morphospace import files, params, schema
from morphospace.commands import _cell_sets, _contenders, _contest, _moa
from morphospace.commands._cell_sets import Cells
from morphospace.commands._contenders import Contender
from morphospace.commands._contest import Result
from morphospace.errors import InputError, TrainingError
from morphospace.metrics import handmade, moa, moa_floors
from morphospace.metrics.beside import CELL_COUNT
from morphospace.metrics.moa import Card
from morphospace.profiling import build
from morphospace.training import embedding, fitting, process, recipe

MODELS = ("conv_vae", "autoencoder", "pca_autoencoder")  # trained where --only names none
HAND = "measured by hand"
NUCLEI = 0  # the channel of the nuclei: DAPI comes first in the raw cells of BBBC021
HOW = build.Settings(normalize="none")  # many plates have no control among so few cells: all are measured alike
Values = NDArray[np.float64]


def run(
    folder: Path, only: Sequence[str], seconds: float, options: params.Params, settings: moa.Settings, output: Path
) -> None:
    """Train what is not trained yet, score all, and write the folder.

    Raises
    ------
    InputError
        When the budget is not above 0, or a model learns from the labels that are scored.
    """
    if seconds <= 0:
        raise InputError(f"--seconds is {seconds:g}: a training needs some")
    torch.set_num_threads(files.jobs())
    process.keep_memory()
    cells = _cell_sets.raw(folder, options.seed)
    contenders = _contenders.contenders(list(only) or list(MODELS))
    console = Console(stderr=True)
    shown = track(contenders, "train", console=console, transient=True, disable=not console.is_terminal)
    values = {contender.name: _trained(contender, cells, seconds) for contender in shown}
    values |= {HAND: handmade.features(cells.tiles, NUCLEI)}
    floors = {width: _floors(cells, width, options) for width in sorted({x.shape[1] for x in values.values()})}
    cards = {name: _card(cells, x, floors[x.shape[1]], settings) for name, x in values.items()}
    _moa.show(cards)
    record: dict[str, Any] = {
        "cells": str(folder),
        "n_cells": len(cells.tiles),
        "seconds": seconds,
        "trained_on": "all cells but those of the validation plates, without labels; all are scored",
        "widths": {name: int(x.shape[1]) for name, x in values.items()},
        "embeddings": {name: card.record() for name, card in cards.items()},
    }
    with files.replacing_folder(output) as aside:
        _moa.write(aside, cards, record, {moa.TREATMENTS: next(iter(values.values()))})
    typer.echo(f"all of it: {output}")


def _trained(contender: Contender, cells: Cells, seconds: float) -> Values:
    """Return the embedding of all cells, kept once it is made."""
    key = files.fingerprint("moa", _contest.key(cells, contender.options, seconds))
    found, _ = _contest.kept(key, lambda work: _train(contender, cells, seconds, work, key))
    return found.arrays["means"].astype(np.float64)


def _train(contender: Contender, cells: Cells, seconds: float, work: Path, key: str) -> Result:
    """Train on all cells but those of the validation plates, which choose the epoch."""
    options, form = contender.options, cells.tiles.shape[1:3]
    given = recipe.Recipe(options.seed, options.model, options.z_dim, options.train.model_dump(), options.model_options)
    model, how = given.untrained(*form), given.settings(*form, cpu_seconds=seconds)
    if model.pairs or options.train.contrastive:
        raise InputError(f"{contender.name} learns from the mechanisms that are scored here; leave it out of --only")
    validation = cells.rows[schema.VALIDATION]
    train = np.setdiff1d(np.arange(len(cells.tiles)), validation)
    try:
        fitted = fitting.fit(model, cells.tiles, train, validation, how, work, key)
    except TrainingError as error:
        raise TrainingError(f"{contender.name}: {error}") from None
    model.load_state_dict(fitted.weights)
    model.to(embedding.device())
    means, _ = embedding.encode(model, cells.tiles, _contest.BLOCK)
    return Result({"epochs": len(fitted.history)}, {"means": means})


def _floors(cells: Cells, width: int, options: params.Params) -> dict[str, Values]:
    every = np.arange(len(cells.tiles))
    return moa_floors.pixels(cells.tiles, width, every, options.similarity.pca_cells, options.seed)


def _card(cells: Cells, values: Values, pixels: dict[str, Values], settings: moa.Settings) -> Card:
    """Return the scores of numbers of each cell, in deviations of all negative controls, as are the floors."""
    rows = cells.table.assign(**{schema.OBJECT: np.arange(1, len(cells.table) + 1)})
    control = (rows[schema.PERT_TYPE] == schema.NEGCON).to_numpy()
    made = build.build(moa_floors.table(rows, _scaled(values, control)), HOW)
    floors: dict[str, moa.Features | str] = {CELL_COUNT: moa_floors.cell_count(made, HOW)}
    floors |= {name: moa_floors.profiled(rows, _scaled(x, control), HOW, made) for name, x in pixels.items()}
    of = moa_floors.tables(made)
    return moa.card(of, moa_floors.features(of), floors, settings)


def _scaled(values: Values, control: NDArray[np.bool_]) -> Values:
    """Return values less the mean of the controls, over their deviation where it is not 0."""
    spread = pd.DataFrame(values[control]).std().to_numpy()
    found: Values = (values - values[control].mean(axis=0)) / np.where(spread > 0, spread, 1)
    return found
