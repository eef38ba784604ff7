"""Train the model named in params.yaml (000-20 to 000-34)."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray
from safetensors.torch import load_file

from morphospace import files, params, records, schema, speeds, spending, splitting, tables
from morphospace.imaging import packs
from morphospace.models._base import Model
from morphospace.reporting import figures
from morphospace.reporting import training as drawing
from morphospace.reporting.clock import clock
from morphospace.stages import _watcher
from morphospace.stages._watcher import Watcher
from morphospace.training import cells, data, embedding, fitting, loggers, process, progress, tracking
from morphospace.training.recipe import Recipe

EPOCHS = "epochs"  # folder of the models of chosen epochs, in that of the model
logger = logging.getLogger(__name__)
Rows = NDArray[np.intp]
COMPARED = (
    "epochs",
    "best_epoch",
    "train_loss",
    "train_mse",
    "validation_loss",
    "validation_mse",
    "validation_kl",
    "parameters",
)  # by `dvc metrics diff`


def run(
    crops: Annotated[Path, typer.Argument(help="Folder with the packs of crops.")],
    crops_table: Annotated[Path, typer.Argument(help="Table of the crops.")],
    splits: Annotated[Path, typer.Argument(help="Table of the split; test cells are not looked at.")],
    synthesis: Annotated[Path, typer.Argument(help="Metrics of synthesize: the names of the channels, the size.")],
    models: Annotated[Path, typer.Argument(help="Folder to write: weights, and the arguments that rebuild the model.")],
    timings: Annotated[Path, typer.Argument(help="What the stage cost, to write.")],
    metrics: Annotated[Path, typer.Argument(help="Losses of the kept epoch, to write.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    curves: Annotated[Path, typer.Argument(help="Folder for the curves: history.csv, and DVCLive's files.")],
    pictures: Annotated[Path, typer.Argument(help="Folder for the figures.")],
) -> None:
    """Train the model named in params.yaml.

    After each epoch a checkpoint goes to the scratch folder (MORPHOSPACE_SCRATCH), under a name that depends on the
    parameters, the data and the code, but not on how many epochs there are to be: after a kill the same command goes on
    from there, and so does one with more epochs or more patience. The weights of the lowest validation loss are kept;
    without a validation split, the last ones; with train.keep_every also those of chosen epochs.
    """
    options = params.load()
    torch.set_num_threads(options.train.threads)
    process.keep_memory()
    meter = spending.Meter()
    with clock("train", timings, models) as tally, ExitStack() as held:
        table, names, size = cells.read(crops_table, splits), *cells.form(synthesis)
        train, validation = (np.flatnonzero(table[schema.SPLIT] == s) for s in (schema.TRAIN, schema.VALIDATION))
        recipe = Recipe(**options.training())
        model = recipe.untrained(len(names), size)
        logger.info("%s of %s parameters, for %s crops", options.model, f"{_parameters(model):,}", f"{len(train):,}")
        labels = _labels(options, model, table, splits, train, validation)
        tiles = packs.tiles(crops, table, len(names), size, files.scratch("tiles", "decoded"))
        cells_hash = files.fingerprint(crops, crops_table, splits)
        key, path = _key(recipe, cells_hash), files.fingerprint(recipe.trajectory(), cells_hash)
        locks = files.scratch("train", "locks")
        held.enter_context(files.alone(locks / path))  # two that train the same take turns
        scratch = files.scratch("train", path)
        given = recipe.settings(len(names), size)
        progress.begin(scratch, path, given.extent)
        done = progress.trained(scratch, path, given.extent)
        meter.admit(_expected(options, len(train), len(validation), len(names), size, done))
        r = given.objective.r_loss_factor
        tags = tracking.tags(cells_hash)
        name = tags.get("dvc_exp_name") or f"{options.model} z{options.z_dim}"
        with files.explained(curves), loggers.Trackers(curves, name, _plain(options, r), tags, key) as trackers:
            chosen = _chosen(validation if len(validation) else train, options)
            with Watcher(trackers, tiles[chosen], scratch, options.train.epochs, meter) as watcher:
                fitted = fitting.fit(model, tiles, train, validation, given, scratch, path, watcher, labels)
            history = pd.DataFrame([{"epoch": row.epoch, **row.numbers()} for row in fitted.history])
            _draw(pictures, model, tiles[chosen], history, fitted, scratch)
            for drawn in sorted(pictures.iterdir()):
                trackers.picture(drawn)
        latents = embedding.width(model, len(names), size)
        _write_model(models, options, names, size, latents, r, fitted, key, cells_hash)
        tables.write_csv(history, curves / "history.csv")
        counted = {"classes": len(labels.names)} if labels is not None and model.pairs else {}
        found = _metrics(fitted, model, r, len(train), len(validation)) | counted
        records.write(metrics, record, options.data_set, found, COMPARED)
        tally.items, tally.unit = model.copies(len(train)) * len(history), "cells x epochs"
        tally.device, tally.earlier_seconds = fitted.device, fitted.earlier_seconds
        progress.finish(scratch, given.extent)
    progress.prune(scratch.parent, locks)


def _key(recipe: Recipe, cells_hash: str) -> str:
    """Return what names the result."""
    return files.fingerprint(recipe.identity(), cells_hash)


def _expected(options: params.Params, train: int, validation: int, channels: int, size: int, done: int) -> float | None:
    """Return the seconds that the epochs after `done` should take, or None when this shape was never measured here."""
    epochs = options.train.epochs - done
    shape = speeds.Shape(
        model=options.model,
        options=options.model_options,
        z_dim=options.z_dim,
        minibatch=options.train.minibatch,
        size=size,
        channels=channels,
        threads=options.train.threads,
    )
    return speeds.expected(shape, epochs, train, validation)


def _labels(
    options: params.Params, model: Model, table: pd.DataFrame, splits: Path, train: Rows, validation: Rows
) -> data.Labels | None:
    """Return what is known of the cells, where it is learnt from; refuse what cannot be, before any tile is read."""
    given = options.train
    if not (given.contrastive or model.pairs):
        return None
    labels = cells.labels(table, splitting.read(splits), given.contrastive_across)
    if given.contrastive:
        labels.require_positives(train)
    data.loaders(train, validation, given.minibatch, options.seed, labels=labels, pairs=model.pairs)
    return labels


def _chosen(rows: Rows, options: params.Params) -> Rows:
    """Return the rows of the cells that are drawn after each epoch."""
    rng = np.random.default_rng([options.seed, 1])
    return np.sort(rng.choice(rows, min(options.train.pictures, len(rows)), replace=False))


def _plain(options: params.Params, r: float) -> dict[str, Any]:
    """Return what the trackers are told of the parameters."""
    plain = {"model": options.model, "z_dim": options.z_dim, "seed": options.seed, "r_loss_factor_resolved": r}
    plain |= {f"train.{k}": v for k, v in options.train.model_dump().items()}
    return plain | {f"{options.model}.{k}": v for k, v in options.model_options.items()}


def _draw(
    pictures: Path,
    model: Model,
    tiles: NDArray[np.uint8],
    history: pd.DataFrame,
    fitted: fitting.Fitted,
    scratch: Path,
) -> None:
    """Draw the curves and the fixed cells; the model has the kept weights after."""
    model.load_state_dict(fitted.weights)
    with files.replacing_folder(pictures) as aside:
        figures.save(drawing.curves(history, fitted.best_epoch), aside / "curves.png")
        if model.reconstructs:
            figures.save(_watcher.epochs(tiles, scratch, fitted), aside / "epochs.png")
        if (masked := embedding.masked(model, tiles)) is not None:
            figures.save(drawing.masked(tiles, *masked), aside / "masked.png")


def _write_model(
    models: Path,
    options: params.Params,
    names: Sequence[str],
    size: int,
    latents: int,
    r: float,
    fitted: fitting.Fitted,
    key: str,
    cells_hash: str,
) -> None:
    card = embedding.Card(
        model=options.model,
        channels=list(names),
        size=size,
        z_dim=latents,
        channel_mode=options.train.channel_mode,
        options=options.model_options,
        r_loss_factor=r,
        best_epoch=fitted.best_epoch,
        epochs=len(fitted.history),
        fingerprint=key,
        data=cells_hash,
    )
    with files.replacing_folder(models) as aside:
        embedding.save_model(aside, fitted.weights, card)
        for epoch, path in fitted.kept.items():
            named = {"best_epoch": epoch, "fingerprint": files.fingerprint(key, epoch)}
            (folder := aside / EPOCHS / f"{epoch:06d}").mkdir(parents=True)
            embedding.save_model(folder, load_file(path), card.model_copy(update=named))


def _metrics(fitted: fitting.Fitted, model: Model, r: float, train: int, validation: int) -> dict[str, Any]:
    """Return the numbers of the kept epoch; the losses are those of the history."""
    kept = fitted.history[fitted.best_epoch - 1]
    losses = {k: v for k, v in kept.numbers().items() if k.startswith((schema.TRAIN, schema.VALIDATION))}
    return {
        "epochs": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "stopped_early": fitted.stopped_early,
        "kept": "lowest validation loss" if validation else "last epoch: there is no validation split",
        **losses,
        "r_loss_factor": r,
        "parameters": _parameters(model),
        "train_cells": train,
        "validation_cells": validation,
        "images_per_second": fitted.images_per_second,
    }


def _parameters(model: Model) -> int:
    return sum(p.numel() for p in model.parameters())
