"""What moves with a property is found, what does not is not; SciPy agrees."""

import numpy as np
import pytest
from scipy import stats

from morphospace.metrics import meaning


def test_the_means_of_wells_are_the_obvious_ones() -> None:
    rng = np.random.default_rng(0)
    latents, wells = rng.normal(size=(50, 3)).astype(np.float32), rng.permutation(np.arange(50) % 7)
    found = meaning.well_means(latents, wells)
    np.testing.assert_allclose(found, [latents[wells == w].mean(axis=0) for w in range(7)], rtol=1e-5)


def test_one_stratum_is_spearman_as_scipy_has_it() -> None:
    rng = np.random.default_rng(0)
    doses = np.repeat([0.1, 0.3, 1, 3, np.nan], 4)
    means = np.round(rng.normal(size=(20, 5)) + np.nan_to_num(doses)[:, None], 1)
    found = meaning.by_rank(means, doses, ["taxol"] * 20)
    wanted = [stats.spearmanr(doses[:16], column[:16]) for column in means.T]
    np.testing.assert_allclose(found.effect, [w.statistic for w in wanted])
    np.testing.assert_allclose(found.p, [w.pvalue for w in wanted])
    assert (found.wells, found.reason, found.chance) == (16, "", 0)


def test_strata_that_differ_in_level_and_in_dose_do_not_count_as_an_effect() -> None:
    """Two compounds, one strong at high doses and one weak at low ones; within each the latent is noise."""
    rng = np.random.default_rng(1)
    doses, strata = np.r_[np.arange(1, 21), np.arange(101, 121)], ["a"] * 20 + ["b"] * 20
    means = np.repeat([0.0, 50.0], 20)[:, None] + rng.normal(size=(40, 200))
    assert np.median(stats.spearmanr(doses, means[:, 0]).pvalue) < 1e-6
    found = meaning.by_rank(means, doses, strata)
    assert np.mean(found.p < 0.05) < 0.09
    assert np.abs(np.mean(found.effect)) < 0.04


def test_the_effect_within_strata_is_their_mean_and_its_p_value_that_of_permutations_within_them() -> None:
    rng = np.random.default_rng(2)
    strata = np.repeat(["a", "b", "c"], [4, 6, 9])
    doses = np.concatenate([np.arange(4), np.arange(6), np.arange(9)]).astype(float)
    means = rng.normal(size=(19, 8)) + 0.2 * doses[:, None]
    found = meaning.by_rank(means, doses, strata.tolist())
    each = [stats.spearmanr(np.c_[doses, means][strata == s]).statistic[0, 1:] for s in "abc"]
    np.testing.assert_allclose(found.effect, np.average(each, axis=0, weights=[4, 6, 9]))
    drawn = np.empty((600, 8))
    for i in range(600):
        shuffled = np.concatenate([rng.permutation(doses[strata == s]) for s in "abc"])
        drawn[i] = meaning.by_rank(means, shuffled, strata.tolist()).effect
    np.testing.assert_allclose(found.p, np.mean(np.abs(drawn) >= np.abs(found.effect) - 1e-12, axis=0), atol=0.055)


def test_kruskal_and_wallis_as_scipy_has_it_with_ties() -> None:
    rng = np.random.default_rng(0)
    classes = ["a"] * 6 + ["b"] * 5 + ["c"] * 4 + ["alone", None]
    means = np.round(rng.normal(size=(17, 4)) * 2 + np.r_[np.zeros(6), np.ones(5) * 2, np.zeros(6)][:, None])
    found = meaning.by_class(means, classes)
    wanted = [stats.kruskal(m[:6], m[6:11], m[11:15]) for m in means.T]
    np.testing.assert_allclose(found.effect * 14, [w.statistic for w in wanted])
    np.testing.assert_allclose(found.p, [w.pvalue for w in wanted])
    assert found.wells == 15


def test_the_chance_of_epsilon_squared_is_its_mean_over_noise() -> None:
    means = np.random.default_rng(3).normal(size=(24, 3000))
    found = meaning.by_class(means, [f"class {i // 3}" for i in range(24)])
    assert np.mean(found.effect) == pytest.approx(found.chance, abs=0.01)
    assert np.mean(found.p < 0.05) < 0.06


def test_within_wells_is_the_obvious_loop() -> None:
    rng = np.random.default_rng(0)
    wells, area = rng.permutation(np.arange(90) % 6), rng.normal(size=90)
    latents = rng.normal(size=(90, 3)) + 0.5 * area[:, None]
    area[:4] = np.nan
    found = meaning.within_wells(latents, area, wells)
    each = []
    for w in range(6):
        mine = (wells == w) & np.isfinite(area)
        each.append([stats.spearmanr(area[mine], column).statistic for column in latents[mine].T])
    np.testing.assert_allclose(found.effect, np.mean(each, axis=0))
    np.testing.assert_allclose(found.p, stats.ttest_1samp(each, 0).pvalue)


def test_wells_that_differ_are_no_relation_between_cells() -> None:
    """Wells with large cells have a high latent, but within a well size and latent have nothing in common."""
    rng = np.random.default_rng(1)
    wells = np.repeat(np.arange(12), 40)
    level = rng.normal(size=12)[wells]
    area, latents = 9 * level + rng.normal(size=480), 9 * level[:, None] + rng.normal(size=(480, 200))
    assert stats.spearmanr(area, latents[:, 0]).pvalue < 1e-9
    assert np.mean(meaning.within_wells(latents, area, wells).p < 0.05) < 0.09


def _planted(rng: np.random.Generator, latents: int) -> np.ndarray:
    """P-values of latents that move with dose (the first five) or with nothing; cells share the noise of their well."""
    wells = np.repeat(np.arange(40), 15)
    doses = np.tile(np.arange(1.0, 11), 4)
    means = rng.normal(size=(40, latents))
    means[:, :5] += 0.9 * doses[:, None] * np.array([1, -1, 1, -1, 1])
    cells = means[wells] + rng.normal(size=(600, latents))
    area = rng.normal(size=600) + rng.normal(size=40)[wells]
    at_wells = meaning.well_means(cells, wells)
    tested = [
        meaning.by_rank(at_wells, doses, ["x"] * 40),
        meaning.by_class(at_wells, [f"moa {i % 5}" for i in range(40)]),
        meaning.within_wells(cells, area, wells),
    ]
    return np.stack([t.p for t in tested])


def test_planted_latents_are_found_and_few_of_those_found_are_false() -> None:
    """The share of false ones among those found is at most that asked for, on average over repeated draws."""
    rng = np.random.default_rng(0)
    shares, none = [], 0
    for _ in range(60):
        q = meaning.adjusted(_planted(rng, 30))
        assert (q[0, :5] < 0.01).all()
        found = np.argwhere(q <= 0.1)
        # Classes that repeat with the doses hold some of the dose: only noise latents are false there.
        false = [1 for _, latent in found if latent >= 5]
        shares.append(len(false) / len(found))
        none += not len(false)
    assert np.mean(shares) < 0.13
    assert 0 < none < 60


def test_adjusted_is_the_step_up_rule_and_leaves_nan_out() -> None:
    p = np.array([[0.01, np.nan, 0.04], [0.03, 0.02, 0.5]])
    ordered = np.sort(p[~np.isnan(p)])
    wanted = [min(ordered[j] * 5 / (j + 1) for j in range(i, 5)) for i in range(5)]
    found = meaning.adjusted(p)
    assert np.isnan(found[0, 1])
    np.testing.assert_allclose(np.sort(found[~np.isnan(found)]), wanted)
    assert np.isnan(meaning.adjusted(np.array([np.nan]))).all()


def test_a_monotone_relation_without_noise_is_certain() -> None:
    x = np.arange(30.0)
    assert meaning.by_rank(np.exp(x)[:, None], x, ["s"] * 30).effect == pytest.approx(1)
    assert meaning.by_rank(np.exp(x)[:, None], x, ["s"] * 30).p[0] == 0
    cells = meaning.within_wells(-(x[:, None] ** 3), x, np.repeat(np.arange(3), 10))
    assert cells.effect[0] == pytest.approx(-1)
    assert cells.p[0] < 1e-20


def test_what_cannot_be_tested_says_why() -> None:
    means = np.random.default_rng(0).normal(size=(6, 2))
    nan = [np.nan] * 6
    none = [
        (meaning.by_rank(means, [1] * 6, ["s"] * 6), "no compound has two doses on a plate"),
        (meaning.by_rank(means, nan, ["s"] * 6), "no compound has two doses on a plate"),
        (
            meaning.by_rank(means, [1, 2, 1, 2, 1, 2], ["a", "a", "b", "b", "c", "c"]),
            "6 wells in 3 strata; 7 are needed",
        ),
        (meaning.by_class(means, ["a"] * 5 + ["b"]), "two classes with 2 wells or more are needed, not 1"),
        (meaning.by_class(means, [None] * 6), "two classes with 2 wells or more are needed, not 0"),
        (meaning.within_wells(means, nan, np.zeros(6, int)), "0 wells where it varies over 5 cells; 3 are needed"),
        (meaning.within_wells(means, range(6), np.zeros(6, int)), "1 well where it varies over 5 cells; 3 are needed"),
    ]
    for found, reason in none:
        assert found.reason == reason
        assert np.isnan(found.effect).all()
        assert np.isnan(found.p).all()


def test_a_constant_latent_moves_with_nothing() -> None:
    constant = np.zeros((30, 1))
    x, wells = np.arange(30.0), np.repeat(np.arange(3), 10)
    tested = [
        meaning.by_rank(constant, x, ["s"] * 30),
        meaning.by_class(constant, ["a", "b"] * 15),
        meaning.within_wells(constant, x, wells),
    ]
    for found in tested:
        assert np.isnan([found.effect[0], found.p[0]]).all()
