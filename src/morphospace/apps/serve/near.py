"""Neighbours on the maps of the page: its items are looked up in the database, and what it finds on the maps."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace.apps.serve.maps import KINDS
from morphospace.apps.serve.source import Hit, Level, Name, Wanted
from morphospace.errors import InputError
from morphospace.metrics import novelty
from morphospace.search import levels as keys
from morphospace.search import queries
from morphospace.search.database import DISTANCE, ROW, Database
from morphospace.words import count


class Near:
    """The database of a run, asked by the rows of the maps.

    Raises
    ------
    InputError
        When an item of a map is not in the database.
    """

    def __init__(self, database: Database, levels: Mapping[Name, Level]) -> None:
        self._database = database
        self._rows = {name: self._places(level, name) for name, level in levels.items()}
        self._items = {name: _inverse(rows) for name, rows in self._rows.items()}
        self._one_at_a_time = threading.Lock()  # the database reads a level when it is first asked

    def of_item(self, item: int, wanted: Wanted) -> list[Hit]:
        """Return the neighbours of an item of a map, itself left out."""
        row = int(self._rows[wanted.level][item])
        with self._one_at_a_time:
            vector = self._database.vectors(KINDS[wanted.level])[row]
        return self.of_vector(vector, wanted, [row])

    def of_vector(self, vector: NDArray[np.float32], wanted: Wanted, leave_out: Sequence[int] = ()) -> list[Hit]:
        """Return the items of a map that are nearest to a place in the latent space."""
        kind, metric, top = KINDS[wanted.level], wanted.metric, wanted.top
        with self._one_at_a_time:
            found = self._database.nearest(
                vector, kind, metric, top, wanted.including, wanted.excluding, leave_out=leave_out
            )
        items = self._items[wanted.level]
        return [Hit(int(items[row]), float(d)) for row, d in zip(found[ROW], found[DISTANCE], strict=True)]

    def remarks(self, vector: NDArray[np.float32], wanted: Wanted) -> list[str]:
        """Say whether a cell at a place of the latent space is like the controls or any known mechanism."""
        asked = queries.Query("", vector, "cell", None, None)
        with self._one_at_a_time:
            like = queries.known_classes(self._database, asked, wanted.metric)
        return [novelty.verdict(like), *(f"p {n.p:.3f}: {n.name}, {count(n.wells, 'well')}" for n in like)]

    def _places(self, level: Level, name: Name) -> NDArray[np.intp]:
        """Return the row in the database of each item of a map."""
        known = pd.Index(self._database.table(KINDS[name])[keys.ID])
        rows: NDArray[Any] = known.get_indexer(pd.Index(keys.ids(level.table, KINDS[name])))
        if (rows < 0).any():
            lost = keys.ids(level.table.iloc[[int(np.argmax(rows < 0))]], KINDS[name])[0]
            raise InputError(
                f"{self._database.uri} does not know {lost}: it was built of other tables; name another --database"
            )
        return rows.astype(np.intp)


def _inverse(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the item of each row of the database."""
    items = np.empty(int(rows.max()) + 1, dtype=np.intp)
    items[rows] = np.arange(len(rows))
    return items
