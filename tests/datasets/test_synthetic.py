"""The drawn plates are the same for the same seed, stay when more are drawn, and their truth is true."""

import functools
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from morphospace import schema
from morphospace.datasets import _draw, _optics, _phenotypes, synthetic

SMALL = {"plates": 2, "wells": 2, "sites": 1, "height": 128, "width": 160, "cells": 4}


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")


def _digests(folder: Path) -> dict[str, str]:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _drawn(folder: Path, seed: int = 1, **changes: int) -> dict[str, str]:
    folder.mkdir()
    synthetic.fetch(folder, seed, **{**SMALL, **changes})
    return _digests(folder)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first = _drawn(tmp_path / "a")
    assert first == _drawn(tmp_path / "b")
    other = _drawn(tmp_path / "c", seed=2)
    assert not {d for n, d in first.items() if n.endswith(".tif")} & set(other.values())


@pytest.mark.parametrize("more", [{"plates": 3}, {"wells": 4}, {"sites": 2}])
def test_more_plates_wells_or_sites_leave_the_others_as_they_were(tmp_path: Path, more: dict[str, int]) -> None:
    few, many = _drawn(tmp_path / "a"), _drawn(tmp_path / "b", **more)
    images = {name: digest for name, digest in few.items() if not name.endswith(".csv")}
    assert images.items() < many.items()


def test_the_number_of_processes_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = _drawn(tmp_path / "a", wells=7)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "2")
    assert alone == _drawn(tmp_path / "b", wells=7)


def test_images_are_12_bit_data_shifted_by_4(tmp_path: Path) -> None:
    _drawn(tmp_path / "a")
    for path in (tmp_path / "a").glob("Week*/*.tif"):
        image = tifffile.imread(path)
        assert (image.dtype, image.shape) == (np.uint16, (128, 160))
        assert not (image % 16).any()
        assert len(np.unique(image)) > 100


def test_the_index_lists_every_field_with_its_treatment(tmp_path: Path) -> None:
    _drawn(tmp_path / "a", wells=12)
    table, dropped = synthetic.index(tmp_path / "a", **SMALL)
    assert dropped.empty
    assert len(table) == 2 * 12
    assert schema.channels(table) == ["Actin", "Tubulin", "DNA"]
    assert (table[schema.PERT_TYPE] == schema.NEGCON).sum() == 2 * 2
    treated = table[table[schema.PERT_TYPE] == schema.TREATED]
    assert treated[schema.MOA].nunique() == 5
    assert (treated.groupby(schema.MOA)[schema.COMPOUND].nunique() == 2).all()
    assert (treated.groupby(schema.COMPOUND)[schema.CONCENTRATION].nunique() == 2).all()
    for row in table.to_dict("records"):
        for channel in schema.channels(table):
            assert (tmp_path / "a" / row[schema.PATH_PREFIX + channel] / row[schema.FILE_PREFIX + channel]).is_file()


def test_a_full_plate_has_every_dose_and_the_weakest_has_no_mechanism() -> None:
    spots = [synthetic._Spot(0, well, 1) for well in range(60)]
    assert len({spot.well_name for spot in spots}) == 60
    doses = {(spot.treatment[0].name, spot.treatment[1]) for spot in spots if spot.treatment[0]}
    assert doses == {(c.name, dose) for c in _phenotypes.COMPOUNDS for dose in c.doses}
    known = {(name, float(dose)) for name, dose, _ in synthetic._annotations()}
    assert doses - known == {(c.name, c.doses[-1]) for c in _phenotypes.COMPOUNDS}


def test_plates_have_real_names_and_week_4_has_no_prefix() -> None:
    names = [synthetic._Spot(plate, 0, 1).plate_name for plate in range(4)]
    assert names == ["Week1_22123", "Week2_24121", "Week4_27481", "Week1_22143"]
    assert len({synthetic._Spot(plate, 0, 1).plate_name for plate in range(99)}) == 99


def test_the_truth_is_one_piece_a_cell_with_its_nucleus_inside(tmp_path: Path) -> None:
    _drawn(tmp_path / "a", cells=12, wells=4)
    objects = pd.read_csv(tmp_path / "a" / "truth" / "objects.csv", dtype={schema.SITE: str})
    for (plate, well, site), rows in objects.groupby(schema.IMAGE_SET_KEY):
        stem = tmp_path / "a" / "truth" / plate / f"{well}_{site}"
        cells, nuclei = (tifffile.imread(f"{stem}_{kind}.tiff") for kind in ("Cells", "Nuclei"))
        assert (cells[nuclei > 0] == nuclei[nuclei > 0]).all()
        assert rows[schema.OBJECT].tolist() == list(range(1, cells.max() + 1))
        assert rows["Cells_Area"].tolist() == np.bincount(cells.ravel())[1:].tolist()
        for number in rows[schema.OBJECT]:
            assert ndimage.label(cells == number, np.ones((3, 3)))[1] == 1
        rim = set(np.unique(np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]]))) - {0}
        assert set(rows[schema.OBJECT][rows["Border"] == 1]) == rim


def _field(look: _phenotypes.Look, seed: int = 3) -> _draw.Field:
    optics = _optics.Optics(np.ones(3), np.full(3, 50.0), np.full(2, 0.5), np.full(3, 0.3))
    return _draw.draw(np.random.default_rng(seed), (320, 320), 11, look, optics)


def test_cells_touch_each_other_and_the_border_and_some_are_larger_than_a_tile() -> None:
    fields = [_field(_phenotypes.Look(), seed) for seed in range(5)]
    boxes = [box for field in fields for box in ndimage.find_objects(field.cells)]
    sides = np.array([max(s.stop - s.start for s in box) for box in boxes])
    assert 60 < np.median(sides) < 100  # px; BBBC021 has about 79
    assert 0 < (sides > 128).mean() < 0.15
    right, left = fields[0].cells[:, 1:], fields[0].cells[:, :-1]
    assert ((right > 0) & (left > 0) & (right != left)).any()


def test_an_empty_field_has_noise_and_no_object() -> None:
    field = _field(_phenotypes.Look(density=0.0))
    assert field.states == []
    assert not field.cells.any()
    assert field.images.std() > 0


def test_the_effect_grows_with_the_dose() -> None:
    compound = _phenotypes.COMPOUNDS[2]  # DNA damage: large cells
    radii = [_phenotypes.look(compound, dose).radius for dose in (0.001, *sorted(compound.doses))]
    assert radii == sorted(radii)
    assert radii[0] == pytest.approx(_phenotypes.Look().radius, abs=0.1)
    assert _phenotypes.look(None, 0.0) == _phenotypes.Look()


@functools.cache
def _control() -> list[_draw.Field]:
    return [_field(_phenotypes.Look(), seed) for seed in range(2)]


@pytest.mark.parametrize("moa", sorted({c.moa for c in _phenotypes.COMPOUNDS}))
def test_every_mechanism_is_seen_in_the_truth_or_the_light(moa: str) -> None:
    compound = next(c for c in _phenotypes.COMPOUNDS if c.moa == moa)
    treated = [_field(_phenotypes.look(compound, 100 * compound.ec50), seed) for seed in range(2)]

    def describe(fields: list[_draw.Field]) -> np.ndarray:
        area = np.median(np.concatenate([np.bincount(f.cells.ravel())[1:] for f in fields]))
        states = [s for f in fields for s in f.states]
        light = [np.median(np.concatenate([f.images[c][f.cells > 0] for f in fields])) for c in range(3)]
        return np.array(
            [area, 1 + states.count("mitotic") / len(states), 1 + states.count("multilobed") / len(states), *light]
        )

    change = np.abs(np.log2(describe(treated) / describe(_control())))
    assert change.max() > 0.4
