"""A small twin of BBBC021, drawn: the same names, tables and bit depth, with known truth. Needs no network."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import tifffile
from pydantic import Field
from rich.console import Console
from rich.progress import track

from morphospace import files, options, schema, tables
from morphospace.datasets import _broad, _draw, _metadata, _optics, _phenotypes

LICENCE = "drawn by morphospace from a seed; nobody else's images are in it"

_WEEKS = {
    1: (22123, "Week1_150607_"),
    2: (24121, "Week2_180607_"),
    4: (27481, ""),
}  # as published, Week4 without a prefix
_FILTERS = {"DAPI": (1, _draw.DNA), "Tubulin": (2, _draw.TUBULIN), "Actin": (4, _draw.ACTIN)}
_TRUTH = ["Center_X", "Center_Y", "Cells_Area", "Nuclei_Area", "Border", "State"]


# A row of the image table, and the rows of the truth: key, then what is known.
_Drawn = tuple[list[Any], list[tuple[list[Any], list[Any]]]]


class Options(options.Options):
    """How much to draw. More plates, wells or sites leave those there are as they were."""

    plates: Annotated[int, Field(ge=1, le=99)] = 3
    wells: Annotated[int, Field(ge=2, le=60)] = 12
    sites: Annotated[int, Field(ge=1, le=9)] = 2
    height: Annotated[int, Field(ge=128, le=4096)] = 512
    width: Annotated[int, Field(ge=128, le=4096)] = 640
    cells: Annotated[float, Field(ge=0, le=1000)] = 26


class _Spot(NamedTuple):
    """One field to draw."""

    plate: int  # from 0
    well: int  # from 0, in the order of drawing
    site: int  # from 1

    @property
    def week(self) -> int:
        return list(_WEEKS)[self.plate % len(_WEEKS)]

    @property
    def plate_name(self) -> str:
        return f"Week{self.week}_{_WEEKS[self.week][0] + 20 * (self.plate // len(_WEEKS))}"

    @property
    def well_name(self) -> str:
        row, column = divmod(self.well * 37 % 60, 10)  # wells B02 to G11, scattered
        return f"{'BCDEFG'[row]}{column + 2:02d}"

    @property
    def treatment(self) -> tuple[_phenotypes.Compound | None, float]:
        """Every sixth well is DMSO; the others take the compounds in turn, ten wells a round.

        Two rounds show the four doses of a compound, the next two the same on the other plates' wells.
        """
        if self.well % 6 == 0:
            return None, 0.0
        turn, index = divmod(self.well - self.well // 6 - 1, len(_phenotypes.COMPOUNDS))
        compound = _phenotypes.COMPOUNDS[index]
        other = (self.plate + index // 5 + turn // 2) % 2
        return compound, compound.doses[2 * (turn % 2) + other]


def fetch(target: Path, seed: int, **values: Any) -> None:
    """Draw the plates into an empty folder: images, the two tables, and the truth.

    Parameters
    ----------
    target
        Becomes ``<plate>/*.tif``, ``BBBC021_v1_image.csv``, ``BBBC021_v1_moa.csv``, ``truth/objects.csv`` and
        ``truth/<plate>/<well>_<site>_<Nuclei|Cells>.tiff``, label images of uint16.
    seed
        The same seed gives the same bytes.
    **values
        Of `Options`.
    """
    chosen = Options(**values)
    spots = list(_spots(chosen))
    for folder in {s.plate_name for s in spots}:
        (target / folder).mkdir()
        (target / "truth" / folder).mkdir(parents=True)
    done = _draw_all(target, seed, spots, chosen)
    _write_csv(target / _broad.IMAGE_CSV, _broad.COLUMNS, [names for names, _ in done])
    _write_csv(target / _broad.MOA_CSV, ["compound", "concentration", "moa"], _annotations())
    truth = [[*spot_row, *row] for _, rows in done for spot_row, row in rows]
    _write_csv(target / "truth" / "objects.csv", [*schema.OBJECT_KEY, *_TRUTH], truth)


def index(raw: Path, **values: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the image sets and an empty table of what was dropped.

    Raises
    ------
    InputError
        When the tables in `raw` are missing or damaged.
    """
    Options(**values)
    return _broad.image_sets(raw / _broad.IMAGE_CSV, raw / _broad.MOA_CSV), _metadata.dropped([])


def _draw_all(target: Path, seed: int, spots: list[_Spot], chosen: Options) -> list[_Drawn]:
    """Draw every field, on all cores when there are many."""
    draw = partial(_draw_one, target, seed, chosen=chosen)
    console, workers = Console(stderr=True), min(files.jobs(), 1 + len(spots) // 12)
    if workers == 1:
        return [draw(spot) for spot in track(spots, "Drawing fields", console=console, transient=True)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        work = pool.map(draw, spots)
        return list(track(work, "Drawing fields", total=len(spots), console=console, transient=True))


def _spots(chosen: Options) -> Iterator[_Spot]:
    for plate in range(chosen.plates):
        for well in range(chosen.wells):
            for site in range(1, chosen.sites + 1):
                yield _Spot(plate, well, site)


def _annotations() -> list[list[Any]]:
    """Mechanisms of the treatments, the weakest dose left out, concentrations written as published: 3.000000."""
    known = [[c.name, f"{dose:.6f}", c.moa] for c in _phenotypes.COMPOUNDS for dose in c.doses[:-1]]
    return [*sorted(known), [_metadata.DMSO, f"{0:.6f}", _metadata.DMSO]]


def _plate_optics(seed: int, spot: _Spot) -> _optics.Optics:
    """Return the optics of a plate: the week decides the gain, the plate varies it a little."""
    week, plate = np.random.default_rng([seed, 1, spot.week]), np.random.default_rng([seed, 2, spot.plate])
    return _optics.Optics(
        gain=week.uniform(0.75, 1.3, 3) * plate.normal(1, 0.03, 3),
        background=week.uniform(42, 60, 3),
        centre=week.uniform(0.35, 0.65, 2),
        fall_off=week.uniform(0.25, 0.4, 3),
    )


def _draw_one(target: Path, seed: int, spot: _Spot, chosen: Options) -> _Drawn:
    """Draw and write one field; return its row of the image table, and its rows of the truth."""
    rng = np.random.default_rng([seed, 0, spot.plate, spot.well, spot.site])
    compound, dose = spot.treatment
    look = _phenotypes.look(compound, dose)
    field = _draw.draw(rng, (chosen.height, chosen.width), chosen.cells, look, _plate_optics(seed, spot))
    stem = f"{_WEEKS[spot.week][1]}{spot.well_name}_s{spot.site}"
    names: list[str] = []
    for number, plane in _FILTERS.values():
        guid = str(uuid.UUID(bytes=rng.bytes(16))).upper()
        names += [f"{stem}_w{number}{guid}.tif", f"Week{spot.week}/{spot.plate_name}"]
        _write(target / spot.plate_name / names[-2], field.images[plane])
    for kind, labels in {"Nuclei": field.nuclei, "Cells": field.cells}.items():
        file = target / "truth" / spot.plate_name / f"{spot.well_name}_{spot.site}_{kind}.tiff"
        _write(file, labels, compression="zlib")
    number = 4 * ((spot.plate * 60 + spot.well) * 9 + spot.site)
    name = compound.name if compound else _metadata.DMSO
    row = [spot.week, number, *names, spot.plate_name, spot.well_name, spot.plate // len(_WEEKS) + 1, name, f"{dose:g}"]
    key = [spot.plate_name, spot.well_name, spot.site]
    return row, [([*key, n], r) for n, r in enumerate(_truth(field), start=1)]


def _truth(field: _draw.Field) -> list[list[Any]]:
    """One row a cell: centre, areas, whether it touches the border, its state."""
    yy, xx = np.indices(field.cells.shape)
    count = len(field.states) + 1
    areas = np.bincount(field.cells.ravel(), minlength=count)
    nuclei = np.bincount(field.nuclei.ravel(), minlength=count)
    sums = [np.bincount(field.cells.ravel(), weights=axis.ravel(), minlength=count) for axis in (xx, yy)]
    rim = np.concatenate([field.cells[[0, -1]].ravel(), field.cells[:, [0, -1]].ravel()])
    border = np.isin(np.arange(count), rim)
    return [
        [f"{sums[0][n] / areas[n]:.2f}", f"{sums[1][n] / areas[n]:.2f}", areas[n], nuclei[n], int(border[n]), state]
        for n, state in enumerate(field.states, start=1)
    ]


def _write(path: Path, image: _draw.Labels, compression: str | None = None) -> None:
    tifffile.imwrite(
        path, image, compression=compression, photometric="minisblack", metadata=None, software="morphospace"
    )


def _write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    tables.write_csv(pd.DataFrame(rows, columns=header, dtype=object), path)
