"""What the page asks for; a command brings it, so that the server knows neither models nor files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace.apps.serve.columns import Column, column

Name = Literal["cells", "wells", "treatments"]
Metric = Literal["cosine", "l2"]


@dataclass(frozen=True)
class Level:
    """Cells, wells or treatments on a map.

    Attributes
    ----------
    table
        One row an item: what it can be coloured by.
    points
        Places on the map, (n, 2) float32, in the order of the table.
    typical
        For each item the rows of cells to show for it, the most typical first; of a cell, itself.
    parents
        For each item the row of its well, or -1.
    tags
        How a search calls the columns that can be filtered by, of which an item has one value.
    """

    table: pd.DataFrame
    points: NDArray[np.float32]
    typical: Sequence[Sequence[int]]
    parents: NDArray[np.intp]
    tags: Mapping[str, str]

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of the table as the browser takes them."""
        return [column(str(name), self.table[name]) for name in self.table.columns]


class Slider(NamedTuple):
    """A dimension to walk along: where the cells lie on it, and how much it carries (`by`: variance, or KL in nats)."""

    dimension: int
    mean: float
    deviation: float
    amount: float
    by: str


class Wanted(NamedTuple):
    """A question for neighbours: at which level, how near is measured how, how many, with and without which tags."""

    level: Name
    metric: Metric = "cosine"
    top: int = 12
    including: Sequence[str] = ()
    excluding: Sequence[str] = ()


class Hit(NamedTuple):
    """A neighbour: its row in the table of its level, and how far it is."""

    item: int
    distance: float


@dataclass(frozen=True)
class Answer:
    """What is found for a picture: as the model sees it and draws it (PNG), its neighbours, and remarks in words."""

    picture: bytes
    reconstruction: bytes | None
    hits: Sequence[Hit]
    remarks: Sequence[str] = field(default_factory=tuple)


class Source(Protocol):
    """Maps, pictures, neighbours. Rows are checked by the server before it asks."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the page says of data and model: plain values by name."""

    @property
    def levels(self) -> Mapping[Name, Level]:
        """The maps, cells first."""

    @property
    def sliders(self) -> Sequence[Slider]:
        """Dimensions to walk along, the most telling first; none when the model does not decode."""

    @property
    def reconstructs(self) -> bool:
        """Whether `reconstruction` draws."""

    def crop(self, cell: int) -> bytes:
        """Return the crop of a cell as a PNG to look at."""

    def reconstruction(self, cell: int) -> bytes:
        """Return the crop of a cell as the model draws it, a PNG to look at."""

    def similar(self, item: int, wanted: Wanted) -> Sequence[Hit]:
        """Return the neighbours of an item of `wanted.level`, the nearest first, itself left out."""

    def search(self, content: bytes, wanted: Wanted) -> Answer:
        """Return the neighbours of a picture from anyone.

        Raises
        ------
        InputError
            When it is not the image of 8 bits, channels and size that a crop must be.
        """

    def walk(self, start: int | None, moves: Mapping[int, float]) -> bytes:
        """Return what the model draws (PNG) at a cell, or at the mean of all, moved by standard deviations."""
