import numpy as np
import pandas as pd
import pytest

from morphospace import schema
from morphospace.errors import InputError
from morphospace.profiling import select
from morphospace.profiling.features import pycytominer


def table(values: np.ndarray, treatments: list[str]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"Cells_{i}" for i in range(values.shape[1])]).assign(t=treatments)


def test_replicates_that_agree_are_told_from_those_that_do_not() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20)
    signal = np.concatenate([truth + 0.1 * rng.normal(size=20) for _ in range(3)])
    noise, flat = rng.normal(size=60), np.full(60, 0.1)
    made = table(np.stack([signal, noise, flat], axis=1), [f"t{i}" for i in range(20)] * 3)
    found = select.replicate_correlation(made, ["Cells_0", "Cells_1", "Cells_2"], ["t"], 3)
    first, second, third = signal[:20], signal[20:40], signal[40:]
    pairs = [np.corrcoef(a, b)[0, 1] for a, b in ((first, second), (first, third), (second, third))]
    assert found[0] == pytest.approx(np.median(pairs))
    assert abs(found[1]) < 0.5
    assert np.isnan(found[2])


def test_only_treatments_with_as_many_replicates_count() -> None:
    rng = np.random.default_rng(1)
    made = table(rng.normal(size=(10, 1)), ["a", "b", "c", "d", "a", "b", "c", "d", "e", "e"])
    more = pd.concat([made, table(np.full((3, 1), 99.0), ["f", "f", "f"])], ignore_index=True)
    two = [select.replicate_correlation(t, ["Cells_0"], ["t"], 2)[0] for t in (made, more)]
    assert two[0] == two[1]


def test_too_few_treatments_are_refused() -> None:
    with pytest.raises(InputError, match="1 treatment with exactly 2 wells; a correlation needs 3"):
        select.replicate_correlation(table(np.ones((3, 1)), ["a", "a", "b"]), ["Cells_0"], ["t"], 2)


def test_of_twins_of_one_sign_the_same_goes_as_in_pycytominer() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=(80, 6)) @ rng.random((6, 30)) + 0.2 * rng.normal(size=(80, 30))
    names = [f"Cells_{i:02d}" for i in range(30)]
    for threshold in (0.6, 0.8, 0.95):
        gone = pycytominer().operations.correlation_threshold(
            pd.DataFrame(values, columns=names), features=names, threshold=threshold
        )
        kept = select.distinct(values, threshold)
        assert {n for n, ok in zip(names, kept, strict=True) if not ok} == set(gone)
        assert 0 < len(gone) < 30


def test_what_stays_is_not_alike() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, 4))
    values = np.concatenate([x, -x[:, :2] + 1e-3 * rng.normal(size=(50, 2))], axis=1)
    kept = select.distinct(values, 0.9)
    r = np.abs(np.corrcoef(values[:, kept].T)) - np.eye(kept.sum())
    assert kept.sum() == 4
    assert r.max() <= 0.9


def test_a_constant_column_is_refused() -> None:
    with pytest.raises(InputError, match="column 1 is constant"):
        select.distinct(np.array([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0]]), 0.9)


def replicated(noise: float) -> pd.DataFrame:
    """Eight treatments in three wells, one in two: a signal, its double, its mirror image, noise and a constant."""
    rng = np.random.default_rng(4)
    names = [f"t{i}" for i in range(8)] * 3 + ["u"] * 2
    truth = dict(zip([*names[:8], "u"], rng.normal(size=9), strict=True))
    signal = np.array([truth[n] for n in names]) + noise * rng.normal(size=len(names))
    values = [signal, 2 * signal + 1, -signal, rng.normal(size=len(names)), np.full(len(names), 0.1)]
    found = pd.DataFrame({f"Cells_{i}": x for i, x in enumerate(values)})
    return found.assign(**{schema.COMPOUND: names, schema.CONCENTRATION: 1.0})


def test_what_replicates_agree_on_is_kept_once() -> None:
    wells = replicated(0.05)
    assert select.chosen(wells, 0.9, None) == ["Cells_0", "Cells_1", "Cells_2"]
    assert len(select.chosen(wells, 0.9, 0.95)) == 1
    assert set(select.chosen(wells, None, 0.95)) > {"Cells_3"}
    assert select.chosen(wells, None, None) == [f"Cells_{i}" for i in range(4)]


def test_features_on_which_nobody_agrees_are_refused() -> None:
    with pytest.raises(InputError, match=r"on no feature do replicates agree to 0\.99; the highest is 0\.\d+"):
        select.chosen(replicated(3.0), 0.99, None)
    with pytest.raises(InputError, match="no feature varies"):
        select.chosen(replicated(1.0).drop(columns=[f"Cells_{i}" for i in range(4)]), None, 0.9)
    with pytest.raises(InputError, match="no treatment has two wells"):
        select.chosen(replicated(1.0).drop_duplicates(schema.COMPOUND), 0.5, None)
