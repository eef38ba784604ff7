"""A database is whole or not there, says what it was built of, and finds what a search of the table finds."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from morphospace import schema
from morphospace.apps.cloud.server import Server
from morphospace.errors import DiskError, InputError, SchemaError
from morphospace.search import approximate, database, levels, store
from morphospace.search.database import DISTANCE, RANK, ROW, Database
from morphospace.search.exact import METRICS, Metric

COMPOUNDS = ["DMSO", "mevinolin/lovastatin", "5'-fluoro, 98%", 'a "b"', "' OR 1=1 --", "(R)-x; DROP TABLE cell", "\\"]
ORIGIN = {schema.MODEL: "aaaa", schema.WEIGHTS: "b" * 64}
NAMES = {"cosine": "cosine", "l2": "euclidean"}


def cells(rows: int = 210, seed: int = 0, width: int = 5) -> pd.DataFrame:
    """Return an embedding table: three plates, seven wells with a compound each, of which one is hostile by name."""
    rng = np.random.default_rng(seed)
    number = np.arange(rows)
    found = pd.DataFrame({schema.PLATE: [f"P{i % 3}" for i in number], schema.WELL: [f"B0{i % 7}" for i in number]})
    found = found.assign(**{schema.SITE: "1", schema.OBJECT: number + 1})
    found[schema.BATCH] = found[schema.PLATE].map({"P0": "W1", "P1": "W1", "P2": "W2"})
    found[schema.COMPOUND] = [COMPOUNDS[i % 7] for i in number]
    found[schema.CONCENTRATION] = [np.nan if i % 7 == 6 else float(i % 7) / 10 for i in number]
    found[schema.MOA] = [None if i % 7 == 6 else ["DMSO", "x", "y"][i % 7 % 3] for i in number]
    found[schema.PERT_TYPE] = np.where(number % 7 == 0, "negcon", "trt")
    latent = rng.standard_normal((rows, width)).astype(np.float32)
    return found.join(pd.DataFrame(latent, columns=schema.latent_names(width)))


def _png(rows: pd.DataFrame) -> list[bytes]:
    return [f"png {number}".encode() for number in rows[schema.OBJECT]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with crops, searched exactly."""
    place = tmp_path_factory.mktemp("search") / "exact"
    database.build(str(place), "k", cells(), ORIGIN, _png)
    return place


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of the same cells that is large by its own lights: searched through an index."""
    place = tmp_path_factory.mktemp("search") / "indexed"
    database.build(str(place), "k", cells(), ORIGIN, exact_up_to=100)
    return place


@pytest.mark.parametrize("metric", METRICS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.integers(0, 209),
    with_=st.lists(st.sampled_from([*(f"compound:{c}" for c in COMPOUNDS), "plate:P1", "batch:W1"]), max_size=3),
    without=st.lists(st.sampled_from([*(f"compound:{c}" for c in COMPOUNDS), "plate:P2", "moa:x"]), max_size=2),
)
def test_neighbours_are_those_of_scikit_learn_among_the_rows_that_pass(
    folder: Path, indexed: Path, metric: Metric, row: int, with_: list[str], without: list[str]
) -> None:
    table = cells()
    vectors = table[schema.latent_columns(table)].to_numpy()
    keep = np.ones(len(table), dtype=bool)
    columns = {"compound": schema.COMPOUND, "plate": schema.PLATE, "batch": schema.BATCH, "moa": schema.MOA}
    for name, column in columns.items():
        asked = [t.partition(":")[2] for t in with_ if t.startswith(f"{name}:")]
        keep &= table[column].isin(asked).to_numpy() if asked else True
        keep &= ~table[column].isin([t.partition(":")[2] for t in without if t.startswith(f"{name}:")]).to_numpy()
    for place in (folder, indexed):
        base = database.opened(str(place))
        if not keep.any():
            with pytest.raises(InputError, match="nothing is left to search"):
                base.nearest(vectors[row], "cell", metric, 5, with_, without)
            continue
        found = base.nearest(vectors[row], "cell", metric, 5, with_, without)
        reference = NearestNeighbors(n_neighbors=min(5, keep.sum()), algorithm="brute", metric=NAMES[metric])
        wanted = reference.fit(vectors[keep].astype(np.float64)).kneighbors(vectors[[row]].astype(np.float64))[0][0]
        if base.exact("cell", metric):
            np.testing.assert_allclose(found[DISTANCE], wanted, atol=2e-4)
        assert keep[found[ROW]].all()
        assert len(found) == len(wanted)


def test_rows_come_back_as_they_went_in(folder: Path) -> None:
    base, table = database.opened(str(folder)), cells()
    rows = base.table("cell")
    for column in [c for c in table.columns if c not in schema.latent_columns(table)]:
        assert levels.text(rows[column]).tolist() == levels.text(table[column]).tolist(), column
    np.testing.assert_array_equal(base.vectors("cell"), table[schema.latent_columns(table)])
    assert base.about._replace(key="") == store.About(
        store.FORMAT, "", "aaaa", "b" * 64, 5, {"cell": 210, "well": 21, "treatment": 6}, True, None, None
    )
    found = base.nearest(base.vectors("cell")[3], top=4)
    assert found[RANK].tolist() == [1, 2, 3, 4]
    assert found[levels.ID][0] == "P0/B03/1/4"
    assert found[DISTANCE][0] == pytest.approx(0, abs=1e-7)
    assert base.nearest(base.vectors("cell")[3], top=300, leave_out=[3])[ROW].tolist().count(3) == 0


def test_crops_come_in_the_order_asked_for(folder: Path, indexed: Path) -> None:
    assert database.opened(str(folder)).crops([7, 2, 209, 7]) == [b"png 8", b"png 3", b"png 210", b"png 8"]
    with pytest.raises(InputError, match="holds no crops"):
        database.opened(str(indexed)).crops([0])


def test_wells_and_treatments_are_searched_by_their_means_and_by_all_tags_of_their_cells(folder: Path) -> None:
    base, table = database.opened(str(folder)), cells()
    mean = table[(table[schema.PLATE] == "P1") & (table[schema.WELL] == "B02")][schema.latent_columns(table)].mean()
    found = base.nearest(mean.to_numpy(), "well", "l2", 1)
    assert found[levels.ID].tolist() == ["P1/B02"]
    assert found[DISTANCE][0] < 1e-5
    treatments = base.nearest(mean.to_numpy(), "treatment", "l2", 10)
    assert set(treatments[schema.PLATE]) == {"P0, P1, P2"}
    assert len(base.nearest(mean.to_numpy(), "treatment", with_=["plate:P2"])) == 6
    with pytest.raises(InputError, match="nothing is left"):
        base.nearest(mean.to_numpy(), "treatment", without=["plate:P2"])


def test_a_query_of_another_length_or_metric_is_refused(folder: Path) -> None:
    base = database.opened(str(folder))
    for bad in (np.zeros(4), np.full(5, np.nan), np.zeros((1, 5))):
        with pytest.raises(InputError, match="a query is 5 finite numbers"):
            base.nearest(bad)
    with pytest.raises(InputError, match="metric 'angle' is none of cosine, l2"):
        base.nearest(np.ones(5), metric="angle")  # type: ignore[arg-type]


def test_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    base = database.opened(str(folder))
    base.check_model(ORIGIN, "data/models")
    for other in ({**ORIGIN, schema.WEIGHTS: "c" * 64}, {**ORIGIN, schema.MODEL: "dddd"}):
        with pytest.raises(InputError, match=r"the embeddings are of model aaaa \(weights bbbbbbbb\), data/models is"):
            base.check_model(other, "data/models")
    database.build(str(tmp_path / "x"), "k", cells(10), {})
    with pytest.raises(InputError, match=r"do not say which model made them, and m is aaaa"):
        database.opened(str(tmp_path / "x")).check_model(ORIGIN, "m")


def test_a_bad_table_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    place = tmp_path / "x"
    bad = cells(10)
    bad.loc[3, "Cells_Latent_002"] = np.nan
    with pytest.raises(InputError, match=r"row 3 .*: Cells_Latent_002 is nan"):
        database.build(str(place), "k", bad, ORIGIN)
    with pytest.raises(SchemaError, match="lacks Metadata_MoA"):
        database.build(str(place), "k", cells(10).drop(columns=schema.MOA), ORIGIN)
    with pytest.raises(SchemaError, match="more than once"):
        database.build(str(place), "k", pd.concat([cells(2), cells(2)], ignore_index=True), ORIGIN)
    assert store.read(str(place)) is None
    with pytest.raises(InputError, match="holds no whole database"):
        database.opened(str(place))


def test_a_database_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    place = str(tmp_path / "x")
    old, new = "0" * 16, "1" * 16
    database.build(place, old, cells(20), ORIGIN)

    def broken(rows: pd.DataFrame) -> list[bytes]:
        raise InputError("P0.zip is damaged")

    with pytest.raises(InputError, match=r"P0\.zip is damaged"):
        database.build(place, new, cells(30), ORIGIN, broken)
    assert database.opened(place).about.rows["cell"] == 20
    assert len(database.opened(place).nearest(np.ones(5), top=100)) == 20
    database.build(place, new, cells(30), ORIGIN)
    assert len(database.opened(place).nearest(np.ones(5), top=100)) == 30
    assert sorted(store.names(store.connect(place))) == ["about", f"cell-{new}", f"treatment-{new}", f"well-{new}"]


def test_what_is_no_database_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(
        DiskError,
        match=r"file: (file exists|not a directory); a file stands where a folder is needed.*name another place",
    ):
        database.build(str(tmp_path / "file"), "k", cells(5), ORIGIN)
    assert store.read(str(tmp_path / "absent")) is None
    (tmp_path / "odd" / "about.lance").mkdir(parents=True)
    (tmp_path / "odd" / "about.lance" / "x").write_text("x")
    with pytest.raises(InputError, match="odd cannot be used as a database"):
        store.read(str(tmp_path / "odd"))


def test_the_recall_of_an_index_is_what_it_finds_of_the_exact_neighbours(indexed: Path, folder: Path) -> None:
    base, whole = (Database(str(p), database.opened(str(p)).about) for p in (indexed, folder))
    assert base.about.recall is not None
    assert base.about.recall >= approximate.WANTED
    assert not base.exact("cell", "cosine")
    assert base.exact("cell", "l2")
    assert base.exact("well", "cosine")
    hits = [len(set(base.nearest(v)[ROW]) & set(whole.nearest(v)[ROW])) / 10 for v in whole.vectors("cell")[::7]]
    assert np.mean(hits) == pytest.approx(base.about.recall, abs=0.1)
    found, exact = base.nearest(np.ones(5), leave_out=[0, 1]), whole.nearest(np.ones(5), leave_out=[0, 1])
    same = found.merge(exact, on=ROW, suffixes=("", "_exact"))
    np.testing.assert_allclose(same[DISTANCE], same[f"{DISTANCE}_exact"], atol=1e-5)
    assert not set(found[ROW]) & {0, 1}


_KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from test_database import ORIGIN, cells
from morphospace.search import database, store
store._ROWS = 50
def die(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return [b"x"] * len(_[0]) if {where!r} == "crops" else None
left = {left}
given = {{"crops": die}} if {where!r} == "crops" else {{"step": die}}
database.build({place!r}, "new", cells(210), ORIGIN, **given)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("where", "left"), [("crops", 1), ("crops", 3), ("step", 5)])
def test_a_kill_while_building_leaves_no_half_database(tmp_path: Path, where: str, left: int) -> None:
    place = str(tmp_path / "x")
    database.build(place, "old", cells(20), ORIGIN)
    script = _KILLED.format(paths=[str(Path(__file__).parent)], where=where, left=left, place=place)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == -9, done.stderr
    assert len(database.opened(place).nearest(np.ones(5), top=300)) == 20
    database.build(place, "new", cells(210), ORIGIN)
    assert len(database.opened(place).nearest(np.ones(5), top=300)) == 210


@pytest.mark.slow
def test_a_bucket_holds_the_same_database(s3: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    place = "s3://morphospace/search/here"
    assert store.read(place) is None
    database.build(place, "k", cells(), ORIGIN, _png)
    there, here = database.opened(place), database.opened(str(folder))
    asked = here.vectors("cell")[5]
    pd.testing.assert_frame_equal(there.nearest(asked, with_=["plate:P1"]), here.nearest(asked, with_=["plate:P1"]))
    assert there.crops([3]) == [b"png 4"]
