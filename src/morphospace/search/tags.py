"""Tags (004-16): ``moa:Eg5 inhibitors``, ``compound:mevinolin/lovastatin``; every column of the table is a key.

A value is compared as it is written and never becomes part of a query language: quotes, commas, slashes, per cent signs
and brackets in a compound's name mean nothing here.
"""

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema, wells
from morphospace.errors import InputError
from morphospace.search import levels

_SHOWN = 12  # known names that a message lists


def key(column: str) -> str:
    """Return how a column is called in a tag: ``Metadata_MoA`` is ``moa``."""
    return column.removeprefix("Metadata_").lower()


class Tags:
    """The tags of the rows of a table, whose values are single ones or lists of them."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._table = table
        self._columns = {key(c): c for c in table.columns if c != levels.ID}
        self._known: dict[str, tuple[NDArray[np.intp], NDArray[np.intp], list[str]]] = {}

    def keys(self) -> list[str]:
        """Return the keys, in the order of the columns."""
        return list(self._columns)

    def values(self, name: str) -> list[str]:
        """Return the values that the rows have of a key, sorted.

        Raises
        ------
        InputError
            When there is no such key, naming the nearest.
        """
        return self._codes(name)[2]

    def parse(self, tag: str) -> tuple[str, str]:
        """Return column and value of a tag; all after the first colon is the value.

        Raises
        ------
        InputError
            When it has no colon, or no row has such a key or value: the nearest is named.
        """
        name, colon, value = tag.partition(":")
        if not colon:
            raise InputError(f"{tag!r} is no tag; write key:value, as moa:DMSO (keys: {', '.join(self._columns)})")
        name = name.strip().lower()
        known = self.values(name)
        well = wells.same(value) if self._columns[name] == schema.WELL else value
        for asked in (value, _number(value), well):
            if asked in known:
                return self._columns[name], asked
        raise InputError(f"nothing here has {name}:{value}{nearest(value, known)}")

    def mask(self, with_: Sequence[str] = (), without: Sequence[str] = ()) -> NDArray[np.bool_] | None:
        """Return which rows (n,) are searched, or None when all are.

        A row is searched when, for every key in `with_`, it has one of the values asked for, and it has no tag of
        `without`.

        Raises
        ------
        InputError
            When a tag is unknown, or no row is left.
        """
        if not with_ and not without:
            return None
        found = np.ones(len(self._table), dtype=np.bool_)
        for column, values in self.wanted(with_).items():
            found &= self._having(column, values)
        for column, values in self.wanted(without).items():
            found &= ~self._having(column, values)
        if not found.any():
            said = [f"--with {t!r}" for t in with_] + [f"--without {t!r}" for t in without]
            raise InputError(f"nothing is left to search: no row passes {', '.join(said)}")
        return found

    def wanted(self, tags: Sequence[str]) -> dict[str, list[str]]:
        """Return the values asked for by column."""
        found: dict[str, list[str]] = {}
        for column, value in map(self.parse, tags):
            found.setdefault(column, []).append(value)
        return found

    def _having(self, column: str, values: Sequence[str]) -> NDArray[np.bool_]:
        rows, codes, known = self._codes(key(column))
        mask = np.zeros(len(self._table), dtype=np.bool_)
        mask[rows[np.isin(codes, [known.index(v) for v in values])]] = True
        return mask

    def _codes(self, name: str) -> tuple[NDArray[np.intp], NDArray[np.intp], list[str]]:
        """Return the pairs (row, code) of a key, and the values that the codes stand for."""
        if name not in self._columns:
            raise InputError(f"there is no tag {name!r}{nearest(name, list(self._columns))}")
        if name not in self._known:
            flat = levels.text(self._table[self._columns[name]].reset_index(drop=True).explode()).dropna()
            codes, values = pd.factorize(flat, sort=True)
            self._known[name] = flat.index.to_numpy(), codes, [str(v) for v in values]
        return self._known[name]


def nearest(name: str, known: Sequence[str]) -> str:
    """Return the tail of a message: the closest of the known names, then the first of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    folded = close or [k for k in known if k.casefold() == name.casefold()][:1]
    hint = f"; did you mean {folded[0]!r}?" if folded else ""
    more = f", and {len(known) - _SHOWN:,} more" if len(known) > _SHOWN else ""
    return f"{hint} (there are: {', '.join(map(str, known[:_SHOWN]))}{more})"


def _number(value: str) -> str:
    """Return a number as `levels.text` writes it, so that 3.000 finds 3; or the value when it is none."""
    try:
        return f"{float(value):.15g}"
    except ValueError:
        return value
