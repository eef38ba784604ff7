"""Building a database from an embedding table, and asking it for the nearest cells, wells or treatments."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.errors import InputError
from morphospace.search import approximate, levels, store
from morphospace.search.exact import METRICS, Exact, Metric
from morphospace.search.levels import Level
from morphospace.search.store import About, Crops, Step
from morphospace.search.tags import Tags

EXACT_UP_TO = 1_000_000  # cells; beyond, an approximate index is built and its recall measured
RANK, DISTANCE, ROW = "Rank", "Distance", "Row"


def build(
    uri: str,
    key: str,
    table: pd.DataFrame,
    origin: dict[str, str],
    crops: Crops | None = None,
    exact_up_to: int = EXACT_UP_TO,
    step: Step = lambda rows: None,
) -> About:
    """Write a database, whole or not at all; one that is at the place is replaced when the new one is whole.

    Parameters
    ----------
    uri
        A folder, or ``s3://bucket/prefix``.
    key
        Names the content of all that goes in.
    table
        An embedding table: a row a cell, metadata, and the latent columns.
    origin
        ``model`` and ``weights`` of the model that made the embeddings, where they are known.
    crops
        Gives the PNGs of some rows of `table`; without it the database holds no pictures.
    exact_up_to
        Cells, beyond which an approximate index is built.
    step
        Called with the number of cells written.

    Raises
    ------
    InputError
        When a vector is not finite, its row named; or the place cannot be written.
    SchemaError
        When a column of the key is missing, or two rows are the same cell.
    """
    schema.check(table, schema.METADATA, "the embedding table", schema.OBJECT_KEY)
    vectors = levels.vectors(table, "the embedding table")
    rows = table.drop(columns=schema.latent_columns(table)).reset_index(drop=True)
    groups: dict[Level, tuple[pd.DataFrame, levels.Floats]]
    groups = {level: levels.grouped(rows, vectors, level) for level in levels.LEVELS if level != "cell"}
    counts = {"cell": len(rows)} | {level: len(found[0]) for level, found in groups.items()}
    with store.explained(uri):
        store.write_groups(uri, key, groups)
        cells = store.write_cells(uri, key, rows, vectors, crops, step)
        probes, recall = (None, None) if len(rows) <= exact_up_to else approximate.index(cells, vectors)
        about = About(
            store.FORMAT,
            key,
            origin.get(schema.MODEL, ""),
            origin.get(schema.WEIGHTS, ""),
            vectors.shape[1],
            counts,
            crops is not None,
            probes,
            recall,
        )
        store.finish(uri, about)
    return about


def opened(uri: str) -> "Database":
    """Return the database at a place.

    Raises
    ------
    InputError
        When there is no whole one.
    """
    about = store.read(uri)
    if about is None:
        raise InputError(f"{uri} holds no whole database of this version; build it from an embedding table")
    return Database(uri, about)


class Database:
    """A whole database; what is asked of a level is read once and kept."""

    def __init__(self, uri: str, about: About) -> None:
        self.uri, self.about = uri, about
        self._connection = store.connect(uri)
        self._tables: dict[Level, Any] = {}
        self._frames: dict[Level, pd.DataFrame] = {}
        self._exact: dict[Level, Exact] = {}
        self._tags: dict[Level, Tags] = {}

    def table(self, level: Level) -> pd.DataFrame:
        """Return the rows of a level with their ``Id`` first; a well or treatment has lists of its cells' values."""
        if level not in self._frames:
            with store.explained(self.uri):
                found = store.frame(self._open(level))
            found.insert(0, levels.ID, levels.ids(found, level))
            self._frames[level] = found
        return self._frames[level]

    def vectors(self, level: Level) -> levels.Floats:
        """Return the embeddings (n, d) of a level, in the order of its rows; of wells and treatments, means."""
        return self._search(level).vectors

    def tags(self, level: Level) -> Tags:
        """Return the tags of a level."""
        if level not in self._tags:
            self._tags[level] = Tags(self.table(level))
        return self._tags[level]

    def row(self, level: Level, name: str) -> int | None:
        """Return the row of an id, or None."""
        found = np.flatnonzero((self.table(level)[levels.ID] == name).to_numpy())
        return int(found[0]) if len(found) else None

    def exact(self, level: Level, metric: Metric) -> bool:
        """Whether `nearest` looks at every row: always, but for the cosine over more cells than ``EXACT_UP_TO``."""
        return level != "cell" or metric != approximate.METRIC or self.about.recall is None

    def check_model(self, origin: Mapping[str, str], name: str) -> None:
        """Refuse a model that did not make the embeddings.

        Raises
        ------
        InputError
            When it is another, or the embedding table does not say which model made it.
        """
        mine = (self.about.model, self.about.weights)
        theirs = (origin[schema.MODEL], origin[schema.WEIGHTS])
        if not any(mine):
            raise InputError(
                f"the embeddings do not say which model made them, and {name} is {theirs[0]}: run `dvc repro -f embed`"
            )
        if mine != theirs:
            said = [f"{model} (weights {weights[:8]})" for model, weights in (mine, theirs)]
            raise InputError(
                f"the embeddings are of model {said[0]}, {name} is {said[1]}: their spaces have nothing in common; run "
                "`dvc repro embed`, or name the model that made them"
            )

    def nearest(
        self,
        vector: NDArray[np.floating[Any]],
        level: Level = "cell",
        metric: Metric = "cosine",
        top: int = 10,
        with_: Sequence[str] = (),
        without: Sequence[str] = (),
        leave_out: Sequence[int] = (),
    ) -> pd.DataFrame:
        """Return the rows nearest to a vector.

        Parameters
        ----------
        vector
            The query (d,).
        level
            ``cell``, ``well`` or ``treatment``.
        metric
            ``cosine`` (1 less the cosine) or ``l2`` (Euclidean).
        top
            How many, at most.
        with_, without
            Tags ``key:value``. Several values of one key in `with_` mean any of them, several keys mean all; a row with
            any tag of `without` is left out.
        leave_out
            Rows that are not searched, as the query's own.

        Returns
        -------
        pandas.DataFrame
            ``Rank`` from 1, ``Distance``, ``Row`` (for `vectors` and `crops`), ``Id``, and the columns of `table`, with
            lists joined by a comma and a space.

        Raises
        ------
        InputError
            When the vector has another length, or is not finite; a tag is unknown, or none is left to search.
        """
        asked = np.asarray(vector, dtype=np.float64)
        if asked.shape != (self.about.z_dim,) or not np.isfinite(asked).all():
            raise InputError(f"a query is {self.about.z_dim} finite numbers, as the embeddings; this is {asked.shape}")
        if metric not in METRICS:
            raise InputError(f"metric {metric!r} is none of {', '.join(METRICS)}")
        tags = self.tags(level)
        mask = tags.mask(with_, without)
        if level == "cell" and self.about.probes:
            filters = tags.wanted(with_), tags.wanted(without)
            with store.explained(self.uri):
                found = approximate.nearest(
                    self._open(level), asked, metric, top, self.about.probes, filters, leave_out
                )
        else:
            if leave_out:
                mask = np.ones(len(self.table(level)), dtype=np.bool_) if mask is None else mask
                mask[list(leave_out)] = False
            found = self._search(level).nearest(asked, metric, top, mask)
        return _said(self.table(level), *found)

    def crops(self, rows: Sequence[int]) -> list[bytes]:
        """Return the PNGs of some cells, in the order asked for.

        Raises
        ------
        InputError
            When the database holds no crops.
        """
        if not self.about.crops:
            raise InputError(f"{self.uri} holds no crops: it was built without them")
        wanted = sorted(set(rows))
        with store.explained(self.uri):
            found = self._open("cell").take_offsets(wanted).select([store.CROP]).to_arrow()[store.CROP]
        content = dict(zip(wanted, (f.as_py() for f in found), strict=True))
        return [content[row] for row in rows]

    def _search(self, level: Level) -> Exact:
        if level not in self._exact:
            with store.explained(self.uri):
                self._exact[level] = Exact(store.array(self._open(level)))
        return self._exact[level]

    def _open(self, level: Level) -> Any:
        if level not in self._tables:
            self._tables[level] = self._connection.open_table(store.name(level, self.about.key))
        return self._tables[level]


def _said(table: pd.DataFrame, rows: NDArray[np.intp], distances: NDArray[np.float64]) -> pd.DataFrame:
    """Return the rows that were found, with rank and distance."""
    found = table.iloc[rows].reset_index(drop=True)
    for column in found.columns[found.map(lambda v: isinstance(v, np.ndarray | list)).any()]:
        found[column] = [", ".join(map(str, v)) for v in found[column]]
    found.insert(0, ROW, rows)
    found.insert(0, DISTANCE, distances)
    found.insert(0, RANK, np.arange(1, len(rows) + 1))
    return found
