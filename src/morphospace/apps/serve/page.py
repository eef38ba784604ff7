"""What the page shows, from the tables and the model of a run: the source that the server asks."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from morphospace import files, schema, tables
from morphospace.apps.serve import maps, near
from morphospace.apps.serve.source import Answer, Hit, Level, Name, Slider, Wanted
from morphospace.errors import InputError
from morphospace.imaging import inputs, kept, packs
from morphospace.metrics import latent as measure
from morphospace.search import of_run
from morphospace.training import embedding
from morphospace.words import count

_MINIBATCH = 64
_CHECKED = 256  # cells that are encoded again: to see that the table is of this model, and for the KL
_APART = 0.05  # of a standard deviation: what another processor changes is far below it
_SLIDERS = 10
Floats = NDArray[np.float32]


class Paths(NamedTuple):
    """The files of a run."""

    embeddings: Path
    crops: Path
    crops_table: Path
    model: Path
    database: str | None = None


class Page:
    """Maps, pictures, neighbours and walks of one run; safe to be asked by several threads."""

    def __init__(self, paths: Paths, console: Console) -> None:
        self._model, self._card = embedding.load_model(paths.model)
        table, files_of_cells = read(paths)
        self._latent = table[schema.latent_columns(table)].to_numpy(np.float32)
        size, channels = self._card["size"], len(self._card["channels"])
        with console.status("opening the crops …"):
            self._tiles = packs.tiles(paths.crops, files_of_cells, channels, size, files.scratch("tiles", "decoded"))
        self._one_at_a_time = threading.Lock()  # the model
        self.sliders = self._dimensions(paths)
        self.levels: Mapping[Name, Level] = maps.levels(table, console)
        found = of_run.opened(paths.embeddings, paths.crops, paths.crops_table, paths.database)
        self._near = near.Near(found, self.levels)
        self.facts = self._facts(table)
        self.reconstructs = self._model.reconstructs

    def crop(self, cell: int) -> bytes:
        """Return the crop of a cell as a PNG."""
        return shown(self._tiles[cell])

    def reconstruction(self, cell: int) -> bytes:
        """Return the crop of a cell as the model draws it, as a PNG."""
        return shown(self._drawn(self._tiles[cell]))

    def similar(self, item: int, wanted: Wanted) -> Sequence[Hit]:
        """Return the neighbours of an item."""
        return self._near.of_item(item, wanted)

    def search(self, content: bytes, wanted: Wanted) -> Answer:
        """Return what is found for a picture from anyone."""
        try:
            tile = inputs.picture(content, self._card["channels"], self._card["size"])
        except InputError as error:
            raise InputError(f"the file {error}") from None
        with self._one_at_a_time:
            mean, _ = embedding.encode(self._model, tile[None], 1)
        drawn = shown(self._drawn(tile)) if self.reconstructs else None
        hits = self._near.of_vector(mean[0], wanted)
        return Answer(shown(tile), drawn, hits, self._near.remarks(mean[0], wanted))

    def walk(self, start: int | None, moves: Mapping[int, float]) -> bytes:
        """Return the picture at a place of the latent space."""
        z = self._latent.mean(axis=0) if start is None else self._latent[start].copy()
        for slider in self.sliders:
            z[slider.dimension] += moves.get(slider.dimension, 0.0) * slider.deviation
        with self._one_at_a_time:
            return shown(embedding.decode(self._model, z[None])[0])

    def _drawn(self, tile: NDArray[np.uint8]) -> Floats:
        with self._one_at_a_time:
            drawn: Floats = embedding.reconstruct(self._model, np.asarray(tile)[None], 1)[0]
        return drawn

    def _dimensions(self, paths: Paths) -> list[Slider]:
        """Check that the table is of this model, and return the dimensions that carry most."""
        some = np.linspace(0, len(self._latent) - 1, min(_CHECKED, len(self._latent))).astype(int)
        mean, logvar = embedding.encode(self._model, self._tiles[some], _MINIBATCH)
        refuse_another(mean, self._latent[some], paths)
        if not self._model.decodes:
            return []
        centre, spread = self._latent.mean(axis=0), self._latent.std(axis=0)
        amount = spread**2 if logvar is None else measure.kl_per_dimension(mean, logvar)
        by = "variance" if logvar is None else "KL"
        top = np.argsort(amount, kind="stable")[::-1][:_SLIDERS]
        return [Slider(int(k), float(centre[k]), float(spread[k]), float(amount[k]), by) for k in top]

    def _facts(self, table: pd.DataFrame) -> dict[str, Any]:
        return {
            "cells": len(table),
            "plates": int(table[schema.PLATE].nunique()),
            "wells": int(table.groupby([schema.PLATE, schema.WELL]).ngroups),
            "model": self._card["model"],
            "z_dim": self._latent.shape[1],
            "channels": self._card["channels"],
            "size": self._card["size"],
            "key": files.fingerprint(self._card["fingerprint"], float(self._latent.sum(dtype=np.float64)), len(table)),
        }


def read(paths: Paths) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return one row a cell of the embedding table with the measurements of its crop, and the files of the crops.

    Raises
    ------
    InputError
        When a table is missing, empty or not finite, or a cell has no crop.
    """
    table = tables.read_parquet(paths.embeddings, "embed").reset_index(drop=True)
    schema.check(table, schema.METADATA, str(paths.embeddings), schema.OBJECT_KEY)
    names = schema.latent_columns(table)
    if not names or not len(table):
        raise InputError(f"{paths.embeddings} has no {'cell' if names else 'latent column'}; run `dvc repro embed`")
    finite = np.isfinite(table[names].to_numpy(np.float32)).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        which = ", ".join(str(v) for v in table.loc[row, schema.OBJECT_KEY])
        many = f"{int((~finite).sum()):,} of {count(len(table), 'cell')} with a latent that is not finite"
        raise InputError(f"{paths.embeddings}: {many}, the first is {which} (row {row}); run `dvc repro -f embed`")
    measured = kept.of(table, str(paths.embeddings), paths.crops_table)
    numbers = measured[[c for c in measured if c not in table]].select_dtypes("number")
    numbers = numbers[[c for c in numbers.columns if "_BoundingBox" not in c]]
    latents = table[names]
    return pd.concat([table.drop(columns=names), numbers, latents], axis="columns"), measured


def refuse_another(mean: Floats, stored: Floats, paths: Paths) -> None:
    """Refuse embeddings that are not what the model makes of the crops.

    Raises
    ------
    InputError
        Naming both files.
    """
    if mean.shape != stored.shape:
        raise InputError(
            f"{paths.embeddings} has {stored.shape[1]} latents a cell, the model of {paths.model} makes "
            f"{mean.shape[1]}: they are of different runs; run `dvc repro embed`"
        )
    unit = stored.std(axis=0).mean() or 1.0
    if float(np.abs(mean - stored).mean()) > _APART * unit:
        raise InputError(
            f"{paths.embeddings} is not what the model of {paths.model} makes of {paths.crops}: "
            "they are of different runs; run `dvc repro embed`"
        )


def shown(tile: NDArray[Any]) -> bytes:
    """Return a tile (C, H, W), uint8 or float in [0, 1], as a PNG to look at.

    Three channels are red, green and blue; one is grey; any other number is shown side by side in grey.
    """
    tile = np.asarray(tile)
    if tile.dtype != np.uint8:
        tile = (np.clip(np.nan_to_num(tile), 0, 1) * 255).round().astype(np.uint8)
    if len(tile) != 3:
        tile = np.concatenate(list(tile), axis=1)[None]
    return packs.encode_tile(np.ascontiguousarray(tile))
