import numpy as np
import pandas as pd
import pytest
from wells import MECHANISMS, sites

from morphospace import reasons, schema
from morphospace.errors import InputError
from morphospace.metrics import moa, moa_floors
from morphospace.metrics.beside import CELL_COUNT, FLOORS, FloorError
from morphospace.profiling import build

HOW = moa.Settings("cosine", "strict", 3, 200, 200, 0.95, 7)
PLAIN = build.Settings(normalize="none")  # the drawn controls lie at 0 and vary by 1
PIXELS = dict.fromkeys(moa_floors.PIXELS, "no pixels")


def scored(table: pd.DataFrame, how: moa.Settings = HOW) -> moa.Card:
    made = build.build(table, PLAIN)
    floors = PIXELS | {CELL_COUNT: moa_floors.cell_count(made, PLAIN)}
    of = moa_floors.tables(made)
    return moa.card(of, moa_floors.features(of), floors, how)


@pytest.fixture(scope="module")
def clear() -> moa.Card:
    return scored(sites(signal=12.0))


def test_mechanisms_that_lie_apart_are_all_recognised(clear: moa.Card) -> None:
    record = clear.record()
    assert [record[n] for n in ("NSC", "NSCB", "top_hit")] == [1, 1, 1]
    assert record["mAP"] == pytest.approx(1)
    assert record["mAP_replicates"] == pytest.approx(1)
    assert record["mAP_significant"] == record["mAP_groups"] == len(MECHANISMS)
    assert "better than the best of the 4 floors measured" in record["verdict"]


def test_noise_is_as_good_as_a_random_neighbour() -> None:
    found = scored(sites(signal=0.0, compounds=12)).record()
    for name in ("NSC", "mAP"):
        assert found[name] == pytest.approx(found[f"{name}_uniform"], abs=0.12)


def test_a_compound_asks_in_the_space_of_the_model_that_never_saw_it(clear: moa.Card) -> None:
    table = sites(signal=12.0)
    made = build.build(table, PLAIN)
    of = moa_floors.tables(made)
    floors = PIXELS | {CELL_COUNT: moa_floors.cell_count(made, PLAIN)}
    told = moa_floors.features(of)
    compounds = sorted(set(table.loc[table[schema.PERT_TYPE] != schema.NEGCON, schema.COMPOUND]))
    alike = moa.card(of, moa.LeftOut(dict.fromkeys(compounds, told)), floors, HOW)
    assert alike.record() == clear.record()
    # In the space of its own model each compound lies among another mechanism; in the others' spaces it does not.
    names = np.array(sorted(set(table[schema.MOA]) - {"DMSO"}))
    spaces = {}
    for compound in compounds:
        moved = {}
        for name, rows in of.items():
            mine = (rows[schema.COMPOUND] == compound).to_numpy()
            mechanism = rows.loc[mine, schema.MOA].iloc[0]
            other = names[(np.flatnonzero(names == mechanism)[0] + 1) % len(names)]
            moved[name] = told[name].copy()
            moved[name][mine] = told[name][(rows[schema.MOA] == other).to_numpy()].mean(axis=0)
        spaces[compound] = moved
    record = moa.card(of, moa.LeftOut(spaces), floors, HOW).record()
    assert (record["NSC"], record["top_hit"]) == (0, 0)


def test_every_score_has_every_floor_under_a_flat_name(clear: moa.Card) -> None:
    record = clear.record()
    assert {f"{n}_{floor}" for n in moa.SCORES for floor in FLOORS} <= set(record)
    assert [k for k, v in record.items() if isinstance(v, dict)] == [reasons.KEY]
    assert reasons.missing(record) == []
    assert record["batch_rule_meaning"] == "no batch in common"
    assert record["floors_not_measured"] == "mean intensity, random projection, pca (no pixels)"


def test_a_card_without_a_floor_cannot_be_made() -> None:
    made = build.build(sites(), build.Settings())
    of = moa_floors.tables(made)
    with pytest.raises(FloorError, match="NSC has no floor cell_count"):
        moa.card(of, moa_floors.features(of), PIXELS, HOW)


def test_a_mechanism_with_one_compound_is_named(clear: moa.Card) -> None:
    table = sites(signal=12.0)
    left = table[~table[schema.COMPOUND].isin(["Eg5-1", "Eg5-2"])]
    found = scored(left)
    assert found.record()["NSC_left"] == 2
    assert "NSC: Eg5-0 1: Eg5 has one compound" in found.not_scored()
    shown = found.table().set_index("treatment").loc["Eg5-0 1"]
    assert np.isnan(shown["NSC"])
    assert shown["NSC_left"] == "Eg5 has one compound"
    assert shown["NSC_nearest"] == ""


def test_when_nothing_can_be_scored_it_says_so() -> None:
    for table in (sites(compounds=1), sites().assign(**{schema.MOA: schema.UNKNOWN})):
        found = scored(table)
        assert found.record()["NSC_n"] == 0
        assert "was not measured" in found.record()["verdict"]
        assert found.matrices() == {}


def test_the_layout_is_a_floor_that_replicates_must_beat(clear: moa.Card) -> None:
    # replicates stand in the same well of two plates: their place alone finds them
    assert clear.record()["mAP_replicates_same_layout"] > clear.record()["mAP_replicates_uniform"]


def test_the_table_names_the_nearest_of_each_treatment(clear: moa.Card) -> None:
    table = clear.table()
    mechanism = dict(zip(table["treatment"], table[schema.MOA], strict=True))
    assert all(mechanism[near] == mine for near, mine in zip(table["NSC_nearest"], table[schema.MOA], strict=True))
    assert clear.matrices()["NSC"][0].trace() == len(table)


def test_it_is_the_same_each_time(clear: moa.Card) -> None:
    assert scored(sites(signal=12.0)).record() == clear.record()


def test_cells_per_site_are_a_floor_of_their_own() -> None:
    table = sites()
    codes = table[schema.MOA].map({m: i for i, m in enumerate(MECHANISMS)}).fillna(-1).to_numpy()
    rng = np.random.default_rng(0)
    told = table.assign(Metadata_Object_Count=50 + 40 * codes.astype(int) + rng.integers(0, 3, len(table)))
    assert scored(told).record()["NSC_cell_count"] > 0.9
    made = build.build(table.drop(columns="Metadata_Object_Count"), PLAIN)
    assert moa_floors.cell_count(made, PLAIN) == "the profiles do not say how many cells they are made of"


def test_pixels_give_profiles_of_the_same_rows_as_the_embedding() -> None:
    table = sites()
    rows = table.assign(**{schema.OBJECT: 1})
    made = build.build(table, PLAIN)
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 255, (len(table), 3, 8, 8), dtype=np.uint8)
    values = moa_floors.pixels(tiles, 6, np.arange(len(table)), 1000, 1)
    assert {name: x.shape[1] for name, x in values.items()} == {"mean_intensity": 3, "random_projection": 6, "pca": 6}
    found = moa_floors.profiled(rows, values["pca"], PLAIN, made)
    assert {n: len(x) for n, x in found.items()} == {n: len(t) for n, t in moa_floors.tables(made).items()}
    with pytest.raises(InputError, match="both must be of the same run"):
        moa_floors.profiled(rows.iloc[4:], values["pca"][4:], PLAIN, made)


def test_a_table_of_wells_alone_is_scored_by_its_wells() -> None:
    wells = build.build(sites(signal=12.0), PLAIN).wells
    assert scored(wells).record()["top_hit"] == 1
