"""Splits: no group on two sides, the same division when plates are added, and a certificate that catches a leak."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from morphospace import schema, splitting
from morphospace.errors import InputError, LeakError, SchemaError

FRACTIONS = {"train": 0.6, "validation": 0.2, "test": 0.2}
COMPOUNDS = ["DMSO", "taxol", "nocodazole", "cytochalasin", "ALLN", "mevinolin/lovastatin"]
LEVELS = list(splitting.LEVELS)


def plate_of(name: str, wells: int, sites: int = 2) -> list[dict[str, Any]]:
    """Wells of six compounds in turn, five mechanisms, a batch for every two plates."""
    rows = []
    for i in range(wells):
        compound = COMPOUNDS[i % 6]
        for site in range(sites):
            rows.append(
                {
                    schema.PLATE: name,
                    schema.WELL: f"{'ABCDEFGH'[i // 12]}{i % 12 + 1:02}",
                    schema.SITE: str(site + 1),
                    schema.BATCH: f"Week{int(name[1:]) // 2}",
                    schema.COMPOUND: compound,
                    schema.CONCENTRATION: 1.0,
                    schema.MOA: {"nocodazole": "tubulin", "taxol": "tubulin"}.get(compound, f"moa of {compound}"),
                    schema.PERT_TYPE: "negcon" if compound == "DMSO" else "trt",
                }
            )
    return rows


def table(plates: int = 3, wells: int = 24, sites: int = 2, first: int = 0) -> pd.DataFrame:
    return pd.DataFrame([r for p in range(first, first + plates) for r in plate_of(f"P{p}", wells, sites)])


def cells_of(sets: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([sets.assign(ObjectNumber=n) for n in (1, 2, 3)], ignore_index=True)


def assign(sets: pd.DataFrame, by: str = "well", seed: int = 0, **fractions: float) -> tuple[pd.DataFrame, list[str]]:
    return splitting.assign(sets, by, schema.MOA, FRACTIONS | fractions, seed)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(LEVELS), st.integers(1, 5), st.integers(2, 40), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_no_group_stands_on_two_sides_and_train_and_test_are_never_empty(
    by: str, plates: int, wells: int, sites: int, seed: int
) -> None:
    sets = table(plates, wells, sites)
    count = splitting.groups(sets, by).nunique()
    assume(count > 1)
    splits, notes = assign(sets, by, seed)
    assert splits.groupby("Group")["Split"].nunique().max() == 1
    assert set(splits["Split"]) == ({"train", "test"} if count == 2 else {"train", "validation", "test"})
    assert (count == 2) == any("two groups only" in n for n in notes)
    certificate = splitting.verify(splits, cells_of(sets), by)
    assert certificate["levels"][by] == {"disjoint": True, "shared": 0, "groups": count}
    assert sum(certificate["groups"].values()) == count
    assert sum(certificate["cells"].values()) == 3 * len(sets)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(LEVELS), st.integers(3, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_adding_plates_leaves_the_others_as_they_are(by: str, before: int, more: int, seed: int) -> None:
    assume(splitting.groups(table(before), by).nunique() > 2)
    small, notes_before = assign(table(before, 18), by, seed)
    large, notes_after = assign(table(before + more, 18), by, seed)
    both = small.merge(large, on=schema.IMAGE_SET_KEY, suffixes=("", "_later"))
    assert len(both) == len(small)
    moved = both[both["Split"] != both["Split_later"]]["Group"].nunique()
    # Only the group that filled a split that was empty may change, and the notes say which.
    assert moved <= sum("would have been empty" in n for n in notes_before + notes_after)
    assert by not in ("site", "well") or moved == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 96), st.floats(0.3, 0.8), st.floats(0.05, 0.2), st.integers(0, 2**32 - 1))
def test_each_plate_has_the_wanted_shares_to_two_groups(wells: int, train: float, test: float, seed: int) -> None:
    wanted = {"train": train, "validation": 1 - train - test, "test": test}
    sets = table(3, max(wells, 3), 1)
    splits, notes = assign(sets, "well", seed, **wanted)
    if any("would have been empty" in n for n in notes):
        return
    for _, of_plate in splits.groupby(schema.PLATE):
        counts = of_plate["Split"].value_counts()
        for split, share in wanted.items():
            assert abs(counts.get(split, 0) - share * len(of_plate)) < 2


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_stratum_with_enough_wells_stands_in_every_split_of_its_plate(seed: int) -> None:
    sets = table(2, 72, 1)
    splits, notes = assign(sets, "well", seed)
    joined = splits.merge(sets, on=schema.IMAGE_SET_KEY)
    assert (joined.groupby([schema.PLATE, schema.MOA])["Split"].nunique() == 3).all()
    assert notes == []


def test_a_plate_s_first_well_is_train_as_often_as_train_is_large() -> None:
    sets = table(1, 12, 1)
    hits = [assign(sets, seed=seed)[0]["Split"].iloc[0] == "train" for seed in range(150)]
    assert abs(np.mean(hits) - 0.6) < 0.12


def test_another_seed_is_another_division_and_the_order_of_rows_is_none() -> None:
    sets = table()
    splits, _ = assign(sets)
    assert splits.equals(assign(sets.sample(frac=1, random_state=1))[0])
    assert not splits.equals(assign(sets, seed=1)[0])


def test_the_division_is_that_of_every_other_machine() -> None:
    """Golden: blake2 and error diffusion give the same letters everywhere."""
    splits, _ = assign(table(1, 12, 1), seed=2020)
    assert " ".join(s[:2] for s in splits["Split"]) == "te tr tr va va tr tr va tr tr tr te"


def test_names_of_groups_tell_wells_of_plates_apart() -> None:
    sets = table(2, 2, 1)
    assert splitting.groups(sets, "well").tolist() == ["P0/A01", "P0/A02", "P1/A01", "P1/A02"]
    assert splitting.groups(sets.assign(**{schema.COMPOUND: [None, "a", np.nan, "b"]}), "compound").tolist() == [
        "", "a", "", "b"]  # fmt: skip


def test_one_group_is_refused_and_the_levels_that_have_more_are_named() -> None:
    with pytest.raises(
        InputError, match=r"all cells are of one plate \('P0'\).*site \(8\), well \(4\), compound \(4\)$"
    ):
        assign(table(1, 4), "plate")
    with pytest.raises(InputError, match="levels that have more: none: bring more wells"):
        assign(table(1, 1, 1), "well")


def test_two_groups_are_train_and_test_and_it_is_said() -> None:
    splits, notes = assign(table(2, 4), "plate")
    assert sorted(splits.drop_duplicates("Group")["Split"]) == ["test", "train"]
    assert "there are two groups only (plate): one is train, one is test, there is no validation" in notes


@pytest.mark.parametrize("by", ["well", "compound"])
def test_a_validation_of_zero_stays_empty(by: str) -> None:
    splits, _ = assign(table(), by, validation=0.0, train=0.8)
    assert set(splits["Split"]) == {"train", "test"}


def test_an_empty_split_gets_the_nearest_group_and_it_is_said() -> None:
    told = {}
    for seed in range(60):
        splits, notes = assign(table(3, 3, 1), "plate", seed)
        assert set(splits["Split"]) == {"train", "validation", "test"}
        told[seed] = [n for n in notes if "would have been empty" in n]
    assert any(told.values())
    assert not all(told.values())


def test_strata_that_are_too_small_are_named() -> None:
    _, notes = assign(table(1, 6, 1))
    (note,) = [n for n in notes if "too few groups" in n]
    assert note.startswith("MoA with too few groups for every split: moa of ALLN (")


def certified(by: str = "well") -> tuple[pd.DataFrame, pd.DataFrame]:
    sets = table()
    return assign(sets, by)[0], cells_of(sets)


def test_the_certificate_states_every_level() -> None:
    splits, cells = certified()
    certificate = splitting.verify(splits, cells, "well")
    levels = certificate["levels"]
    assert list(levels) == ["site", "well", "plate", "compound", "batch"]
    assert [levels[n]["disjoint"] for n in levels] == [True, True, False, False, False]
    assert levels["plate"] == {"disjoint": False, "shared": 3, "groups": 3}
    assert certificate["notes"] == [
        "a result on test is one for a new well, of a plate, compound, batch that training has seen"
    ]


def test_controls_on_one_side_only_are_said() -> None:
    splits, cells = certified("compound")
    (note,) = [n for n in splitting.verify(splits, cells, "compound")["notes"] if "negative control" in n]
    assert note.endswith("normalise with the controls of a plate, whatever their split")


@pytest.mark.parametrize("by", ["well", "plate", "compound", "batch"])
def test_a_leak_is_refused_with_the_first_group_named(by: str) -> None:
    splits, cells = certified(by)
    sets = cells.drop_duplicates(schema.IMAGE_SET_KEY)
    names = splitting.groups(sets, by).to_numpy()
    row = splits.merge(sets[schema.IMAGE_SET_KEY].assign(Name=names)).query("Name == @names[5]").index[0]
    other = "train" if splits.loc[row, "Split"] != "train" else "test"
    leaking = splits.copy()
    leaking.loc[row, "Split"] = other
    with pytest.raises(LeakError, match=rf"{by} {names[5]} stands in .* and .* \(1 of \d+ groups leak\)"):
        splitting.verify(leaking, cells, by)


def test_a_division_by_site_passes_as_one_by_site_and_fails_as_one_by_well() -> None:
    splits, cells = certified("site")
    assert not splitting.verify(splits, cells, "site")["levels"]["well"]["disjoint"]
    with pytest.raises(LeakError, match="well P0/A01 stands in"):
        splitting.verify(splits, cells, "well")


def test_a_table_of_splits_that_does_not_fit_the_cells_is_refused() -> None:
    splits, cells = certified()
    with pytest.raises(InputError, match="no row for Plate P0, Well A01, Site 1, nor for 3 cells in all"):
        splitting.verify(splits.iloc[1:], cells, "well")
    with pytest.raises(InputError, match="'tset' is no split"):
        splitting.verify(splits.replace({"Split": {"test": "tset"}}), cells, "well")
    with pytest.raises(InputError, match="leaves no cell for test"):
        splitting.verify(splits.assign(Split="train"), cells, "well")
    with pytest.raises(SchemaError, match="more than once"):
        splitting.verify(pd.concat([splits, splits.iloc[:1]]), cells, "well")


@pytest.mark.parametrize("side", ["holdout", "Train", "", "test "])
def test_a_side_that_is_none_of_the_three_is_refused_with_its_row(tmp_path: Path, side: str) -> None:
    path = tmp_path / "splits.csv"
    columns = [*schema.IMAGE_SET_KEY, splitting.GROUP, schema.SPLIT]
    rows = [["P", "B02", "1", "P/B02", "train"], ["P", "B03", "1", "P/B03", side], ["P", "B04", "1", "P/B04", "test"]]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    with pytest.raises(InputError, match=rf"Split of image set P, B03, 1 is '{side}', .* train, validation, test \(1 "):
        splitting.read(path)


def test_a_written_table_is_read_as_text(tmp_path: Path) -> None:
    splits, _ = assign(table(3, 12).assign(**{schema.WELL: lambda t: t[schema.WELL].str[1:]}))
    splits.to_csv(tmp_path / "splits.csv", index=False)
    assert splitting.read(tmp_path / "splits.csv").equals(splits)
    with pytest.raises(InputError, match=r"other\.csv is missing"):
        splitting.read(tmp_path / "other.csv")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(InputError, match="is not a table"):
        splitting.read(tmp_path / "empty.csv")
    splits.drop(columns="Split").to_csv(tmp_path / "splits.csv", index=False)
    with pytest.raises(SchemaError, match="lacks Split"):
        splitting.read(tmp_path / "splits.csv")


def test_a_well_in_two_spellings_cannot_stand_on_two_sides() -> None:
    sets = table(plates=1, wells=12, sites=2)
    second = sets[schema.SITE] == "2"
    sets[schema.WELL] = sets[schema.WELL].mask(second, sets[schema.WELL].str.replace("A0", "A"))  # A01 and A1
    splits, _ = assign(sets)
    assert splits[splitting.GROUP].nunique() == 12
    splits[splitting.SPLIT] = np.where(splits[schema.SITE] == "2", "test", "train")
    with pytest.raises(LeakError, match="well P0/A01 stands in test and train"):
        splitting.verify(splits, cells_of(sets), "well")
