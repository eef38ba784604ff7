"""The long table and the sentence."""

import numpy as np
import pandas as pd
import pytest

from morphospace.metrics import bootstrap, floors, scores, similarity

CHANNELS = ["Actin", "DNA"]


def _tiles(n: int = 40) -> np.ndarray:
    tiles = np.random.default_rng(0).integers(1, 256, (n, 2, 12, 12), dtype=np.uint8)
    tiles[:, :, :4] = 0
    return tiles


def _errors(strength: float, n: int = 40) -> similarity.Errors:
    """Errors of reconstructions that are off by up to `strength`."""
    tiles = _tiles(n)
    drawn = tiles / 255 + np.random.default_rng(1).uniform(-strength, strength, tiles.shape)
    return similarity.errors(tiles, drawn.astype(np.float32), with_ssim=True)


def _methods(model: float, pca: float) -> dict[str, similarity.Errors]:
    blind = {name: _errors(0.5 + i / 10) for i, name in enumerate(floors.TRIVIAL)}
    return {"model": _errors(model), "perfect": _errors(0), **blind, "pca": _errors(pca)}


def _table(model: float, pca: float, wells: int = 8) -> pd.DataFrame:
    groups = np.arange(40) % wells
    drawn = bootstrap.resample(groups, 200, 0.95, np.random.default_rng(0))
    return scores.table("test", CHANNELS, _methods(model, pca), drawn)


def _summary(model: float, pca: float, wells: int = 8) -> dict[str, float | int | str]:
    return scores.summary(_table(model, pca, wells), "conv_vae", 5, 100)


def test_the_table_has_one_row_a_score_and_the_columns_of_the_contract() -> None:
    table = _table(0.1, 0.2)
    assert list(table.columns) == scores.COLUMNS
    assert not table.duplicated(["split", "region", "channel", "method", "metric"]).any()
    assert set(table["channel"]) == {"all", *CHANNELS}
    assert set(table["region"]) == {"all", "inside"}


def test_s_over_all_channels_is_the_mean_of_the_channels_and_one_minus_the_mean_absolute_error() -> None:
    table = _table(0.1, 0.2).set_index(["method", "region", "metric", "channel"])["value"].sort_index()
    for region in ("all", "inside"):
        here = table["model", region, "S"]
        assert here["all"] == pytest.approx((here["Actin"] + here["DNA"]) / 2)
        assert here["all"] == pytest.approx(1 - table["model", region, "mae", "all"])
    found = _errors(0.1)
    assert table["model", "all", "S", "all"] == pytest.approx(1 - found.mae[:, 0].mean())
    assert table["model", "inside", "S", "DNA"] == pytest.approx(1 - found.mae[:, 1, 1].mean())


def test_psnr_is_of_the_mean_squared_error_and_falls_when_it_rises() -> None:
    row = _table(0.1, 0.2).set_index(["method", "region", "metric", "channel"]).sort_index().loc["model", "all"]
    mse, psnr = row.loc["mse", "all"], row.loc["psnr", "all"]
    assert psnr["value"] == pytest.approx(-10 * np.log10(mse["value"]))
    assert psnr["low"] == pytest.approx(-10 * np.log10(mse["high"]))


def test_skills_are_paired_and_follow_their_formulas() -> None:
    methods = _methods(0.1, 0.2)
    found = _summary(0.1, 0.2)
    mae = {name: errors.mae[:, 0].mean() for name, errors in methods.items()}
    assert found["skill_mae"] == pytest.approx(1 - mae["model"] / min(mae[f] for f in floors.TRIVIAL))
    mse = {name: errors.mse[:, 0].mean() for name, errors in methods.items()}
    assert found["skill_pca"] == pytest.approx(1 - mse["model"] / mse["pca"])
    assert found["skill_pca_low"] <= found["skill_pca"] <= found["skill_pca_high"]
    assert found["best_floor"] == "black"


def test_a_model_equal_to_pca_has_a_skill_of_exactly_zero() -> None:
    found = _summary(0.2, 0.2)
    assert (found["skill_pca_low"], found["skill_pca"], found["skill_pca_high"]) == (0, 0, 0)
    assert str(found["verdict"]).startswith("conv_vae and PCA-5 cannot be told apart: ")


def test_the_verdict_names_pca_first_when_pca_wins() -> None:
    found = _summary(0.3, 0.1)
    assert str(found["verdict"]).startswith(
        "PCA-5 wins: on 40 test cells of 8 wells the model's mean squared error is "
    )


def test_the_verdict_of_a_good_model_names_it() -> None:
    assert str(_summary(0.1, 0.3)["verdict"]).startswith("conv_vae beats PCA-5: ")


def test_the_verdict_says_when_a_blind_floor_is_better_too() -> None:
    found = _summary(0.9, 0.1)
    assert found["skill_mae"] < 0
    assert "the black floor, blind to the cell, is better too" in str(found["verdict"])


def test_one_well_has_scores_but_no_interval_and_no_winner() -> None:
    found = _summary(0.1, 0.3, wells=1)
    assert np.isnan([found["S_low"], found["skill_pca_high"]]).all()
    assert str(found["verdict"]).startswith("conv_vae against PCA-5 is undecided, for there is no interval: ")
    assert "40 test cells of 1 well the" in str(found["verdict"])


def test_a_split_that_is_absent_is_nan_in_the_summary() -> None:
    found = _summary(0.1, 0.2)
    assert np.isnan([found["S_train"], found["S_validation"]]).all()


def test_the_model_alone_has_no_skill_rows() -> None:
    drawn = bootstrap.resample(np.arange(40), 100, 0.95, np.random.default_rng(0))
    table = scores.table("train", CHANNELS, {"model": _errors(0.1)}, drawn)
    assert not table["metric"].str.startswith("skill").any()


def test_the_image_itself_has_only_its_similarities() -> None:
    table = _table(0.1, 0.2)
    perfect = table[table["method"] == "perfect"]
    assert set(perfect["metric"]) == {"S", "S_legacy"}
    assert (perfect.loc[perfect["metric"] == "S", "value"] == 1).all()
