"""One model on one data set: trained for its budget, then measured; and what needs no training, for comparison."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from morphospace import files, params, schema, seals
from morphospace.commands._cell_sets import Cells
from morphospace.commands._contenders import Contender
from morphospace.metrics import classification, floors, latent, representations, similarity, transfer
from morphospace.metrics.classification import EMBEDDING
from morphospace.models._base import Model
from morphospace.training import cells as labelled
from morphospace.training import data, embedding, fitting, recipe
from morphospace.training.allowance import Budget

PCA, PCA_VIEWS = "PCA", "PCA of 8 views"
SHOWN = 8  # cells in the gallery
BLOCK = 64  # tiles encoded at a time
RECORD, ARRAYS = "record.json", "arrays.npz"
_GALLERY, _PCA = 0, 1  # streams of random numbers
_KINDS = ("models", "training", "metrics")  # whose code decides a result
Arrays = dict[str, NDArray[Any]]


class Result(NamedTuple):
    """What was measured: plain numbers, and arrays: `mse` and `mae` of each test cell, `drawn` of the gallery."""

    record: dict[str, Any]
    arrays: Arrays


def kept(key: str, make: Callable[[Path], Result]) -> tuple[Result, bool]:
    """Return the result of a key, made only when it is not kept yet; and whether it was made now.

    `make` is given a folder for its work in progress, which is emptied when the result is kept.
    """
    folder, made = files.scratch("compare", key), []

    def write(aside: Path) -> None:
        found = make(folder / "work")
        files.write_json(aside / RECORD, found.record)
        np.savez(aside / ARRAYS, **found.arrays)  # type: ignore[arg-type]
        made.append(found)

    result = seals.kept(folder / "result", write, folder=True)
    if made:
        shutil.rmtree(folder / "work", ignore_errors=True)
    with np.load(result / ARRAYS) as arrays:
        return Result(files.read_json(result / RECORD), dict(arrays)), bool(made)


def key(cells: Cells, options: params.Params, budget: Budget) -> str:
    """Return what names the result of a model: data, parameters, budget and code."""
    identity = recipe.Recipe(**options.training()).identity(_KINDS)
    return files.fingerprint(cells.fingerprint, identity, list(budget), _scoring(options))


def floors_key(cells: Cells, options: params.Params) -> str:
    """Return what names the result of `references`."""
    return files.fingerprint(cells.fingerprint, options.seed, options.z_dim, _scoring(options), recipe.code(_KINDS))


def _scoring(options: params.Params) -> dict[str, Any]:
    return options.similarity.model_dump()


def trained(contender: Contender, cells: Cells, budget: Budget, folder: Path, fingerprint: str) -> Result:
    """Return what a model does on the test cells after a budget of training."""
    rows, form = cells.rows, cells.tiles.shape[1:3]
    given = recipe.Recipe(**contender.options.training())
    model, settings = given.untrained(*form), given.settings(*form, budget=budget)
    began = time.perf_counter()
    train, validation, test = (rows[split] for split in (schema.TRAIN, schema.VALIDATION, schema.TEST))
    labels = _labels(contender.options, model, cells)
    fitted = fitting.fit(model, cells.tiles, train, validation, settings, folder, fingerprint, labels=labels)
    model.load_state_dict(fitted.weights)
    model.to(embedding.device())
    means, _ = embedding.encode(model, cells.tiles, BLOCK)
    bottleneck = model.decodes and means.shape[1] <= contender.options.z_dim
    record = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "cpu_seconds": fitted.history[-1].extras["train_cpu_seconds"],
        "seconds": time.perf_counter() - began + fitted.earlier_seconds,
        "steps": int(fitted.history[-1].extras["train_steps"]),
        "epochs": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "images_per_second": fitted.images_per_second,
        "width": means.shape[1],
        "bottleneck": bottleneck,
        "reconstructs": model.reconstructs,
        "active_units": latent.score(means[test], None)["active_units"],
        "curve": [
            [row.extras["train_cpu_seconds"], row.extras["validation_mse"]]
            for row in fitted.history
            if "validation_mse" in row.extras and bottleneck and model.reconstructs
        ],
        "scores": _named(cells, {EMBEDDING: representations.fixed(means)}, contender.options),
    }
    if not model.reconstructs:
        return Result(record, {})
    return Result(record, _drawn(cells, lambda x: embedding.reconstruct(model, x, embedding.FEW), contender))


def references(cells: Cells, contender: Contender) -> Result:
    """Return what needs no model: PCA-k of the training cells and of eight views of each, and the pixels' floors.

    Its record has a part for each of the two, `scores` of all floors, and the `curve` of each is a point: PCA is
    validated once.
    """
    options, rows = contender.options, cells.rows
    record: dict[str, Any] = {}
    arrays: Arrays = {}
    train = np.asarray(cells.tiles[rows[schema.TRAIN]])
    for name, pictures in ((PCA, train), (PCA_VIEWS, _views(train))):
        rng = np.random.default_rng([options.seed, _PCA])
        some = np.arange(len(pictures))
        if len(some) > options.similarity.pca_cells:
            some = np.sort(rng.choice(some, options.similarity.pca_cells, replace=False))
        cpu, wall = time.process_time(), time.perf_counter()
        pca = floors.pca(pictures, some, options.z_dim, rng)
        record[name] = {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - wall, "k": pca.k}
        validation = similarity.evaluate(cells.tiles, rows[schema.VALIDATION], pca.reconstruct, name)
        record[name]["validation_mse"] = float(validation.mse[:, 0].mean()) if len(validation.mse) else None
        arrays |= {f"{name}/{part}": of for part, of in _drawn(cells, pca.reconstruct, contender).items()}
    some_floors = classification.pixel_floors(cells.tiles, options.z_dim, options.similarity.pca_cells, options.seed)
    record["scores"] = _named(cells, some_floors, options)
    arrays["originals"] = np.asarray(cells.tiles[gallery(cells, options.seed)])
    return Result(record, arrays)


def gallery(cells: Cells, seed: int) -> NDArray[np.intp]:
    """Return the test cells that are shown, drawn at random."""
    test = cells.rows[schema.TEST]
    return np.sort(np.random.default_rng([seed, _GALLERY]).choice(test, min(SHOWN, len(test)), replace=False))


def _views(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the eight flips and quarter turns of tiles (N, C, H, H), one after the other."""
    turned = [np.rot90(side, quarter, (2, 3)) for side in (tiles, tiles[..., ::-1]) for quarter in range(4)]
    return np.concatenate(turned)


def _drawn(cells: Cells, reconstruct: similarity.Reconstruct, contender: Contender) -> Arrays:
    """Return the errors of each test cell in the whole tile, means over channels, and the gallery as it is drawn."""
    errors = similarity.evaluate(cells.tiles, cells.rows[schema.TEST], reconstruct, contender.name, with_ssim=True)
    shown = reconstruct(np.asarray(cells.tiles[gallery(cells, contender.options.seed)]))
    return {
        "mae": errors.mae[:, 0].mean(axis=1),
        "mse": errors.mse[:, 0].mean(axis=1),
        "ssim": errors.ssim.mean(axis=1),
        "drawn": (shown.clip(0, 1) * 255).round().astype(np.uint8),
    }


def _named(
    cells: Cells, methods: dict[str, representations.Representation], options: params.Params
) -> list[dict[str, Any]]:
    """Return what classifiers make of representations, as plain numbers: value, low and high of each score."""
    rows, given = cells.rows, options.similarity
    found = transfer.score(
        cells.classes,
        cells.groups,
        rows[schema.TRAIN],
        rows[schema.TEST],
        methods,
        options.seed,
        given.bootstrap,
        given.confidence,
    )
    return [{**n._asdict(), "scores": {name: list(e[:3]) for name, e in n.scores.items()}} for n in found]


def _labels(options: params.Params, model: Model, cells: Cells) -> data.Labels | None:
    """Return what is known of the cells, where it is learnt from."""
    given = options.train
    if not (given.contrastive or model.pairs):
        return None
    labels = labelled.labels(cells.table, cells.splits, given.contrastive_across)
    if given.contrastive:
        labels.require_positives(cells.rows[schema.TRAIN])
    return labels
