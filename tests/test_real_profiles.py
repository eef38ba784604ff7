"""The published well means of BBBC021 (Ljosa et al. 2013): what is known of them must come out again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from morphospace import schema
from morphospace.commands import profile
from morphospace.metrics import levels, nearest
from morphospace.metrics.nearest import NSC, NSCB
from morphospace.metrics.wilson import wilson
from morphospace.profiling import aggregate, build, normalize, select
from morphospace.profiling.build import Settings
from morphospace.profiling.features import feature_columns

TREATMENT = [schema.COMPOUND, schema.CONCENTRATION]


@pytest.fixture(scope="module")
def wells(real_data: Path) -> pd.DataFrame:
    """632 wells with 516 features, joined with compound, concentration and mechanism."""
    folder = real_data / "bbbc021_meta"
    means = pd.read_csv(folder / "ljosa_jbiomolscreen_2013_per_well_mean.csv.gz")
    images = pd.read_csv(folder / "BBBC021_v1_image.csv.gz")
    names = {f"Image_{name}": name for name in TREATMENT}
    names |= {f"Image_Metadata_{n}_DAPI": f"Metadata_{n}" for n in ("Plate", "Well")}
    known = images.rename(columns=names)[[*names.values()]].drop_duplicates()
    moa = pd.read_csv(folder / "BBBC021_v1_moa.csv").set_axis([*TREATMENT, schema.MOA], axis="columns")
    known = known.merge(moa)
    known[schema.BATCH] = known[schema.PLATE].str.split("_").str[0]
    known[schema.PERT_TYPE] = np.where(known[schema.COMPOUND] == "DMSO", schema.NEGCON, schema.TREATED)
    found = means.rename(columns=lambda c: c.removeprefix("Image_")).merge(known, on=aggregate.WELL_KEY)
    assert len(found) == 632
    return found


def right(treatments: pd.DataFrame, metric: nearest.Metric, protocol: str, rule: nearest.Rule) -> tuple[int, int]:
    """How many of how many treatments have a right neighbour."""
    of = levels.level(treatments)
    rows = np.flatnonzero(~of.controls)
    features = treatments[feature_columns(treatments)].to_numpy()[rows]
    found = nearest.vote(of.take(rows).profiles, nearest.by_features(features, metric), protocol, rule)
    return int(found.hits.sum()), len(found.hits)


def test_the_published_recipe_gives_84_of_103(wells: pd.DataFrame, tmp_path: Path) -> None:
    """The vignette `predict_moa` of cytominergallery: published as 82 % (0.73 to 0.89)."""
    assert len(select.chosen(wells, 0.5, None)) == 337
    wells.to_parquet(tmp_path / "wells.parquet")
    profile.run(
        tmp_path / "wells.parquet", tmp_path / "out", change=["normalize=standardize"], agree=0.5, distinct=0.95
    )
    treatments = pd.read_parquet(tmp_path / "out" / "treatments.parquet")
    assert right(treatments, "correlation", NSC, "strict") == (84, 103)
    around = wilson(84, 103, 0.95)
    assert (around.low, around.high) == (pytest.approx(0.73, abs=0.005), pytest.approx(0.88, abs=0.005))


@pytest.mark.parametrize("rule", ["strict", "joined"])
def test_typical_variation_normalisation_gives_96_of_103(wells: pd.DataFrame, rule: nearest.Rule) -> None:
    features = feature_columns(wells)
    controls = wells.loc[wells[schema.PERT_TYPE] == schema.NEGCON, features]
    varying = [f for f in features if controls[f].std() > 0]
    scaled = (wells[varying] - controls[varying].mean()) / controls[varying].std()
    table = pd.concat([wells.drop(columns=features), scaled], axis="columns")
    treatments = aggregate.treatments(normalize.sphere(table, "pca", 1.0)(table), "median")
    assert right(treatments, "cosine", NSC, rule) == (96, 103)
    assert right(treatments, "cosine", NSCB, rule) == (68, 92)  # 73.9 %; eleven treatments of one week cannot be right


def test_plates_centred_with_a_pooled_deviation_give_84_of_103_and_59_of_92(wells: pd.DataFrame) -> None:
    treatments = build.build(wells, Settings(normalize="pooled", treatment="median")).treatments
    assert right(treatments, "cosine", NSC, "strict") == (84, 103)
    assert right(treatments, "cosine", NSCB, "strict") == (59, 92)


def test_what_cannot_be_right_across_weeks_is_the_two_mechanisms_of_one_week(wells: pd.DataFrame) -> None:
    treatments = aggregate.treatments(wells, "mean")
    of = levels.level(treatments)
    known = of.take(np.flatnonzero(~of.controls)).profiles
    left = nearest.vote(known, nearest.alike(len(known)), NSCB).left
    mechanisms = {known.mechanisms[known.names.index(x.name)] for x in left}
    assert (len(left), mechanisms) == (11, {"Kinase inhibitors", "Cholesterol-lowering"})


def test_a_random_neighbour_is_right_in_6_percent_and_one_of_the_same_week_in_13(wells: pd.DataFrame) -> None:
    of = levels.level(aggregate.treatments(wells, "mean"))
    known = of.take(np.flatnonzero(~of.controls)).profiles
    uniform, week = (
        nearest.vote(known, similar, NSC).hits.mean()
        for similar in (nearest.alike(len(known)), nearest.sharing(known.batches))
    )
    assert uniform == pytest.approx(0.060, abs=0.001)
    assert week == pytest.approx(0.13, abs=0.01)
