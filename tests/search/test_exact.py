"""Exact search finds what scikit-learn finds by comparing every pair in 64 bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.neighbors import NearestNeighbors

from morphospace.search.exact import METRICS, Exact, Metric, distance

NAMES = {"cosine": "cosine", "l2": "euclidean"}
VALUES = st.floats(-100, 100, width=32).map(lambda v: 0.0 if abs(v) < 1e-6 else v)


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), top=st.integers(1, 12))
def test_neighbours_are_those_of_scikit_learn(metric: Metric, data: st.DataObject, top: int) -> None:
    shape = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 6)))
    vectors = data.draw(hnp.arrays(np.float32, shape, elements=VALUES))
    query = data.draw(hnp.arrays(np.float32, shape[1], elements=VALUES))
    mask = data.draw(hnp.arrays(np.bool_, shape[0]))
    rows, distances = Exact(vectors).nearest(query, metric, top, mask)
    kept = np.flatnonzero(mask)
    assert set(rows) <= set(kept)
    assert len(set(rows)) == len(rows) == min(top, len(kept))
    if not len(kept):
        return
    reference = NearestNeighbors(n_neighbors=len(rows), algorithm="brute", metric=NAMES[metric])
    wanted = reference.fit(vectors[kept].astype(np.float64)).kneighbors(query[None].astype(np.float64))[0][0]
    np.testing.assert_allclose(distances, wanted, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(distances, distance(vectors[rows], query, metric), rtol=0, atol=0)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_too_alike_for_32_bits_keep_the_order_of_64(metric: Metric) -> None:
    # Far from the origin and close together: in 32 bits the squared distances are noise.
    rng = np.random.default_rng(0)
    vectors = (1000 + rng.standard_normal((500, 20)) * 1e-2).astype(np.float32)
    query = vectors[7] + rng.standard_normal(20) * 1e-3
    rows, distances = Exact(vectors).nearest(query, metric, 10)
    every = distance(vectors, query, metric)
    np.testing.assert_array_equal(rows, np.argsort(every, kind="stable")[:10])
    assert (np.diff(distances) >= 0).all()


def test_of_equal_distances_the_first_row_is_first() -> None:
    vectors = np.float32([[0, 1], [1, 0], [0, -1], [-1, 0]])
    for metric in METRICS:
        rows, _ = Exact(vectors[[0, 0, 1, 0]]).nearest(vectors[0], metric, 3)
        np.testing.assert_array_equal(rows, [0, 1, 3])


def test_a_vector_of_zeros_has_no_direction() -> None:
    vectors = np.float32([[0, 0], [3, 4], [-3, -4]])
    rows, distances = Exact(vectors).nearest(np.array([6.0, 8.0]), "cosine", 3)
    np.testing.assert_array_equal(rows, [1, 0, 2])
    np.testing.assert_allclose(distances, [0, 1, 2], atol=1e-12)
    assert Exact(vectors).nearest(np.zeros(2), "cosine", 1)[1] == 1
