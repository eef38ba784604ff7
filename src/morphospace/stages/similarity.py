"""Score the reconstructions of cells that the model never saw, beside what knows nothing (000-35, 000-36, 000-38)."""

import copy
import logging
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from morphospace import files, params, records, schema, splitting, tables
from morphospace.errors import InputError, LeakError
from morphospace.imaging import packs
from morphospace.metrics import bootstrap, floors, scores
from morphospace.metrics import similarity as metric
from morphospace.models._base import Model
from morphospace.reporting import figures
from morphospace.reporting import similarity as drawing
from morphospace.reporting.clock import clock
from morphospace.training import cells, embedding, process
from morphospace.words import count

logger = logging.getLogger(__name__)

SPLITS = (schema.TEST, schema.VALIDATION, schema.TRAIN)
PROVED = ("groups", "cells", "levels")  # of the certificate
SHOWN = 10  # cells in a gallery
Rows = NDArray[np.intp]
COMPARED = [f"{name}{end}" for name in ("S", "skill_mae", "skill_pca") for end in ("", "_low", "_high")]
COMPARED += [
    "reconstructs",
    "S_legacy",
    "S_train",
    "S_validation",
    "S_black",
    "S_constant",
    "S_mean",
    "S_median",
    "S_pca",
]
COMPARED += [f"skill_pca_encoder{end}" for end in ("", "_low", "_high")]
COMPARED += ["mse", "mse_pca", "ssim", "ssim_pca", "pca_k", "n_cells_test", "n_groups_test"]  # by `dvc metrics diff`


def run(
    crops: Annotated[Path, typer.Argument(help="Folder with the packs of crops.")],
    crops_table: Annotated[Path, typer.Argument(help="Table of the crops.")],
    splits: Annotated[Path, typer.Argument(help="Table of the split.")],
    certificate: Annotated[Path, typer.Argument(help="Certificate of the split, proved again here.")],
    models: Annotated[Path, typer.Argument(help="Folder with the trained model.")],
    table: Annotated[Path, typer.Argument(help="Table to write: every score with its interval.")],
    timings: Annotated[Path, typer.Argument(help="What the stage cost, to write.")],
    metrics: Annotated[Path, typer.Argument(help="The scores of record, to write.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    pictures: Annotated[Path, typer.Argument(help="Folder for the figures.")],
) -> None:
    """Score the reconstructions, beside their floors, with intervals.

    The similarity S is 1 minus the mean absolute error of images in [0, 1]. It is given for train, validation and test
    cells apart, and on test cells beside black, constant, mean and median pictures and PCA with z_dim components,
    all fitted on training cells. Intervals resample wells. S legacy is the thesis's, for comparison only, with what
    each of its steps costs. A model that draws nothing has no S; its floors are scored all the same.
    """
    options = params.load()
    process.keep_memory()
    with clock("similarity", timings, table) as tally:
        kept = _cells(crops_table, splits, certificate)
        model, card = embedding.load_model(models)
        names = [str(name) for name in card["channels"]]
        tiles = packs.tiles(crops, kept, len(names), int(card["size"]), files.scratch("tiles", "decoded"))
        rows = {split: np.flatnonzero(kept[schema.SPLIT] == split) for split in SPLITS}

        def reconstruct(originals: metric.Bytes) -> metric.Floats:
            return embedding.reconstruct(model, originals, embedding.FEW)

        pictured, pca = _fit(tiles, rows[schema.TRAIN], int(card["z_dim"]), options)
        methods: dict[str, metric.Reconstruct] = {scores.MODEL: reconstruct} if model.reconstructs else {}
        if model.refinements:
            methods[scores.ENCODER] = partial(embedding.reconstruct, _unrefined(model), minibatch=embedding.FEW)
        methods |= {scores.PERFECT: _as_float}
        methods |= {name: _always(picture) for name, picture in pictured.items()} | {floors.PCA: pca.reconstruct}
        found, test = _score(tiles, kept, rows, methods, model, names, options, f"{models} ({card['model']})")
        tables.write_csv(found, table)
        whole = scores.summary(found, str(card["model"]), pca.k, pca.cells)
        records.write(metrics, record, options.data_set, whole, COMPARED)
        drawers = {name: methods[name] for name in (scores.MODEL, scores.ENCODER, floors.PCA) if name in methods}
        galleries = _galleries(tiles, rows[schema.TEST], test, drawers, str(card["model"]), pca.k, names, options.seed)
        with files.replacing_folder(pictures) as folder:
            figures.save(drawing.floors(found, str(card["model"]), pca.k), folder / "bars.png")
            figures.save(drawing.per_channel(found, names, str(card["model"]), pca.k), folder / "per_channel.png")
            for name, figure in galleries.items():
                figures.save(figure, folder / f"{name}.png")
        logger.info("%s", whole["verdict"])
        tally.items, tally.unit = len(kept), "cells"
        tally.device = str(next(model.parameters()).device)


def _cells(crops_table: Path, splits: Path, certificate: Path) -> pd.DataFrame:
    """Return the kept crops with the split of their image set, the certificate proved again (001-03).

    A leak would make every score meaningless: the test cells would be cells like those the model was trained on.
    """
    table = cells.read(crops_table, splits)
    claimed = files.read_json(certificate)
    if claimed.get("by") not in splitting.LEVELS:
        raise InputError(f"{certificate} does not say what was kept apart; run `dvc repro -f split`")
    proved = splitting.verify(splitting.read(splits), table.drop(columns=schema.SPLIT), claimed["by"])
    if differing := [key for key in PROVED if claimed.get(key) != proved[key]]:
        raise LeakError(f"{certificate} is not of {splits}: {', '.join(differing)} differ; run `dvc repro -f split`")
    return table


def _fit(
    tiles: metric.Bytes, train: Rows, k: int, options: params.Params
) -> tuple[dict[str, metric.Floats], floors.Components]:
    """Return the trivial pictures of all training cells, and the PCA of at most `pca_cells` of them."""
    rng = np.random.default_rng([options.seed, 0])
    some = train
    if len(train) > options.similarity.pca_cells:
        some = np.sort(rng.choice(train, options.similarity.pca_cells, replace=False))
    return floors.trivial(tiles, train), floors.pca(tiles, some, k, rng)


def _unrefined(model: Model) -> Model:
    """Return a model of the same weights whose latent points are those of its encoder."""
    alone = copy.copy(model)
    alone.refinements = 0
    return alone


def _as_float(originals: metric.Bytes) -> metric.Floats:
    return originals.astype(np.float32) / np.float32(255)


def _always(picture: metric.Floats) -> metric.Reconstruct:
    """Return the predictor that draws the same picture for every cell."""
    return lambda originals: np.broadcast_to(picture, originals.shape)


def _score(
    tiles: metric.Bytes,
    kept: pd.DataFrame,
    rows: dict[str, Rows],
    methods: dict[str, metric.Reconstruct],
    model: Model,
    channels: list[str],
    options: params.Params,
    name: str,
) -> tuple[pd.DataFrame, dict[str, metric.Errors]]:
    """Return the long table, and the errors on test cells: all methods on test, the model alone on the others."""
    wells = splitting.groups(kept, "well").to_numpy()
    steps = [(s, m) for s in SPLITS if len(rows[s]) for m in methods if s == schema.TEST or m == scores.MODEL]
    errors: dict[str, dict[str, metric.Errors]] = {}
    legacy: dict[str, dict[str, NDArray[np.float64]]] = {}
    console = Console(stderr=True)
    shown = track(steps, "similarity", console=console, transient=True, disable=not console.is_terminal)
    for split, method in shown:
        label = name if method == scores.MODEL else method
        detailed = method in (scores.MODEL, floors.PCA)
        found = metric.evaluate(tiles, rows[split], methods[method], label, with_ssim=detailed)
        errors.setdefault(split, {})[method] = found
        if method == scores.MODEL:
            legacy[split] = _legacy(tiles, rows[split], found, model, split, options.seed)
    parts = []
    for i, split in enumerate(SPLITS):
        if split in errors:
            rng = np.random.default_rng([options.seed, 1, i])
            drawn = bootstrap.resample(
                wells[rows[split]], options.similarity.bootstrap, options.similarity.confidence, rng
            )
            parts.append(scores.table(split, channels, errors[split], drawn, legacy.get(split)))
    return pd.concat(parts, ignore_index=True), errors[schema.TEST]


def _legacy(
    tiles: metric.Bytes, rows: Rows, found: metric.Errors, model: Model, split: str, seed: int
) -> dict[str, NDArray[np.float64]]:
    """Return the distances of the thesis by metric: all of its steps, and, on test cells, without some of them.

    The draws of the latents are the same for all, so that what a step costs is not the luck of a draw.
    """
    distances = {"S_stretched": found.legacy}
    for name, (sampled, factor) in metric.LEGACY.items():
        if name == "S_legacy" or (split == schema.TEST and name not in distances):
            rng = np.random.default_rng([seed, 3, SPLITS.index(split)]) if sampled else None

            def predict(x: metric.Bytes, f: float = factor, r: np.random.Generator | None = rng) -> metric.Floats:
                return embedding.predict(model, x, embedding.FEW, f, r)

            distances[name] = metric.legacy(tiles, rows, predict)
    return {name: distances[name] for name in metric.LEGACY if name in distances}


def _galleries(
    tiles: metric.Bytes,
    test: Rows,
    errors: dict[str, metric.Errors],
    drawers: dict[str, metric.Reconstruct],
    model: str,
    k: int,
    names: list[str],
    seed: int,
) -> dict[str, Any]:
    """Return the pictures of random test cells, and of the best and worst by S when the model draws (000-38)."""
    s = {method: 1 - errors[method].mae[:, 0].mean(axis=1) for method in drawers}
    refined = f"{model},\nrefined" if scores.ENCODER in drawers else model
    labels = {scores.MODEL: refined, scores.ENCODER: "encoder\nalone", floors.PCA: f"PCA-{k}"}
    some = np.random.default_rng([seed, 2]).permutation(len(test))
    of = f"of {count(len(test), 'test cell')}"
    chosen = {"random": (some[:SHOWN], f"Drawn at random {of}")}
    if scores.MODEL in s:
        order = np.argsort(s[scores.MODEL], kind="stable")
        chosen["best"] = order[::-1][:SHOWN], f"Best by S {of}"
        chosen["worst"] = order[:SHOWN], f"Worst by S {of}"
    figures_ = {}
    for name, (which, title) in chosen.items():
        originals = np.asarray(tiles[test[which]])
        captions = {method: [f"S {value:.3f}" for value in values[which]] for method, values in s.items()}
        drawn = [drawing.Row("original", originals)]
        drawn += [drawing.Row(labels[m], draw(originals), captions[m]) for m, draw in drawers.items()]
        figures_[name] = drawing.gallery(drawn, title, names=names)
    return figures_
