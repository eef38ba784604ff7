import numpy as np
import pytest
from rows import drawn, profiles

from morphospace.metrics import nearest
from morphospace.metrics.nearest import Profiles
from morphospace.metrics.top_hits import top_hits


def slow(known: Profiles, near: np.ndarray, top: int) -> dict[str, str]:
    """Row 004-17 in plain words."""
    found = {}
    for compound in sorted(set(known.compounds)):
        images = [i for i, c in enumerate(known.compounds) if c == compound]
        others = [i for i, c in enumerate(known.compounds) if c != compound]
        counts = dict.fromkeys(known.classes, 0)
        for image in images:
            for hit in sorted(others, key=lambda j: -near[image, j])[:top]:
                counts[known.mechanisms[hit]] += 1
        could = {m: sum(known.mechanisms[i] == m for i in others) for m in known.classes}
        found[compound] = max(known.classes, key=lambda m: counts[m] / could[m] if could[m] else 0)
    return found


@pytest.mark.parametrize("top", [1, 3, 10])
def test_it_agrees_with_the_slow_obvious_way(top: int) -> None:
    known, features = drawn(n=90)
    similar = nearest.by_features(features, "cosine")
    found = top_hits(known, similar, top)
    said = {found.profiles.names[i]: known.classes[v.argmax()] for i, v in zip(found.scored, found.votes, strict=True)}
    alone = {x.name for x in found.left}
    expected = {c: m for c, m in slow(known, similar(np.arange(90)), top).items() if c not in alone}
    decided = {found.profiles.names[i] for i, v in zip(found.scored, found.votes, strict=True) if v.max() == 1}
    assert {c: m for c, m in said.items() if c in decided} == {c: m for c, m in expected.items() if c in decided}
    assert len(decided) > 10


def test_counts_are_divided_by_how_many_could_be_found() -> None:
    # a's images find one M (of one that could be found) and two N (of four): a share of 1 beats one of 1/2
    known = profiles("abcccc", "MMNNNN")
    features = np.array([[0.0], [0.1], [0.2], [0.3], [9.0], [9.1]])
    found = top_hits(known, nearest.by_features(features, "euclidean"), 3)
    assert found.hits[0] == 1


def test_equal_hits_at_the_end_of_the_list_are_shared() -> None:
    known = profiles("abcdef", "MMMNNN")
    found = top_hits(known, nearest.alike(6), 2)
    assert np.allclose(found.hits, 0.5)  # nothing is known: one of two mechanisms


def test_a_mechanism_with_one_compound_is_left_out_and_named() -> None:
    found = top_hits(profiles("aabcc.", "MMMNN."), nearest.alike(6), 10)
    assert found.profiles.names == ("a", "b", "c")
    assert dict(found.left) == {"c": "N has one compound"}


def test_nothing_known_is_nothing_scored() -> None:
    found = top_hits(profiles("ab", ".."), nearest.alike(2), 10)
    assert found.hits.shape == (0,)
