import numpy as np
import pytest
from rows import drawn, profiles
from sklearn.neighbors import NearestNeighbors

from morphospace.errors import InputError
from morphospace.metrics import nearest
from morphospace.metrics.nearest import NSC, NSCB, Profiles


def slow(known: Profiles, features: np.ndarray, metric: str, protocol: str, rule: str) -> dict[str, bool]:
    """The protocol in plain words: a loop over treatments, a loop over neighbours."""
    found = {}
    for i, name in enumerate(known.names):
        best, winner, possible = -np.inf, None, False
        for j in range(len(known)):
            if known.compounds[i] == known.compounds[j] or not known.mechanisms[j]:
                continue
            if protocol == NSCB:
                mine, other = known.batches[i], known.batches[j]
                if (mine & other) if rule == "strict" else ",".join(sorted(mine)) == ",".join(sorted(other)):
                    continue
            possible |= known.mechanisms[i] == known.mechanisms[j]
            a, b = features[i], features[j]
            if metric == "correlation":
                value = np.corrcoef(a, b)[0, 1]
            elif metric == "cosine":
                value = a @ b / np.sqrt((a @ a) * (b @ b))
            else:
                value = -np.sqrt(((a - b) ** 2).sum())
            if value > best:
                best, winner = value, known.mechanisms[j]
        if known.mechanisms[i] and possible:
            found[name] = winner == known.mechanisms[i]
    return found


@pytest.mark.parametrize("metric", ["cosine", "correlation", "euclidean"])
@pytest.mark.parametrize(("protocol", "rule"), [(NSC, "strict"), (NSCB, "strict"), (NSCB, "joined")])
def test_it_agrees_with_the_slow_obvious_way(metric: nearest.Metric, protocol: str, rule: nearest.Rule) -> None:
    for seed in range(2):
        known, features = drawn(n=40, seed=seed)
        found = nearest.vote(known, nearest.by_features(features, metric), protocol, rule)
        expected = slow(known, features, metric, protocol, rule)
        assert {known.names[i]: bool(h) for i, h in zip(found.scored, found.hits, strict=True)} == expected
        assert {x.name for x in found.left} == set(known.names) - set(expected)


@pytest.mark.parametrize("metric", ["cosine", "correlation", "euclidean"])
def test_the_nearest_are_those_of_scikit_learn(metric: nearest.Metric) -> None:
    _, features = drawn()
    letters = "".join(chr(200 + i) for i in range(60))  # a compound each: everyone may be a neighbour
    found = nearest.vote(profiles(letters, "M" * 60), nearest.by_features(features, metric), NSC)
    theirs = NearestNeighbors(n_neighbors=2, metric=metric, algorithm="brute").fit(features)
    second = theirs.kneighbors(features, return_distance=False)[:, 1]
    assert found.nearest == tuple((f"t{i}",) for i in second)


def test_strict_and_joined_differ_only_where_rows_were_in_several_batches() -> None:
    known = profiles("abc", "MMN", ["w1,w2", "w1", "w3"])
    similar = nearest.by_features(np.array([[0.0], [0.1], [5.0]]), "euclidean")
    strict = nearest.vote(known, similar, NSCB, "strict")
    joined = nearest.vote(known, similar, NSCB, "joined")
    assert not len(strict.scored)  # b shares week 1 with a, so neither can be right
    assert joined.hits.tolist() == [1, 1]
    assert dict(strict.left)["t0"] == "no other compound of M is of another batch"


def test_a_row_that_spans_all_batches_has_no_neighbour() -> None:
    known = profiles("abab", "MMMM", ["w1,w2", "w1", "w1,w2", "w2"])
    left = dict(nearest.vote(known, nearest.alike(4), NSCB).left)
    assert left == dict.fromkeys(["t0", "t1", "t2", "t3"], "no other compound is of another batch")


def test_who_cannot_be_right_is_named_and_stays_a_neighbour() -> None:
    known = profiles("abcd", "MMN.")
    # c is the only compound of N: it is not scored, and yet it leads a astray; d has no mechanism, so it is nobody's
    similar = nearest.by_features(np.array([[0.0], [1.0], [0.1], [0.01]]), "euclidean")
    found = nearest.vote(known, similar, NSC)
    assert dict(found.left) == {"t2": "N has one compound", "t3": "no mechanism is known"}
    assert found.nearest == (("t2",), ("t2",))
    assert found.hits.tolist() == [0, 0]


def test_ties_are_shared_whatever_the_order_of_rows() -> None:
    known = profiles("abcd", "MMNN")
    features = np.array([[0.0], [1.0], [1.0], [-1.0]])
    found = nearest.vote(known, nearest.by_features(features, "euclidean"), NSC)
    assert found.hits[0] == pytest.approx(1 / 3)
    assert found.nearest[0] == ("t1", "t2", "t3")
    order = [3, 1, 0, 2]
    turned = Profiles(*(tuple(part[i] for i in order) for part in vars(known).values()))
    again = nearest.vote(turned, nearest.by_features(features[order], "euclidean"), NSC)
    assert np.allclose(again.hits, found.hits[order])
    assert found.matrix.sum() == pytest.approx(4)


def test_rows_that_differ_by_rounding_are_tied() -> None:
    known = profiles("abc", "MMN")
    row = np.array([0.1, 0.2, 0.3, 0.4])
    found = nearest.vote(known, nearest.by_features(np.stack([row, row * 3, row * 7]), "cosine"), NSC)
    assert found.hits.tolist() == [0.5, 0.5]


def test_a_random_neighbour_is_right_as_often_as_there_are_right_ones() -> None:
    known, _ = drawn()
    hits = nearest.vote(known, nearest.alike(len(known)), NSC).hits
    rng = np.random.default_rng(0)
    may = nearest.allowed(known, NSC, "strict")(np.arange(len(known)))
    tried = [known.codes[rng.choice(np.flatnonzero(may[i]), 4000)] == known.codes[i] for i in range(len(known))]
    assert hits.mean() == pytest.approx(np.mean(tried), abs=0.005)


def test_sharing_prefers_those_with_a_value_in_common() -> None:
    near = nearest.sharing([frozenset("ab"), frozenset("b"), frozenset("c"), frozenset()])
    assert near(np.arange(4)).tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("metric", ["cosine", "correlation"])
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_the_angle_does_not_depend_on_the_scale(metric: nearest.Metric, scale: float) -> None:
    _, features = drawn(n=10)
    every = np.arange(10)
    assert np.allclose(
        nearest.by_features(features * scale, metric)(every), nearest.by_features(features, metric)(every)
    )


def test_a_row_without_a_direction_is_as_near_to_everything() -> None:
    rows = np.arange(3)
    assert not nearest.by_features(np.array([[0.0, 0], [1, 2], [3, 1]]), "cosine")(rows)[0].any()
    assert not nearest.by_features(np.array([[0.1, 0.1, 0.1], [1, 2, 4], [3, 1, 5]]), "correlation")(rows)[0].any()


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match=r"1 of 2 profiles have a feature that is NaN or infinite, the first is row 1"):
        nearest.by_features(np.array([[1.0, 2], [np.nan, 1]]), "cosine")


def test_few_numbers_are_compared_by_distance() -> None:
    assert [nearest.suited("cosine", n) for n in (1, 3, 4)] == ["euclidean", "euclidean", "cosine"]


def test_more_rows_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    known, features = drawn()
    similar = nearest.by_features(features, "cosine")
    whole = nearest.vote(known, similar, NSCB)
    monkeypatch.setattr(nearest, "BLOCK", 7)
    parts = nearest.vote(known, similar, NSCB)
    assert np.array_equal(parts.votes, whole.votes)
    assert (parts.nearest, parts.left) == (whole.nearest, whole.left)


def test_no_rows_and_no_mechanism() -> None:
    for known in (profiles("", ""), profiles("ab", "..")):
        found = nearest.vote(known, nearest.alike(len(known)), NSC)
        assert found.hits.shape == (0,)
        assert found.matrix.shape == (0, 0)
