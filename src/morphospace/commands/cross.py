"""The command ``cross``: a model a class, and what each makes of the held-out cells of every class (001-11, 001-12)."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
import typer
from rich.console import Console
from rich.progress import Progress

from morphospace import files, params, places, registry, schema, splitting, tables
from morphospace.commands import _cells, _cross
from morphospace.errors import InputError, SchemaError
from morphospace.imaging import packs
from morphospace.metrics import cross, held_out
from morphospace.metrics.cross import Cross
from morphospace.metrics.held_out import Plan
from morphospace.reporting import cross as drawing
from morphospace.reporting import figures
from morphospace.training import process
from morphospace.words import count

RECORD = "cross.json"
Level = Literal["site", "well", "plate", "compound", "batch"]
logger = logging.getLogger(__name__)


def run(
    crops: Annotated[Path, typer.Argument(help="Folder with the packs of crops, as data/crops.")],
    crops_table: Annotated[Path, typer.Argument(help="Table of the crops, as data/crops.parquet.")],
    by: Annotated[str, typer.Option(help="Column with the class of each cell.")] = schema.MOA,
    only: Annotated[list[str] | None, typer.Option(help="Class to compare; again for another. Default: all.")] = None,
    group: Annotated[Level, typer.Option(help="No such group is both trained on and held out.")] = "well",
    splits: Annotated[
        Path | None, typer.Option(help="Split to use, as data/splits.csv: train and test. Default: divide anew.")
    ] = None,
    share: Annotated[
        float, typer.Option("--held-out", min=0.01, max=0.9, help="Of each class's groups, where divided anew.")
    ] = 0.25,
    model: Annotated[str, typer.Option(help="Any model that reconstructs.")] = "autoencoder",
    z_dim: Annotated[int | None, typer.Option(help="Latent size. Default: that of params.yaml.")] = None,
    epochs: Annotated[int, typer.Option(help="Of each model.")] = 20,
    size: Annotated[int, typer.Option(min=0, help="Side of the middle of the tile to use, px; 0: all of it.")] = 0,
    min_cells: Annotated[int, typer.Option(min=2, help="Training cells that a class needs.")] = 30,
    output: Annotated[Path, places.FOLDER, typer.Option("--output", "-o", help="Folder to write.")] = Path(
        "reports/cross"
    ),
) -> None:
    """Train one model a class, and score each on held-out cells of every class.

    All models see equally many cells, begin with the same weights and train equally long, otherwise as params.yaml
    says; validation cells are not used. Whether the lowest error names the class stands beside its floors: always the
    most frequent class, and chance. A class with one group or too few cells is left out, and named. After a kill the
    same command goes on.

    Example: morphospace cross data/crops data/crops.parquet --splits data/splits.csv --by Metadata_MoA
    """
    options = params.load(changes=_changes(model, z_dim, epochs))
    table = _read(crops_table, by, only or [])
    plan = _plan(table, by, group, splits, share, min_cells, options.seed)
    channels, side = _cells.shape(crops, table)
    size = _cross.require_size(size, side)
    _cross.build(options, channels, size)  # refused now rather than after the tiles are decoded
    torch.set_num_threads(options.train.threads)
    process.keep_memory()
    rows = np.unique(np.concatenate([*plan.train, plan.task.rows]))
    tiles = packs.tiles(crops, table.iloc[rows], channels, side, files.scratch("tiles", "decoded"))
    train = tuple(np.searchsorted(rows, of_class) for of_class in plan.train)
    held = np.searchsorted(rows, plan.task.rows)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        errors, folders = _cross.errors(options, tiles, train, held, size, plan.task.classes, progress)
    settings = options.similarity
    found = cross.cross(errors, plan.task, settings.bootstrap, settings.confidence, options.seed)
    record = {"crops_table": str(crops_table), "by": by, "group": group, "splits": str(splits or "")}
    record |= _record(options, plan, size, _cross.beyond(tiles, held, size))
    said = drawing.text({**record, **cross.summary(found)})
    _write(output, found, record, said, table.iloc[plan.task.rows], errors)
    _cross.finish(options, folders)
    typer.echo(said)
    typer.echo(f"all of it: {output}")


def _changes(model: str, z_dim: int | None, epochs: int) -> dict[str, Any]:
    changed = {"model": model, "train.epochs": epochs}
    return changed if z_dim is None else {**changed, "z_dim": z_dim}


def _record(options: params.Params, plan: Plan, size: int, cut: int) -> dict[str, Any]:
    return {
        "model": options.model,
        "z_dim": options.z_dim,
        "epochs": options.train.epochs,
        "size": size,
        "seed": options.seed,
        "confidence": options.similarity.confidence,
        "trained_on": len(plan.train[0]),
        "available": dict(zip(plan.task.classes, plan.available, strict=True)),
        "cut_cells": cut,
    }


def _read(path: Path, by: str, only: Sequence[str]) -> pd.DataFrame:
    """Return the kept crops, of some classes where they are named."""
    table = tables.read_parquet(path, "synthesize")
    schema.check(table, [*schema.METADATA, schema.CROP_FILE, schema.CROP_STATUS], str(path), schema.OBJECT_KEY)
    if by not in table.columns:
        raise SchemaError(f"{path} lacks {by}{registry.nearest(by, list(map(str, table.columns)))}")
    table = table[table[schema.CROP_STATUS] == schema.KEPT].sort_values(schema.OBJECT_KEY, ignore_index=True)
    names = table[by].astype("string")
    known = sorted(set(names.dropna()))
    if unknown := [c for c in only if c not in known]:
        raise InputError(f"--only: {by} has no {unknown[0]!r}{registry.nearest(unknown[0], known)}")
    table = table[names.isin(only)].reset_index(drop=True) if only else table
    if table.empty:
        raise InputError(f"{path} has no kept crop; see reports/records/synthesize.json")
    return table


def _plan(
    table: pd.DataFrame, by: str, group: Level, splits: Path | None, share: float, min_cells: int, seed: int
) -> Plan:
    """Return which cells train and which are held out."""
    labels = [str(x).strip() if isinstance(x, str) else "" for x in _cells.labels(table, by)]
    groups = list(splitting.groups(table, group))
    if splits is None:
        sides = held_out.divide(labels, groups, share, seed)
    else:
        key = schema.IMAGE_SET_KEY
        joined = table[key].merge(splitting.read(splits)[[*key, schema.SPLIT]], on=key, how="left")
        if lost := int(joined[schema.SPLIT].isna().sum()):
            raise InputError(f"{splits} has no row for {count(lost, 'crop')}; run `dvc repro -f split`")
        sides = list(joined[schema.SPLIT])
    found = held_out.plan(labels, groups, sides, min_cells, seed)
    for x in found.task.left:
        logger.warning("left out: %s cells of %s: %s", f"{x.cells:,}", x.label or "no class", x.reason)
    return found


def _write(output: Path, found: Cross, record: dict[str, Any], said: str, held: pd.DataFrame, errors: Any) -> None:
    """Write the table, the numbers, the figure, the text, and the errors of each held-out cell."""
    classes = found.task.classes
    with files.replacing_folder(output, listed=True) as folder:
        table = cross.table(found, record["trained_on"])
        tables.write_csv(table, folder / "cross.csv")
        files.write_json(folder / RECORD, {**record, **cross.summary(found)})
        (folder / "cross.txt").write_text(said + "\n", encoding="utf-8")
        each = held[schema.OBJECT_KEY].reset_index(drop=True)
        each["class"] = [classes[c] for c in found.task.labels]
        each["lowest"] = [classes[c] for c in found.predicted]
        each = each.join(pd.DataFrame(errors, columns=[f"mse_{c}" for c in classes]))
        tables.write_csv(each, folder / "cells.csv")
        figures.save(drawing.heatmaps(table, drawing.title({**record, **cross.summary(found)})), folder / "cross.png")
