"""Who is nearest to whom among profiles, and whether the nearest treatment shares the mechanism (Ljosa et al. 2013).

A profile is a row: a treatment, a well or a site. A similarity is a function of some rows to their similarities to all,
so that no matrix of all pairs is needed. Ties are shared: where m neighbours are equally near, each is the nearest by
1/m, so that nothing depends on the order of rows, and a similarity that is the same everywhere is a random neighbour.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from morphospace.errors import InputError

Metric = Literal["cosine", "correlation", "euclidean"]
Rule = Literal["strict", "joined"]
NSC, NSCB = "NSC", "NSCB"
RULES: dict[str, str] = {
    "strict": "no batch in common",
    "joined": "the joined names of the batches differ",
}
FEW = 4  # numbers a row, below which the angle between rows says next to nothing
BLOCK = 512  # rows at a time
_TIE = 1e-12  # relative: similarities that differ by less, as sums in another order do, are equal
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Similar = Callable[[Rows], Floats]


class Left(NamedTuple):
    """A row that is not scored, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Profiles:
    """What is known of each row.

    Attributes
    ----------
    names
        For people, each once.
    compounds, mechanisms
        Of each row; an empty mechanism is none.
    batches
        The batches that each row was in.
    """

    names: tuple[str, ...]
    compounds: tuple[str, ...]
    mechanisms: tuple[str, ...]
    batches: tuple[frozenset[str], ...]

    def __len__(self) -> int:
        """How many rows."""
        return len(self.names)

    @property
    def classes(self) -> tuple[str, ...]:
        """The mechanisms, sorted."""
        return tuple(sorted(set(self.mechanisms) - {""}))

    @property
    def codes(self) -> Rows:
        """Place of each row's mechanism in `classes`, -1 for none."""
        place = {name: i for i, name in enumerate(self.classes)}
        return np.array([place.get(m, -1) for m in self.mechanisms], dtype=np.intp)


@dataclass(frozen=True)
class Votes:
    """What the nearest neighbours say.

    Attributes
    ----------
    profiles
        All rows.
    scored
        Rows that have a neighbour who could be right, ascending, shape (q,).
    votes
        Share of each mechanism among the nearest of each scored row, shape (q, K); rows add up to 1.
    nearest
        Names of the nearest rows, in the order of the rows.
    left
        Rows that are not scored, and why.
    """

    profiles: Profiles
    scored: Rows
    votes: Floats
    nearest: tuple[tuple[str, ...], ...]
    left: tuple[Left, ...]

    @property
    def hits(self) -> Floats:
        """Share of the nearest neighbours of each scored row that have its mechanism, (q,): 0 or 1 without ties."""
        if not len(self.scored):
            return np.zeros(0)
        found: Floats = np.take_along_axis(self.votes, self.profiles.codes[self.scored][:, None], axis=1)[:, 0]
        return found

    @property
    def matrix(self) -> Floats:
        """Confusion matrix (K, K): rows are the truth; a tie is shared out."""
        k = len(self.profiles.classes)
        found = np.zeros((k, k))
        np.add.at(found, self.profiles.codes[self.scored], self.votes)
        return found


def by_features(features: NDArray[np.floating[Any]], metric: Metric) -> Similar:
    """Return the similarity of rows by their features (n, k).

    ``cosine``: of the angle, in [-1, 1]; a row of zeros has no angle, and is as near to everything (0).
    ``correlation``: Pearson's, the cosine of rows less their means. ``euclidean``: minus the distance.

    Raises
    ------
    InputError
        When a feature is not finite.
    """
    table = np.asarray(features, dtype=np.float64)
    wrong: NDArray[np.bool_] = ~np.all(np.isfinite(table), axis=1)
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {len(wrong)} profiles have a feature that is NaN or infinite, the first is row "
            f"{int(np.flatnonzero(wrong)[0])}; drop these features or these rows"
        )
    if metric == "euclidean":
        return lambda rows: -cdist(table[rows], table)
    if metric == "correlation":
        size = np.abs(table).max(axis=1, keepdims=True)
        table = table - table.mean(axis=1, keepdims=True)
        table = np.where(
            np.abs(table) > _TIE * size, table, 0
        )  # what rounding leaves of a constant row is no direction
    largest = np.abs(table).max(axis=1, keepdims=True)
    table = table / np.where(largest > 0, largest, 1)  # so that squares neither overflow nor vanish
    length = np.linalg.norm(table, axis=1, keepdims=True)
    table = table / np.where(length > 0, length, 1)
    return lambda rows: table[rows] @ table.T


def suited(metric: Metric, width: int) -> Metric:
    """Return the metric for rows of `width` numbers: of fewer than `FEW` the distance, since an angle wants more."""
    return metric if width >= FEW else "euclidean"


def alike(rows: int) -> Similar:
    """Return the similarity that is the same for all pairs: the nearest neighbour is drawn at random."""
    return lambda some: np.zeros((len(some), rows))


def apart(spaces: Mapping[str, Similar], compounds: Sequence[str]) -> Similar:
    """Return the similarity of each row in the space of its own compound; a row without one must not ask."""
    names = np.array(compounds)

    def similar(rows: Rows) -> Floats:
        found = np.empty((len(rows), len(names)))
        for name in sorted(set(names[rows])):
            mine = names[rows] == name
            found[mine] = spaces[str(name)](rows[mine])
        return found

    return similar


def sharing(values: Sequence[frozenset[str]]) -> Similar:
    """Return the similarity that is 1 for rows that have a value in common (a batch, a place on a plate), else 0."""
    held = _held(values)
    return lambda rows: (held[rows] @ held.T > 0).astype(np.float64)


def _held(values: Sequence[frozenset[str]]) -> Floats:
    """Which of all values each row has, (n, v), as 0 and 1."""
    names = sorted(set().union(*values))
    return np.array([[name in v for name in names] for v in values], dtype=np.float64).reshape(len(values), len(names))


def allowed(profiles: Profiles, protocol: str, rule: Rule) -> Callable[[Rows], NDArray[np.bool_]]:
    """Return which neighbours each row may have: one with a mechanism, of another compound; in NSCB of another batch.

    Parameters
    ----------
    profiles
        The rows.
    protocol
        `NSC` (not the same compound) or `NSCB` (not the same batch either).
    rule
        What another batch is where rows were in several: ``strict``, they have none in common; ``joined``, the sorted
        lists of their batches differ as text, as in the notebook of Caicedo et al. (2018).
    """
    compounds, known = np.array(profiles.compounds), profiles.codes >= 0
    held = _held(profiles.batches)
    joined = np.array([",".join(sorted(b)) for b in profiles.batches])

    def of(rows: Rows) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (compounds[rows][:, None] != compounds) & known
        if protocol == NSCB and rule == "strict":
            found &= held[rows] @ held.T == 0
        elif protocol == NSCB:
            found &= joined[rows][:, None] != joined
        return found

    return of


def blocks(rows: Rows) -> Iterator[Rows]:
    """Yield rows, at most `BLOCK` at a time."""
    for start in range(0, len(rows), BLOCK):
        yield rows[start : start + BLOCK]


def vote(profiles: Profiles, similar: Similar, protocol: str, rule: Rule = "strict") -> Votes:
    """Return what the nearest allowed neighbour of each row says of its mechanism.

    A row is scored when some allowed neighbour has its mechanism; the others could never be right. They stay as
    neighbours of the rest, and are named with the reason.

    Parameters
    ----------
    profiles
        The rows.
    similar
        Their similarities.
    protocol, rule
        See `allowed`.
    """
    codes, may = profiles.codes, allowed(profiles, protocol, rule)
    left = _left(profiles, protocol, may)
    lost = {x.name for x in left}
    scored = np.array([i for i, name in enumerate(profiles.names) if name not in lost], dtype=np.intp)
    classes = np.eye(len(profiles.classes))[codes] * (codes >= 0)[:, None] if profiles.classes else np.zeros((0, 0))
    votes, nearest = [np.zeros((0, len(profiles.classes)))], []
    for rows in blocks(scored):
        near = tied(similar(rows), may(rows))
        votes.append(near / near.sum(axis=1, keepdims=True) @ classes)
        nearest += [tuple(profiles.names[i] for i in np.flatnonzero(line)) for line in near]
    return Votes(profiles, scored, np.concatenate(votes), tuple(nearest), left)


def tied(similarity: Floats, may: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the allowed are nearest, (b, n); none where none is allowed."""
    masked = np.where(may, similarity, -np.inf)
    best = masked.max(axis=1, keepdims=True)
    slack = _TIE * np.maximum(1, np.where(np.isfinite(best), np.abs(best), 0))
    found: NDArray[np.bool_] = may & (masked >= best - slack)
    return found


def _left(profiles: Profiles, protocol: str, may: Callable[[Rows], NDArray[np.bool_]]) -> tuple[Left, ...]:
    """Name the rows without a neighbour who could be right, and why."""
    codes, found = profiles.codes, []
    pairs = set(zip(profiles.mechanisms, profiles.compounds, strict=True))
    compounds = Counter(mechanism for mechanism, _ in pairs)
    for rows in blocks(np.arange(len(profiles))):
        allowed_here = may(rows)
        right: NDArray[np.bool_] = np.any(allowed_here & (codes[rows][:, None] == codes), axis=1)
        for row, ok, some in zip(rows, right, np.any(allowed_here, axis=1), strict=True):
            mechanism = profiles.mechanisms[row]
            if not mechanism:
                found.append(Left(profiles.names[row], "no mechanism is known"))
            elif compounds[mechanism] == 1:
                found.append(Left(profiles.names[row], f"{mechanism} has one compound"))
            elif protocol == NSCB and not some:
                found.append(Left(profiles.names[row], "no other compound is of another batch"))
            elif not ok:
                found.append(Left(profiles.names[row], f"no other compound of {mechanism} is of another batch"))
    return tuple(found)
