"""Nearest neighbours among more cells than memory is meant for: by LanceDB, through an index whose recall is measured.

The index (IVF: the vectors in parts, each near its centre) serves the cosine; a Euclidean search is LanceDB's own scan
of every row, exact and slower. Distances are exact in both: what an index can do is miss a neighbour.
"""

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphospace.search.exact import Exact, Found, Metric
from morphospace.search.store import NUMBER, VECTOR

METRIC: Metric = "cosine"
WANTED = 0.95  # of the exact neighbours; parts are added to a search until so many are found
QUERIES, TOP = 100, 10  # that the recall is measured with
_STREAM = 21
_ROUNDS = 15  # of k-means
Filters = tuple[Mapping[str, Sequence[str]], Mapping[str, Sequence[str]]]


def index(table: Any, vectors: NDArray[np.float32]) -> tuple[int, float]:
    """Build the index of a table; return how many of its parts a search looks into, and the recall measured so.

    The recall is the share of the ten nearest of 100 cells, drawn at random, themselves left in, that a search through
    the index finds: of the fewest parts, in doublings, with which it is at least 0.95, or of all.
    """
    from lancedb.index import IvfFlat

    parts = max(1, round(np.sqrt(len(vectors))))
    config = IvfFlat(distance_type=METRIC, num_partitions=parts, max_iterations=_ROUNDS)
    table.create_index(VECTOR, config=config)
    drawn = np.random.default_rng([0, _STREAM]).choice(len(vectors), min(QUERIES, len(vectors)), replace=False)
    exact = Exact(vectors)
    truth = [set(exact.nearest(vectors[i], METRIC, TOP)[0].tolist()) for i in drawn]
    probes, recall = 1, 0.0
    while True:
        hits = [nearest(table, vectors[i].astype(np.float64), METRIC, TOP, probes)[0].tolist() for i in drawn]
        recall = float(np.mean([len(t.intersection(h)) / len(t) for t, h in zip(truth, hits, strict=True)]))
        if recall >= WANTED or probes >= parts:
            return probes, recall
        probes = min(parts, 2 * probes)


def nearest(
    table: Any,
    query: NDArray[np.float64],
    metric: Metric,
    top: int,
    probes: int,
    filters: Filters = ({}, {}),
    leave_out: Sequence[int] = (),
) -> Found:
    """Return the rows that LanceDB finds nearest to a query (d,), and their distances.

    Parameters
    ----------
    table
        A LanceDB table of `store`.
    query, metric, top
        As `Exact.nearest` takes them.
    probes
        Parts of the index that a search looks into; more when a filter leaves too few rows in them.
    filters
        Values by column: of those asked for, and of those that are left out.
    leave_out
        Rows that are not searched.
    """
    search = table.search(query.astype(np.float32), vector_column_name=VECTOR).distance_type(metric)
    search = search.minimum_nprobes(probes).maximum_nprobes(0).limit(top + len(leave_out))
    if condition := _condition(table, filters):
        search = search.where(condition)
    found = search.select([NUMBER, "_distance"]).to_arrow()
    rows = np.asarray(found[NUMBER].to_numpy(), dtype=np.intp)
    distances = np.asarray(found["_distance"].to_numpy(), dtype=np.float64)
    if metric == "l2":
        distances = np.sqrt(distances)  # LanceDB gives the square
    kept = ~np.isin(rows, list(leave_out))
    return rows[kept][:top], distances[kept][:top]


def _condition(table: Any, filters: Filters) -> Any:
    """Return filters as an expression of LanceDB, whose values are literals: no query text is put together."""
    from lancedb.expr import col, lit

    parts = []
    for wanted, negated in zip(filters, (False, True), strict=True):
        for column, values in wanted.items():
            kind = str if str(table.schema.field(column).type) == "string" else float
            any_of = functools.reduce(operator.or_, (col(column) == lit(kind(v)) for v in values))
            parts.append(~any_of if negated else any_of)
    return functools.reduce(operator.and_, parts) if parts else None
