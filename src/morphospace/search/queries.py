"""What a search asks for: crops from outside, or a row of the database; and whether it is like any class."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import files, schema, wells
from morphospace.errors import InputError
from morphospace.imaging import inputs, packs
from morphospace.metrics import novelty
from morphospace.metrics.novelty import Novelty
from morphospace.search import levels
from morphospace.search.database import Database
from morphospace.search.exact import Metric
from morphospace.search.levels import Level
from morphospace.search.tags import nearest

CARD = "model.json"
CONTROLS = "negative controls"
_COLOUR = 25  # where a PNG says whether it has colours
_MINIBATCH = 128  # images a forward pass; it does not change the result
_FORM: dict[Level, str] = {
    "cell": "plate/well/site/object",
    "well": "plate/well",
    "treatment": "compound/concentration",
}


class Query(NamedTuple):
    """A point of the latent space to search from.

    Attributes
    ----------
    said
        What it is, in words.
    vector
        Its embedding (d,).
    level
        What it is a mean of.
    row
        Its row in the database, which is not searched; None for images from outside.
    tile
        A picture of it (C, H, W), where there is one.
    """

    said: str
    vector: NDArray[np.floating[Any]]
    level: Level
    row: int | None
    tile: NDArray[np.uint8] | None


def origin(model: Path) -> dict[str, str]:
    """Return fingerprint and SHA-256 of the weights from a model's card, without loading the model."""
    if not (model / CARD).is_file():
        raise InputError(f"{model} is no folder of a model: it has no {CARD}, as data/package and data/models have")
    card = files.read_json(model / CARD)
    if not isinstance(card, dict):
        raise InputError(f"{model / CARD} is no card of a model")
    return {schema.MODEL: str(card.get("fingerprint", "")), schema.WEIGHTS: str(card.get("weights", ""))}


def channels(model: Path) -> list[str]:
    """Return the names of the channels from a model's card; none where there is no card."""
    card = files.read_json(model / CARD) if (model / CARD).is_file() else {}
    return [str(name) for name in card.get("channels") or []] if isinstance(card, dict) else []


def is_image(text: str) -> bool:
    """Whether a query names a file or folder of crops, or would by its suffix."""
    return Path(text).suffix.lower() in inputs.SUFFIXES or Path(text).exists()


def of_images(database: Database, path: Path, model: Path, level: Level) -> Query:
    """Return the mean embedding of the crops at a path (004-14), of which there may be one.

    Raises
    ------
    InputError
        When the model did not make the embeddings of the database, or a crop cannot be read or does not fit the model.
    """
    database.check_model(origin(model), str(model))
    given = inputs.sources([path])
    from morphospace.training import embedding, process  # torch takes seconds, and a search by id does not need it

    process.keep_memory()
    net, card = embedding.load_model(model)
    means, first = [], None
    for batch in inputs.batches(given, card["channels"], card["size"], _MINIBATCH):
        means.append(embedding.encode(net, batch.tiles, _MINIBATCH)[0])
        first = batch.tiles[0] if first is None else first
    every = np.concatenate(means)
    said = f"{path} (the mean of {len(every):,} crops)" if len(every) > 1 else str(path)
    return Query(said, every.astype(np.float64).mean(axis=0), level, None, first)


def of_id(database: Database, text: str, level: Level) -> Query:
    """Return a row of the database; a cell stands for its well or treatment where those are searched.

    Raises
    ------
    InputError
        When there is no such row: the nearest is named.
    """
    parts = text.split("/")
    if len(parts) == 4 or (len(parts) == 2 and level == "well"):
        text = "/".join([parts[0], wells.same(parts[1]), *parts[2:]])
    row = database.row(level, text)
    if row is None and level != "cell":
        cell = database.row("cell", text)
        row = None if cell is None else database.row(level, levels.ids(database.table("cell").iloc[[cell]], level)[0])
    if row is None:
        raise InputError(_unknown(list(database.table(level)[levels.ID]), text, level))
    name = str(database.table(level)[levels.ID].iloc[row])
    return Query(f"{level} {name}", database.vectors(level)[row], level, row, None)


def _unknown(known: list[str], text: str, level: Level) -> str:
    """Say that there is no such row, and at which part of its name that begins."""
    said = f"there is no file and no {level} {text!r}; a {level} is {_FORM[level]}"
    if level == "treatment":
        return said + nearest(text, known)
    parts = [k.split("/") for k in known]
    for depth, asked in enumerate(text.split("/")[: len(parts[0])]):
        names = sorted({p[depth] for p in parts})
        if asked not in names:
            return said + nearest(asked, names)
        parts = [p for p in parts if p[depth] == asked]
    return said + nearest(text, sorted("/".join(p) for p in parts))


def pictures(database: Database, rows: list[int], level: Level) -> list[NDArray[np.uint8]]:
    """Return a picture (C, H, W) of each row: a cell itself, or the cell nearest to the mean of a well or treatment."""
    cells = rows if level == "cell" else [_typical(database, row, level) for row in rows]
    return [_tile(png) for png in database.crops(cells)]


def _tile(png: bytes) -> NDArray[np.uint8]:
    """Return the planes (C, H, W) of a picture in colour, or of squares under one another."""
    if png[_COLOUR : _COLOUR + 1] == b"\x02":
        return packs.decode_tile(png, 3)
    _, height, width = packs.decode_tile(png, 1).shape
    return packs.decode_tile(png, height // width)


def _typical(database: Database, row: int, level: Level) -> int:
    """Return the cell of a well or treatment that is nearest to its mean."""
    cells = database.table("cell")
    mine = np.ones(len(cells), dtype=np.bool_)
    for column in levels.KEYS[level]:
        mine &= (cells[column] == database.table(level)[column].iloc[row]).to_numpy()
    rows = np.flatnonzero(mine)
    distances = np.linalg.norm(database.vectors("cell")[rows] - database.vectors(level)[row], axis=1)
    return int(rows[distances.argmin()])


def known_classes(database: Database, query: Query, metric: Metric) -> list[Novelty]:
    """Return how like the negative controls and each mechanism a query is, the likest first; of cells or of wells.

    The query's own well is left out. For the cosine, vectors are brought to length 1 before distances are taken.
    """
    level: Level = "cell" if query.level == "cell" else "well"
    table = database.table(level)
    wells = np.asarray(levels.ids(table, "well"))
    keep = np.ones(len(table), dtype=np.bool_) if query.row is None else wells != wells[query.row]
    split = _single(table[schema.SPLIT]) if schema.SPLIT in table.columns else None
    vectors, asked = database.vectors(level), query.vector.astype(np.float64)
    found = []
    for name, rows in _classes(table, keep).items():
        some = vectors[rows].astype(np.float64)
        point = asked
        if metric == "cosine":
            some, point = _unit(some), _unit(asked)
        seen = None if split is None else (split[rows] == schema.TRAIN)
        found.append(novelty.novelty(name, some, list(wells[rows]), point, seen))
    return sorted((n for n in found if n is not None), key=lambda n: (-n.p, n.name))


def _classes(table: pd.DataFrame, keep: NDArray[np.bool_]) -> dict[str, NDArray[np.intp]]:
    """Return the rows of the negative controls and of each annotated mechanism."""
    controls = _single(table[schema.PERT_TYPE]) == schema.NEGCON
    moa = _single(table[schema.MOA])
    classes = {CONTROLS: np.flatnonzero(keep & controls)}
    for name in sorted(set(moa[~controls]) - {"", schema.UNKNOWN}):
        classes[str(name)] = np.flatnonzero(keep & ~controls & (moa == name))
    return {name: rows for name, rows in classes.items() if len(rows)}


def _single(column: "pd.Series[Any]") -> NDArray[np.object_]:
    """Return one text a row; empty where a well has several, for it is then of no class."""
    return np.array([v if isinstance(v, str) else v[0] if len(v) == 1 else "" for v in column], dtype=object)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: NDArray[np.float64] = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return found
