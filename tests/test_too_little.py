"""Too little, or nothing that varies: every analysis goes on, and each number that it cannot give has its reason."""

import warnings
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from morphospace import reasons, schema, splitting
from morphospace.analyses import Resampling
from morphospace.errors import InputError
from morphospace.metrics import batches, bootstrap, latent, moa, moa_floors, properties, replicates, scores
from morphospace.metrics.similarity import Errors
from morphospace.profiling import build
from morphospace.profiling.features import feature_columns
from morphospace.stages import dose, interpret, profile

USUAL = {
    "plates": 2,
    "controls": 4,
    "compounds": 3,
    "wells": 2,
    "cells": 3,
}  # of each plate, plate, plate, compound, well
FEATURES = {
    "random": lambda rng, n: rng.normal(size=(n, 4)),
    "constant": lambda rng, n: np.full((n, 4), 0.1),
    "collinear": lambda rng, n: np.repeat(rng.normal(size=(n, 1)), 4, axis=1),
    "two values": lambda rng, n: np.repeat(rng.integers(2, size=(n, 1)), 4, axis=1).astype(float),
    "one": lambda rng, n: rng.normal(size=(n, 1)),
    "one alike": lambda rng, n: np.column_stack([rng.normal(size=(n, 3)), np.full(n, 1e9)]),
}
GRID = [USUAL | {axis: n} for axis in USUAL for n in range(5)]
GRID += [{**USUAL, "plates": p, "controls": c, "wells": w} for p, c, w in product((1, 3), (1, 2, 3), (1, 4))]
CASES = [(sizes, "random") for sizes in GRID] + [(USUAL, kind) for kind in FEATURES]
CASES += [(USUAL | {"controls": n}, kind) for kind in ("collinear", "two values", "constant", "one") for n in (3, 4)]


def _cells(plates: int, controls: int, compounds: int, wells: int, cells: int, kind: str) -> pd.DataFrame:
    """Return an embedding: each compound in `wells` doses on each plate, every second with a mechanism of its own."""
    rows = []
    for plate in range(plates):
        held = [("DMSO", 0.0, "DMSO", schema.NEGCON)] * controls
        held += [
            (f"c{c}", float(d + 1), f"m{c // 2}", schema.POSCON if c == 0 else schema.TREATED)
            for c in range(compounds)
            for d in range(wells)
        ]
        for w, (compound, concentration, mechanism, pert) in enumerate(held):
            for cell in range(cells):
                batch = f"B{plate % 2}"
                rows.append([f"P{plate}", f"A{w:02d}", "1", batch, compound, concentration, mechanism, pert, cell + 1])
    table = pd.DataFrame(rows, columns=[*schema.METADATA, schema.OBJECT])
    values = FEATURES[kind](np.random.default_rng(0), len(table))
    return table.assign(**dict(zip(schema.latent_names(values.shape[1]), values.T, strict=True)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("sizes", "kind"), CASES, ids=str)
def test_what_cannot_be_computed_says_why(sizes: dict[str, int], kind: str) -> None:
    cells = _cells(**sizes, kind=kind)
    if cells.empty:
        with pytest.raises(InputError, match="has no rows"):
            build.build(cells.assign(Cells_A=1.0), build.Settings())
        return
    settings = build.usable(cells, build.Settings())
    if sizes["controls"] > 0 and sizes["controls"] * sizes["plates"] < 2 and settings.normalize != "none":
        pytest.fail("one control cannot be measured from")
    made = build.build(cells, settings)
    found = {
        "profile": _profile(cells, made, settings),
        "dose": _dose(made),
        "moa": _moa(made, settings),
        "interpret": _interpret(cells),
        "latent": _latent(cells),
    }
    assert {name: missing for name, of in found.items() if (missing := reasons.missing(of))} == {}
    _split(cells)


def _profile(cells: pd.DataFrame, made: build.Profiles, settings: build.Settings) -> dict[str, Any]:
    features = feature_columns(made.wells)
    scored = replicates.score(replicates.compare(made.wells, features), 50, 0.95, np.random.default_rng(0))
    return profile._record(cells, made, len(features), settings, scored)


def _dose(made: build.Profiles) -> dict[str, Any]:
    wells = made.wells.copy()
    lacking = dose._measure(wells)
    options = Resampling(bootstrap=100, confidence=0.95)
    responses = dose._responses(wells, lacking, options, 0)
    apart = dose.separation(wells, options, 0)
    empty = responses["rho"].isna()
    assert (responses.loc[empty, "reason"] != "").all()
    assert (responses.loc[responses["cell_count_rho"].isna(), "cell_count_reason"] != "").all()
    return dose._record(wells, responses, apart, lacking)


def _moa(made: build.Profiles, settings: build.Settings) -> dict[str, Any]:
    of = moa_floors.tables(made)
    features = moa_floors.features(of)
    floors: dict[str, Any] = {moa_floors.CELL_COUNT: moa_floors.cell_count(made, settings)}
    floors |= dict.fromkeys(moa_floors.PIXELS, "no pixels here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)
        card = moa.card(of, features, floors, moa.Settings("cosine", "strict", 10, 100, 100, 0.95, 0))
    batch = batches.from_controls(of[moa.SITES], features[moa.SITES], 5, 0, 100, 0.95)
    card.table()
    return reasons.joined(card.record(), batch.record())


def _interpret(cells: pd.DataFrame) -> dict[str, Any]:
    latents = cells[schema.latent_columns(cells)].to_numpy()
    area = np.arange(len(cells), dtype=float)
    found = properties.examine(cells, latents, {"cell area": area, "nucleus area": np.full(len(cells), np.nan)})
    long = properties.table(found, schema.latent_columns(cells), None, latent.active(latents))
    lacking = long["effect"].isna() | long["q"].isna()
    assert (long.loc[lacking, "reason"] != "").all()
    return interpret._record(long, found, len(cells), 0.05, labelled=False)


def _latent(cells: pd.DataFrame) -> dict[str, Any]:
    latents = cells[schema.latent_columns(cells)].to_numpy()
    return latent.score(latents, np.zeros_like(latents))


def _split(cells: pd.DataFrame) -> None:
    sets = cells.drop_duplicates(schema.IMAGE_SET_KEY)
    for by in ("well", "plate", "compound"):
        if splitting.groups(sets, by).nunique() < 2:
            with pytest.raises(InputError, match="train and test need two"):
                splitting.assign(sets, by, schema.MOA, {"train": 0.6, "validation": 0.2, "test": 0.2}, 0)
            continue
        sides, _ = splitting.assign(sets, by, schema.MOA, {"train": 0.6, "validation": 0.2, "test": 0.2}, 0)
        splitting.verify(sides, cells, by)


@pytest.mark.parametrize("n", range(1, 5))
@pytest.mark.parametrize("error", [0.0, 0.1])
@pytest.mark.parametrize("splits", [("test",), ("test", "train", "validation")])
def test_a_similarity_of_few_cells_says_why(n: int, error: float, splits: tuple[str, ...]) -> None:
    values = np.full((n, 2, 3), error)
    values[0, 1] = np.nan  # a cell without a pixel
    errors = Errors(values, values, values, np.full((n, 0), np.nan))
    draws = bootstrap.resample(np.arange(n) // 2, 50, 0.95, np.random.default_rng(0))
    methods = dict.fromkeys(("perfect", "black", "constant", "mean", "median", "pca"), errors)
    for drawn in ({}, {scores.MODEL: errors}):
        tables = [scores.table(s, ["a", "b", "c"], methods | drawn, draws) for s in splits]
        found = scores.summary(pd.concat(tables), "conv_vae", 3, n)
        assert reasons.missing(found) == []
        assert "nan" not in found["verdict"]
