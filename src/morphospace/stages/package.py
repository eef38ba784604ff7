"""Put the trained model into one folder with its card: what it is, of which data, how good, and what it is not for."""

import importlib.metadata
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from morphospace import files, params, records, registry
from morphospace.errors import InputError
from morphospace.reporting import card as drawing
from morphospace.reporting import page
from morphospace.training import embedding, loggers

NAME = "morphospace-vae"  # of the artefact in dvc.yaml
PICTURE, README = "reconstructions.png", "README.md"
TRAINING = ("epochs", "best_epoch", "kept", "parameters", "train_loss", "validation_loss")  # what equal runs share
COUNTS = ("cells", "kept", "too_large", "empty")
MORE_COUNTS = ("too_dark", "too_bright", "stride")  # where the mean drops tiles, and of chunks


def run(
    models: Annotated[Path, typer.Argument(help="Folder with the trained model.")],
    synthesis: Annotated[Path, typer.Argument(help="Metrics of synthesize: counts of cells, how they were scaled.")],
    split: Annotated[Path, typer.Argument(help="Certificate of the split: cells and groups.")],
    training: Annotated[Path, typer.Argument(help="Metrics of train.")],
    scores: Annotated[Path, typer.Argument(help="Metrics of similarity: S, its floors and the verdict.")],
    pictures: Annotated[Path, typer.Argument(help="Folder with the galleries of similarity.")],
    package: Annotated[Path, typer.Argument(help="Folder to write: the model, its card, a picture.")],
) -> None:
    """Put the trained model into one folder with its card, for use without the data.

    The weights are those of `train`, byte by byte. model.json has the facts for programs, README.md for people. Nothing
    in them depends on the time, the machine's speed or the commit: equal inputs give equal bytes. Scores and card are
    given to the MLflow run of the training, too.
    """
    options = params.load()
    embedding.load_model(models)  # refuses what could not be used
    known = embedding.read_card(models)
    found = {path.stem: records.read(path, options.data_set) for path in (synthesis, split, training, scores)}
    facts = _facts(options, known, *found.values())
    with files.replacing_folder(package) as aside:
        shutil.copyfile(models / embedding.WEIGHTS, aside / embedding.WEIGHTS)
        embedding.write_card(aside, known.model_copy(update={"provenance": facts}))
        shutil.copyfile(pictures / "random.png", aside / PICTURE)
        whole = drawing.card(embedding.read_card(aside).model_dump(), aside / PICTURE)
        (aside / README).write_text(page.to_markdown(whole, aside), encoding="utf-8")
    scores_found = {f"similarity/{name}": value for name, value in facts["similarity"].items()}
    loggers.attach(known.fingerprint, scores_found, [package / README, package / PICTURE, package / embedding.CARD])


def _facts(
    options: params.Params,
    known: embedding.Card,
    synthesis: dict[str, Any],
    split: dict[str, Any],
    training: dict[str, Any],
    scores: dict[str, Any],
) -> dict[str, Any]:
    """Return what the package knows beyond what rebuilds the model.

    Raises
    ------
    InputError
        When the crops were not those that the model was trained on.
    """
    there = [list(synthesis.get("channels") or []), synthesis.get("size")]
    if there != [known.channels, known.size]:
        raise InputError(
            f"the model knows tiles of {known.channels}, {known.size} px, the crops are {there}; `dvc repro`"
        )
    scaling = options.synthesize
    return {
        "name": NAME,
        "dataset": options.data_set,
        "licence": {"data": registry.load("datasets", options.dataset).LICENCE, "code": _licence()},
        "pixels": scaling.model_dump(include={"scaling", "low", "high", "brightness"}),
        "cells": {key: synthesis.get(key) for key in (*COUNTS, *(k for k in MORE_COUNTS if k in synthesis))},
        "split": {key: split.get(key) for key in ("by", "cells", "groups", "notes")},
        "training": {key: training[key] for key in TRAINING if key in training},
        "similarity": scores,
        "params": {
            "seed": options.seed,
            options.dataset: options.dataset_options,
            "segment": options.segment.model_dump(),
            "synthesize": scaling.model_dump(),
            "split": options.split.model_dump(),
            "train": options.train.model_dump(),
        },
    }


def _licence() -> str:
    """Return the licence that the installed code declares, or nothing."""
    said = importlib.metadata.metadata("morphospace")
    return next((said[key] for key in ("License-Expression", "License") if key in said), "")
