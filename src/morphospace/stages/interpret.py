"""Say which latents move with dose, mechanism of action, plate, cell size and intensity."""

import logging
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphospace import files, params, records, schema, tables
from morphospace.errors import InputError
from morphospace.imaging import crops, kept, packs
from morphospace.metrics import latent as metric
from morphospace.metrics import properties, representations
from morphospace.models._base import Model
from morphospace.reasons import explained
from morphospace.reporting import figures
from morphospace.reporting import latent as drawing
from morphospace.reporting import meaning as map_drawing
from morphospace.reporting.clock import clock
from morphospace.training import embedding, process
from morphospace.words import count

logger = logging.getLogger(__name__)

NUCLEUS_AREA = "Nuclei_AreaShape_Area"
_ENCODED = 5000  # cells for the KL of the latents, and to prove that the embedding is this model's
_AGREE = 0.05  # of the latents' standard deviation: what another machine may differ by
_MINIBATCH = 128
_TOP, _STEPS, _SPAN = 2, 7, 3.0  # latents of a property, tiles a walk, standard deviations
Floats = NDArray[np.floating[Any]]
COMPARED = ("z_dim", "active", "tests", "moving")  # by `dvc metrics diff`


def run(
    packs_folder: Annotated[Path, typer.Argument(metavar="CROPS", help="Folder with the packs of crops.")],
    crops_table: Annotated[Path, typer.Argument(help="Table of the crops.")],
    embeddings: Annotated[Path, typer.Argument(help="Table of the latent means of every kept cell.")],
    models: Annotated[Path, typer.Argument(help="Folder with the trained model.")],
    table: Annotated[Path, typer.Argument(help="Table to write: a row a latent and property.")],
    timings: Annotated[Path, typer.Argument(help="What the stage cost, to write.")],
    metrics: Annotated[Path, typer.Argument(help="How many latents move with what, to write.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    pictures: Annotated[Path, typer.Argument(help="Folder for the figures.")],
) -> None:
    """Say which latents move with dose, mechanism of action, plate, cell size and intensity.

    Dose, mechanism and plate are tested on the means of wells, size and intensity within wells; p-values of all tests
    are adjusted together. A model that learned from labels is judged by its test cells alone. Strips show the cell as
    the top latents of each property move; a model that does not draw has none.
    """
    options = params.load()
    process.keep_memory()
    with clock("interpret", timings, table) as tally:
        model, card = embedding.load_model(models)
        labelled = model.pairs or options.train.contrastive > 0
        cells = _cells(embeddings, crops_table, labelled)
        names = schema.latent_columns(cells)
        latents = cells[names].to_numpy(dtype=np.float32)
        size, channels = int(card["size"]), [str(name) for name in card["channels"]]
        tiles = packs.tiles(packs_folder, cells, len(channels), size, files.scratch("tiles", "decoded"))
        kl = _kl(model, tiles, latents, f"{embeddings} is not of the model in {models}", options.seed)
        found = properties.examine(cells, latents, _measured(cells, tiles, channels))
        long = properties.table(found, names, kl, metric.active(latents))
        tables.write_csv(long, table)
        drawn = {"latents": map_drawing.heat_map(long, options.interpret.fdr)}
        strips, said = _strips(model, long, latents, channels, options.interpret.fdr)
        drawn |= {"strips": strips} if strips else {}
        whole = _record(long, found, len(cells), options.interpret.fdr, labelled) | {"strips": said}
        records.write(metrics, record, options.data_set, whole, COMPARED)
        with files.replacing_folder(pictures) as aside:
            for name, figure in drawn.items():
                figures.save(figure, aside / f"{name}.png")
        logger.info("%s", whole["verdict"])
        tally.items, tally.unit = len(cells), "cells"
        tally.device = str(next(model.parameters()).device)


def _cells(embeddings: Path, crops_table: Path, labelled: bool) -> pd.DataFrame:
    """Return the embedding with the areas and the names of the crops, in the order of the embedding."""
    found = tables.read_parquet(embeddings, "embed")
    schema.check(found, [*schema.METADATA, schema.SPLIT], str(embeddings), schema.OBJECT_KEY)
    cut = kept.of(found, str(embeddings), crops_table)
    schema.check(cut, [crops.AREA], str(crops_table), schema.OBJECT_KEY)
    wanted = [c for c in (crops.AREA, NUCLEUS_AREA, schema.CROP_FILE) if c in cut]
    joined = pd.concat([found.reset_index(drop=True), cut[wanted]], axis="columns")
    values = joined[schema.latent_columns(joined)].to_numpy(dtype=np.float64)
    if wrong := int((~np.isfinite(values).all(axis=1)).sum()):
        raise InputError(
            f"{embeddings} has {count(wrong, 'cell')} with a latent that is not finite; run `dvc repro -f train`"
        )
    if not labelled:
        return joined
    chosen = joined[joined[schema.SPLIT] == schema.TEST].reset_index(drop=True)
    if not len(chosen):
        raise InputError(f"{embeddings} has no test cell, and a model that learned from labels is judged by no other")
    return chosen


def _kl(model: Model, tiles: NDArray[np.uint8], latents: Floats, wrong: str, seed: int) -> Floats | None:
    """Return the KL of each latent (z,), nats, over some cells; refuse an embedding that the model does not make."""
    rng = np.random.default_rng(seed)
    some = np.sort(rng.choice(len(tiles), min(_ENCODED, len(tiles)), replace=False))
    mean, logvar = embedding.encode(model, np.asarray(tiles[some]), _MINIBATCH)
    if mean.shape[1] != latents.shape[1]:
        raise InputError(f"{wrong}: it has {latents.shape[1]} latents, the model {mean.shape[1]}; run `dvc repro`")
    off, spread = np.sqrt(np.mean((mean - latents[some]) ** 2)), float(mean.std())
    if off > _AGREE * spread:
        raise InputError(f"{wrong}: its latents are off by {off:.3g}, of a spread of {spread:.3g}; run `dvc repro`")
    return None if logvar is None else metric.kl_per_dimension(mean, logvar)


def _measured(cells: pd.DataFrame, tiles: NDArray[np.uint8], channels: list[str]) -> dict[str, Floats]:
    """Return area, px, and mean intensity of the pixels that a tile shows, 0 to 1, of each cell by name."""
    found: dict[str, Floats] = {"cell area": cells[crops.AREA].to_numpy(dtype=np.float64)}
    if NUCLEUS_AREA in cells:
        found["nucleus area"] = cells[NUCLEUS_AREA].to_numpy(dtype=np.float64)
    means = representations.inside(tiles) / 255
    return found | {f"intensity of {name}": means[:, i] for i, name in enumerate(channels)}


def _record(
    long: pd.DataFrame, found: list[properties.Property], cells: int, fdr: float, labelled: bool
) -> dict[str, Any]:
    """Return the numbers of record: of each property how many latents move with it, and the one that does most."""
    significant = long[long["q"] <= fdr]
    each = long.drop_duplicates("latent")
    width, active, moving = len(each), int(each["active"].sum()), significant["latent"].nunique()
    record: dict[str, Any] = {
        "verdict": _verdict(moving, active, width, fdr),
        "cells": cells,
        "cells_of": "the test split" if labelled else "all splits",
        "wells": int(long["wells"].max()),
        "z_dim": width,
        "active": active,
        "tests": int(long.loc[long["active"], "p"].notna().sum()),
        "fdr": fdr,
        "moving": moving,
    }
    why: dict[str, str] = {}
    for prop in found:
        if _of_a_compound(prop.name):
            continue
        mine = properties.top(long, prop.name, fdr, 1)
        best, name, reason = mine.iloc[0] if len(mine) else None, prop.name.replace(" ", "_"), prop.tested.reason
        record[name] = {
            "latents": None if reason else int((significant["property"] == prop.name).sum()),
            "wells": prop.tested.wells,
            "top": "none" if best is None else best["latent"],
            "top_effect": None if best is None else float(best["effect"]),
            "measure": prop.measure,
            "chance": prop.tested.chance,
        }
        why |= {f"{name}.{key}": reason for key in ("latents", "chance")}
        why[f"{name}.top_effect"] = reason or "no active latent moves with it"
    return explained(record, why)


def _verdict(moving: int, active: int, width: int, fdr: float) -> str:
    """Return how many of the latents that are in use move; the others count neither here nor there."""
    if not active:
        return f"none of {count(width, 'latent')} is active, so that none can move with anything"
    rest = f"; {width - active} of {width} are not active" if active < width else ""
    of = count(active, "active latent")
    moves = "moves" if moving == 1 else "move"
    return f"{moving} of {of} {moves} with something that is known of the cells (q ≤ {fdr:g}){rest}"


def _of_a_compound(name: str) -> bool:
    return name.startswith(f"{properties.DOSE} of ")


def _strips(
    model: Model, long: pd.DataFrame, latents: Floats, channels: list[str], fdr: float
) -> tuple[Figure | None, int | str]:
    """Return one figure of walks along the top latents of each property, and how many there are, or why none."""
    if not model.decodes:
        return None, "none: the model does not draw"
    names = long["latent"].drop_duplicates().tolist()
    rows: list[Floats] = []
    labels: list[str] = []
    for name in (str(name) for name in long["property"].drop_duplicates() if not _of_a_compound(str(name))):
        for _, row in properties.top(long, name, fdr, _TOP).iterrows():
            rows.append(embedding.walk(model, latents, names.index(row["latent"]), _SPAN, _STEPS))
            sign, symbol = "+" if row["measure"] == "rho" else "", map_drawing.SYMBOLS[row["measure"]]
            labels.append(f"{name}\n{map_drawing.short(row['latent'])}, {symbol} {row['effect']:{sign}.2f}")
    if not rows:
        return None, "none: no latent moves with anything"
    title = f"From the average cell along the latents that move most with each property (q ≤ {fdr:g})"
    if len(channels) not in (1, 3):  # three are red, green and blue
        title += f"; panels: {', '.join(channels)}"
    return drawing.strips(rows, labels, _SPAN, title), len(rows)
