"""Pairs: every class in every minibatch, compounds alike, the same draws for the same seed and epoch."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from morphospace import schema, splitting
from morphospace.errors import TrainingError
from morphospace.training import cells
from morphospace.training.data import Labels, Minibatches, Pairs, loaders


def _labels(classes: Any, subclasses: Any, treatments: Any = None, groups: Any = None) -> Labels:
    classes = np.asarray(classes, dtype=np.int64)
    zero = np.zeros(len(classes), np.int64)
    names = [f"class {i}" for i in range(int(classes.max(initial=-1)) + 1)]
    given = [zero if of is None else np.asarray(of) for of in (treatments, groups)]
    return Labels(*given, classes, np.asarray(subclasses, dtype=np.int64), names, "Metadata_MoA")


@settings(max_examples=60, deadline=None)
@given(
    cells=st.lists(st.tuples(st.integers(-1, 4), st.integers(0, 3)), min_size=1, max_size=60),
    seed=st.integers(0, 9),
    epoch=st.integers(0, 5),
    part=st.integers(1, 3),
)
def test_a_minibatch_has_an_anchor_and_another_cell_of_every_class(
    cells: list[tuple[int, int]], seed: int, epoch: int, part: int
) -> None:
    classes, compounds = np.array(cells).T
    # A compound is of one class.
    labels = _labels(classes, 10 * (classes + 1) + compounds)
    rows = np.arange(len(cells))[::part]
    counts = {c: int((classes[rows] == c).sum()) for c in set(classes.tolist()) - {-1}}
    usable = sorted(c for c, n in counts.items() if n > 1)
    if len(usable) < 2:
        with pytest.raises(TrainingError, match=rf"two classes of Metadata_MoA .* there are {len(usable)}"):
            Pairs(rows, labels, seed)
        return
    pairs = Pairs(rows, labels, seed, lambda: epoch)
    drawn = list(pairs)
    seen = sum(counts[c] for c in usable)
    assert len(drawn) == len(pairs) == max(1, round(seen / (2 * len(usable))))
    for batch in drawn:
        anchors, positives = batch.chunk(2)
        assert set(batch.tolist()) <= set(rows.tolist())
        assert classes[anchors].tolist() == classes[positives].tolist() == usable
        assert (anchors != positives).all()
        for a, p in zip(anchors.tolist(), positives.tolist(), strict=True):
            several = len(set(compounds[rows[classes[rows] == classes[a]]])) > 1
            assert (compounds[a] != compounds[p]) == several
    again = list(Pairs(rows, labels, seed, lambda: epoch))
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))


def test_the_draws_depend_on_seed_and_epoch_alone() -> None:
    labels = _labels(np.arange(200) % 4, np.arange(200) % 12)
    epoch = 0
    pairs = Pairs(np.arange(200), labels, 1, lambda: epoch)

    def drawn() -> list[int]:
        return torch.cat(list(pairs)).tolist()  # type: ignore[no-any-return]

    first = drawn()
    torch.manual_seed(99)
    assert drawn() == first
    epoch = 3
    third = drawn()
    assert third != first
    # A resumed training begins with a later epoch.
    assert torch.cat(list(Pairs(np.arange(200), labels, 1, lambda: 3))).tolist() == third
    assert torch.cat(list(Pairs(np.arange(200), labels, 2, lambda: 3))).tolist() != third


def test_compounds_are_drawn_alike_however_many_cells_they_have() -> None:
    """Of 4,000 draws, a compound with 500 cells has as many as one with 5, as anchor and as positive."""
    sizes = [500, 5, 50, 20]
    compounds = np.repeat(np.arange(4), sizes)
    compounds = np.concatenate([compounds, np.full(len(compounds), 9)])
    labels = _labels(np.repeat([0, 1], len(compounds) // 2), compounds)
    drawn = [b for e in range(14) for b in Pairs(np.arange(len(compounds)), labels, 0, lambda e=e: e)]
    batches = torch.stack(drawn).numpy()
    assert len(batches) == 14 * 288
    for column in (0, 2):
        counts = np.bincount(compounds[batches[:, column]], minlength=4)[:4]
        expected = len(batches) / 4
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 16.3  # 0.1 % of fair draws are above, three degrees of freedom
    # Inside a compound, and in the class of one compound, every cell is drawn.
    few = batches[:, 0][compounds[batches[:, 0]] == 1]
    assert set(few) == set(range(500, 505))


@pytest.mark.parametrize("pairs", [True, False])
def test_validation_is_the_same_each_time_and_training_is_not(pairs: bool) -> None:
    labels = _labels(np.arange(80) % 4, np.arange(80) % 8)
    epochs = iter((0, 1))
    given = loaders(np.arange(40), np.arange(40, 80), 8, 5, lambda: next(epochs), labels, pairs)
    first, second = ([torch.cat(list(batches)).tolist() for batches in given if batches] for _ in range(2))
    assert first[0] != second[0]
    assert first[1] == second[1]
    assert set(first[1]) <= set(range(40, 80))
    if not pairs:
        assert sorted(first[1]) == list(range(40, 80))
        assert first[1] != sorted(first[1])  # neighbours of a table are of one well


def test_without_labels_the_minibatches_are_as_ever() -> None:
    train, validation = loaders(np.arange(20), np.arange(20, 30), 8, 1)
    assert isinstance(train, Minibatches)
    assert validation is not None
    assert torch.cat(list(validation)).tolist() == list(range(20, 30))
    assert loaders(np.arange(20), np.arange(0), 8, 1)[1] is None
    with pytest.raises(TrainingError, match="trained on pairs of labelled cells, and no labels"):
        loaders(np.arange(20), np.arange(0), 8, 1, pairs=True)


def test_too_few_classes_of_validation_are_named_as_such() -> None:
    labels = _labels([0, 0, 1, 1, 0, 0, 1], [0, 0, 1, 1, 0, 0, 1])
    with pytest.raises(TrainingError, match="with two validation crops each, there are 1"):
        loaders(np.arange(4), np.arange(4, 7), 8, 1, labels=labels, pairs=True)


def test_a_treatment_in_one_group_alone_cannot_be_compared() -> None:
    labels = _labels([0] * 4, [0] * 4, [0, 0, 1, 1], [0, 1, 2, 2])
    labels.require_positives(np.arange(4))
    with pytest.raises(TrainingError, match=r"every treatment of the training crops is in one alone"):
        labels.require_positives(np.array([0, 2, 3]))


@pytest.fixture
def table() -> pd.DataFrame:
    """Cells of three mechanisms over wells, one well of a fourth, one training cell of a fifth, and unknown ones."""
    rows = []
    moas = {"A01": "Actin", "A02": "Actin", "A03": "DNA", "A04": "DNA", "A05": "Lonely", "A06": "unknown", "A07": ""}
    moas |= {"A08": "Rare", "A09": "Rare"}
    for well, moa in moas.items():
        for n in range(1 if well == "A08" else 4):
            compound = f"{moa} {n % 2}"
            rows.append(("P1", well, "1", "B1", compound, float(n // 2), moa, "trt", n + 1))
            rows.append(("P2", well, "1", "B2", compound, float(n // 2), moa, "trt", n + 1))
    found = pd.DataFrame(rows, columns=[*schema.METADATA, schema.OBJECT])
    train = ~found[schema.WELL].isin(["A02", "A09"])
    train &= ~((found[schema.WELL] == "A08") & (found[schema.PLATE] == "P2"))
    found[schema.SPLIT] = np.where(train, schema.TRAIN, schema.TEST)
    return found.sort_values(schema.OBJECT_KEY, ignore_index=True)


def _sides(table: pd.DataFrame, by: str = "well") -> pd.DataFrame:
    sets = table.drop_duplicates(schema.IMAGE_SET_KEY)
    return sets[[*schema.IMAGE_SET_KEY, schema.SPLIT]].assign(**{splitting.GROUP: splitting.groups(sets, by)})


def test_labels_name_treatments_wells_and_compounds(table: pd.DataFrame) -> None:
    found = cells.labels(table, _sides(table))
    for of, columns in (
        (found.treatments, [schema.COMPOUND, schema.CONCENTRATION]),
        (found.groups, [schema.PLATE, schema.WELL]),
        (found.subclasses, [schema.COMPOUND]),
    ):
        names = table[columns].astype(str).agg("/".join, axis=1)
        assert len(pd.DataFrame({"number": of, "name": names}).drop_duplicates()) == len(set(of)) == names.nunique()
    assert len(set(cells.labels(table, _sides(table), "batch").groups)) == 2


def test_what_is_no_class_or_cannot_be_learnt_is_left_out_and_named(
    table: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    found = cells.labels(table, _sides(table))
    assert found.names == ["Actin", "DNA", "Lonely"]
    names = np.array([*found.names, ""])[found.classes]
    assert (names == table[schema.MOA].where(table[schema.MOA].isin(found.names), "")).all()
    assert "1 of 4 classes of Metadata_MoA left out (Rare: 1 training cell)" in caplog.text


def test_a_class_of_one_group_of_the_split_is_left_out(table: pd.DataFrame, caplog: pytest.LogCaptureFixture) -> None:
    one = table[(table[schema.PLATE] == "P1") & (table[schema.MOA] != "Rare")].reset_index(drop=True)
    found = cells.labels(one, _sides(one))
    assert found.names == ["Actin", "DNA"]
    assert "Lonely: all cells in one group of the split, so it cannot be both learnt and tested" in caplog.text
    with pytest.raises(TrainingError, match=r"two classes of Metadata_MoA .* there are 0"):
        Pairs(np.arange(len(one)), cells.labels(one.assign(**{schema.MOA: schema.UNKNOWN}), _sides(one)), 0)
