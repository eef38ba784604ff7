"""What is known of the rows of a table of profiles, whatever it has a row of: treatments, wells or sites."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.metrics.nearest import Profiles


class Level(NamedTuple):
    """The rows of a table.

    Attributes
    ----------
    profiles
        Name, compound, mechanism and batches of each.
    treatments
        Compound and concentration of each, (n,).
    places
        The wells, whatever the plate, in which each was.
    controls
        Whether it is a negative control, (n,).
    """

    profiles: Profiles
    treatments: tuple[str, ...]
    places: tuple[frozenset[str], ...]
    controls: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> "Level":
        """Return some of the rows."""
        old = self.profiles
        names, compounds, mechanisms, treatments = (
            tuple(part[i] for i in rows) for part in (old.names, old.compounds, old.mechanisms, self.treatments)
        )
        batches, places = (tuple(part[i] for i in rows) for part in (old.batches, self.places))
        some = Profiles(names, compounds, mechanisms, batches)
        return Level(some, treatments, places, self.controls[rows])


def level(table: pd.DataFrame, where: Mapping[str, frozenset[str]] | None = None) -> Level:
    """Return what is known of the rows of a table.

    Parameters
    ----------
    table
        With compound, concentration, mechanism and type; batch (a treatment's are joined by commas) and well, where
        the rows have them.
    where
        Wells of each treatment, for a table whose rows are in several: see `places`.
    """
    schema.check(table, [schema.COMPOUND, schema.CONCENTRATION, schema.MOA, schema.PERT_TYPE], "the table of profiles")
    compounds, wells = _text(table, schema.COMPOUND), _text(table, schema.WELL)
    pairs = zip(compounds, pd.to_numeric(table[schema.CONCENTRATION]), strict=True)
    treatments = tuple(c if pd.isna(d) else f"{c} {float(d):g}" for c, d in pairs)
    key = [c for c in schema.IMAGE_SET_KEY if c in table]
    own = schema.WELL in table
    names = tuple("/".join(row) for row in zip(*(_text(table, c) for c in key), strict=True)) if own else treatments
    held = tuple(frozenset({w} - {""}) for w in wells) if where is None else tuple(where[t] for t in treatments)
    mechanisms = tuple("" if m == schema.UNKNOWN else m for m in _text(table, schema.MOA))
    batches = tuple(frozenset(b.split(",")) for b in _text(table, schema.BATCH))
    controls = (table[schema.PERT_TYPE] == schema.NEGCON).to_numpy(dtype=bool)
    return Level(Profiles(names, compounds, mechanisms, batches), treatments, held, controls)


def places(wells: pd.DataFrame) -> dict[str, frozenset[str]]:
    """Return the wells, whatever the plate, in which each treatment was."""
    of = level(wells)
    found: dict[str, frozenset[str]] = {}
    for treatment, held in zip(of.treatments, of.places, strict=True):
        found[treatment] = found.get(treatment, frozenset()) | held
    return found


def _text(table: pd.DataFrame, column: str) -> tuple[str, ...]:
    """Values as text; a column that is not there is empty."""
    if column not in table:
        return ("",) * len(table)
    return tuple(str(v) for v in table[column].astype("string").fillna(""))
