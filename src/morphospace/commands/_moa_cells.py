"""``moa --cells``: models trained on raw cells, beside what is measured by hand, and the floors.

A model that learns from mechanisms is trained once for each compound, without it (004-13).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from morphospace import files, params, schema
from morphospace.commands import _cell_sets, _contenders, _contest, _moa
from morphospace.commands._cell_sets import Cells
from morphospace.commands._contenders import Contender
from morphospace.commands._contest import Result
from morphospace.errors import TrainingError
from morphospace.metrics import handmade, moa, moa_floors
from morphospace.metrics.moa import Card
from morphospace.profiling import build
from morphospace.training import cells as labelling
from morphospace.training import data, embedding, fitting, process, recipe
from morphospace.training.allowance import Budget

MODELS = ("conv_vae", "autoencoder", "pca_autoencoder")  # trained where --only names none
HAND = "measured by hand"
NUCLEI = 0  # the channel of the nuclei: DAPI comes first in the raw cells of BBBC021
HOW = build.Settings(normalize="none")  # many plates have no control among so few cells: all are measured alike
Values = NDArray[np.float64]


def run(
    folder: Path, only: Sequence[str], budget: Budget, options: params.Params, settings: moa.Settings, output: Path
) -> None:
    """Train what is not trained yet, score all, and write the folder."""
    torch.set_num_threads(options.train.threads)
    process.keep_memory()
    cells = _cell_sets.raw(folder, options.seed)
    contenders = _contenders.contenders(list(only) or list(MODELS))
    console = Console(stderr=True)
    values: dict[str, dict[str, Values]] = {}
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for contender in bar.track(contenders, description="train"):
            values[contender.name] = _trained(contender, cells, budget, bar)
    values |= {HAND: {"": handmade.features(cells.tiles, NUCLEI)}}
    widths = {name: next(iter(of.values())).shape[1] for name, of in values.items()}
    floors = {width: _floors(cells, width, options) for width in sorted(set(widths.values()))}
    cards = {name: _card(cells, of, floors[widths[name]], settings) for name, of in values.items()}
    _moa.show(cards)
    record: dict[str, Any] = {
        "cells": str(folder),
        "n_cells": len(cells.tiles),
        "budget": budget._asdict(),
        "seed": options.seed,
        "trained_on": "all cells but those of the validation plates; all are scored. Of models, each trained for "
        "`budget`, by name: 1 learned without labels, more learned mechanisms, each without one compound",
        "models": {name: len(of) for name, of in values.items() if name != HAND},
        "widths": widths,
        "embeddings": {name: card.record() for name, card in cards.items()},
    }
    with files.replacing_folder(output, listed=True) as aside:
        _moa.write(aside, cards, record, {moa.TREATMENTS: next(iter(next(iter(values.values())).values()))})
    typer.echo(f"all of it: {output}")


def _trained(contender: Contender, cells: Cells, budget: Budget, bar: Progress) -> dict[str, Values]:
    """Return the embedding of all cells, kept once it is made; of a labelled model one for each compound left out."""
    model = recipe.Recipe(**contender.options.training()).untrained(*cells.tiles.shape[1:3])
    labelled = model.pairs or contender.options.train.contrastive > 0
    table = cells.table[cells.table[schema.PERT_TYPE] != schema.NEGCON]
    left_out = sorted(set(table[schema.COMPOUND])) if labelled else [""]
    found = {}
    for compound in bar.track(left_out, description=contender.name):
        key = files.fingerprint("moa", _contest.key(cells, contender.options, budget), compound)
        made, _ = _contest.kept(key, partial(_train, contender, cells, budget, key, compound))
        found[compound] = made.arrays["means"].astype(np.float64)
    return found


def _train(contender: Contender, cells: Cells, budget: Budget, key: str, without: str, work: Path) -> Result:
    """Train on all cells but those of a compound and of the validation plates, which choose the epoch."""
    given, form = recipe.Recipe(**contender.options.training()), cells.tiles.shape[1:3]
    model, how = given.untrained(*form), given.settings(*form, budget=budget)
    seen = (cells.table[schema.COMPOUND] != without).to_numpy()
    chooses = (cells.table[schema.SPLIT] == schema.VALIDATION).to_numpy()
    labels = _labels(contender, cells, seen, chooses) if without else None
    try:
        rows = np.flatnonzero(seen & ~chooses), np.flatnonzero(seen & chooses)
        fitted = fitting.fit(model, cells.tiles, *rows, how, work, key, labels=labels)
    except TrainingError as error:
        raise TrainingError(f"{contender.name}: {error}") from None
    model.load_state_dict(fitted.weights)
    model.to(embedding.device())
    means, _ = embedding.encode(model, cells.tiles, _contest.BLOCK)
    return Result({"epochs": len(fitted.history)}, {"means": means})


def _labels(contender: Contender, cells: Cells, seen: NDArray[np.bool_], chooses: NDArray[np.bool_]) -> data.Labels:
    """Return what is known of the cells, as a training sees it that knows nothing of the compound left out."""
    side = np.select([~seen, chooses], [schema.TEST, schema.VALIDATION], schema.TRAIN)
    table = cells.table.assign(**{schema.SPLIT: side})
    return labelling.labels(table, cells.splits, contender.options.train.contrastive_across)


def _floors(cells: Cells, width: int, options: params.Params) -> dict[str, Values]:
    every = np.arange(len(cells.tiles))
    return moa_floors.pixels(cells.tiles, width, every, options.similarity.pca_cells, options.seed)


def _card(cells: Cells, values: Mapping[str, Values], pixels: Mapping[str, Values], settings: moa.Settings) -> Card:
    """Return the scores of numbers of each cell, in deviations of all negative controls, as are the floors.

    `values` are by the compound that their model has not seen; "" is none.
    """
    rows = cells.table.assign(**{schema.OBJECT: np.arange(1, len(cells.table) + 1)})
    control = (rows[schema.PERT_TYPE] == schema.NEGCON).to_numpy()
    made = {c: build.build(moa_floors.table(rows, _scaled(x, control)), HOW) for c, x in values.items()}
    first = next(iter(made.values()))
    floors = moa_floors.floors(first, HOW, rows, {name: _scaled(x, control) for name, x in pixels.items()})
    features = {c: moa_floors.features(moa_floors.tables(of)) for c, of in made.items()}
    mine = features[""] if "" in features else moa.LeftOut(features)
    return moa.card(moa_floors.tables(first), mine, floors, settings)


def _scaled(values: Values, control: NDArray[np.bool_]) -> Values:
    """Return values less the mean of the controls, over their deviation where it is not 0."""
    spread = pd.DataFrame(values[control]).std().to_numpy()
    found: Values = (values - values[control].mean(axis=0)) / np.where(spread > 0, spread, 1)
    return found
