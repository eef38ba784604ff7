"""The two data sets that models are compared on: the crops of the pipeline, and a folder of raw cells."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import files, params, schema, splitting, tables, wells
from morphospace.commands import _cells
from morphospace.datasets import _metadata
from morphospace.errors import InputError, SchemaError
from morphospace.imaging import packs
from morphospace.training import cells

SIZE = 64  # px, of the centre that is cut out of a raw cell
LOW, HIGH = 0.5, 99.8  # percentiles of the training cells' grey values that become 0 and 255
SHARES = {schema.TRAIN: 0.6, schema.VALIDATION: 0.15, schema.TEST: 0.25}  # of the plates
PLATE = "plate"
_COLUMNS = {  # of the table of raw cells
    "plate": schema.PLATE,
    "well": schema.WELL,
    "site": schema.SITE,
    "compound": schema.COMPOUND,
    "concentration": schema.CONCENTRATION,
    "moa": schema.MOA,
}
_VEHICLE = "DMSO"


class Cells(NamedTuple):
    """Tiles and what is known of them.

    Attributes
    ----------
    name, what
        For files, and for people.
    tiles
        Shape (N, C, H, W), uint8.
    table
        Metadata and ``Split`` of each tile.
    splits
        The split of each image set.
    by
        The level that is kept apart; intervals resample its groups.
    fingerprint
        Of all this.
    shown
        Whether a report may draw the cells themselves.
    """

    name: str
    what: str
    tiles: NDArray[np.uint8]
    table: pd.DataFrame
    splits: pd.DataFrame
    by: str
    fingerprint: str
    shown: bool = True

    @property
    def rows(self) -> dict[str, NDArray[np.intp]]:
        """Rows of the tiles by split."""
        return {s: np.flatnonzero(self.table[schema.SPLIT] == s) for s in splitting.SPLITS}

    @property
    def groups(self) -> list[str]:
        """Group of each tile."""
        return [str(g) for g in splitting.groups(self.table, self.by)]

    @property
    def classes(self) -> list[str]:
        """Mechanism of each tile, empty where it is not known."""
        return [str(m) for m in self.table[schema.MOA].astype("string").fillna("").replace(schema.UNKNOWN, "")]


def twin(crops: Path, crops_table: Path, splits: Path, by: str) -> Cells:
    """Return the crops of the pipeline, with its split proved again.

    Raises
    ------
    InputError
        When the pipeline has not run this far.
    LeakError
        When a group stands on two sides of the split.
    """
    for path in (crops, crops_table, splits):
        if not path.exists():
            raise InputError(f"{path} is missing: run `dvc repro split` first, or leave this data set out (--no-twin)")
    table, sides = cells.read(crops_table, splits), splitting.read(splits)
    splitting.verify(sides, table.drop(columns=schema.SPLIT), by)
    channels, size = _cells.shape(crops, table)
    tiles = packs.tiles(crops, table, channels, size, files.scratch("tiles", "decoded"))
    key = files.fingerprint(crops, crops_table, splits, by)
    return Cells("twin", "crops of the pipeline", tiles, table, sides, by, key)


def raw(folder: Path, seed: int) -> Cells:
    """Return a folder of raw cells: one ``.npz`` with `images` (N, C, H, W), and a ``.csv`` with a row for each.

    Plates are kept apart. Tiles are the central 64 px, in 8 bits between two percentiles of each channel of the
    training cells: what is held out decides nothing.

    Raises
    ------
    InputError
        When the folder does not hold these two files, or they do not fit each other.
    SchemaError
        When the table lacks a column.
    """
    images, table = _arrays(folder)
    sets = table.drop_duplicates(schema.IMAGE_SET_KEY)
    sides, _ = splitting.assign(sets, PLATE, schema.MOA, SHARES, seed)
    joined = table.merge(sides[[*schema.IMAGE_SET_KEY, schema.SPLIT]], on=schema.IMAGE_SET_KEY, how="left")
    splitting.verify(sides, table, PLATE)
    tiles = scaled(images, np.flatnonzero(joined[schema.SPLIT] == schema.TRAIN))
    key = files.fingerprint(folder, seed, SIZE, LOW, HIGH, SHARES)
    return Cells(folder.name, f"raw cells of {folder.name}", tiles, joined, sides, PLATE, key)


def scaled(images: NDArray[np.unsignedinteger[Any]], train: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return images (N, C, H, W) in 8 bits, between two percentiles of each channel of the rows `train`."""
    low, high = np.percentile(images[train], [LOW, HIGH], axis=(0, 2, 3))[..., None, None]
    share = (images - low) / np.maximum(high - low, 1)
    tiles: NDArray[np.uint8] = np.rint(255 * share.clip(0, 1)).astype(np.uint8)
    return tiles


def _arrays(folder: Path) -> tuple[NDArray[np.unsignedinteger[Any]], pd.DataFrame]:
    found = {kind: sorted(folder.glob(f"*.{kind}")) for kind in ("npz", "csv")}
    for kind, paths in found.items():
        if len(paths) != 1:
            raise InputError(
                f"{folder} has {len(paths)} files *.{kind}, it must have one: images in .npz, rows in .csv"
            )
    try:
        with np.load(found["npz"][0]) as archive:
            images = archive["images"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{found['npz'][0]} has no array `images`: {error}") from None
    table = tables.read_csv(found["csv"][0])
    if missing := [c for c in _COLUMNS if c not in table.columns]:
        raise SchemaError(f"{found['csv'][0]} lacks {', '.join(missing)}; it has {', '.join(map(str, table.columns))}")
    if images.ndim != 4 or len(images) != len(table) or min(images.shape[2:]) < SIZE:
        raise InputError(
            f"{found['npz'][0]}: `images` is {images.shape}, it must be (cells, channels, height, width) of at least "
            f"{SIZE} px, with a cell for each of the {len(table)} rows of {found['csv'][0].name}"
        )
    top, left = ((side - SIZE) // 2 for side in images.shape[2:])
    named = wells.named(table.rename(columns=_COLUMNS)[list(_COLUMNS.values())], str(found["csv"][0]))
    lines = named.set_axis(range(2, len(named) + 2))  # the header is line 1
    named[schema.CONCENTRATION] = _metadata.numbers(lines, schema.CONCENTRATION, str(found["csv"][0])).to_numpy()
    named[schema.BATCH] = named[schema.PLATE].str.split("_").str[0]  # the week, in the names of BBBC021
    named[schema.PERT_TYPE] = np.where(named[schema.COMPOUND] == _VEHICLE, schema.NEGCON, schema.TREATED)
    return images[:, :, top : top + SIZE, left : left + SIZE], named


def of(
    options: params.Params, twin_paths: tuple[Path, Path, Path] | None, folder: Path | None, shown: bool = True
) -> list[Cells]:
    """Return the data sets that were asked for; `shown`: those of the folder may be drawn.

    Raises
    ------
    InputError
        When none was.
    """
    found = []
    if twin_paths:
        found.append(twin(*twin_paths, options.split.by))
    if folder:
        found.append(raw(folder, options.seed)._replace(shown=shown))
    if not found:
        raise InputError("there is nothing to compare on: give --cells FOLDER, or leave --no-twin out")
    return found
