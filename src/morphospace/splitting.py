"""Train, validation and test, group by group (001-03), and the certificate that no group stands on two sides.

Cells of one well resemble each other for reasons that are no biology: the same pipetting, the same edge of the plate,
the same focus. Cells are therefore never divided one by one; *groups* are, and what a group is decides what a result
on the test split means: a new well, a new plate, a new compound.

The division depends on the seed and on names alone, so that it stays when plates are added:

- by ``site`` or ``well``, each plate is divided on its own: its groups, ordered by stratum and then by hash, take the
  letters of one endless sequence whose shares are the fractions, from a place that the plate's name chooses;
- by ``plate``, ``compound`` or ``batch``, each group's hash alone falls in the interval of a split; no strata.

Only when a split would be empty is one group moved, and the certificate says so.
"""

import hashlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphospace import schema, tables, wells
from morphospace.errors import InputError, LeakError
from morphospace.schema import BATCH, COMPOUND, IMAGE_SET_KEY, NEGCON, PERT_TYPE, PLATE, SITE, SPLIT, WELL
from morphospace.words import count

GROUP = "Group"
SPLITS = (schema.TRAIN, schema.VALIDATION, schema.TEST)
LEVELS = {  # the columns that name a group
    "site": [PLATE, WELL, SITE],
    "well": [PLATE, WELL],
    "plate": [PLATE],
    "compound": [COMPOUND],
    "batch": [BATCH],
}
_WITHIN_PLATE = ("site", "well")
_PLACES = 1000  # of the sequence, where a plate may begin


def groups(table: pd.DataFrame, by: str) -> "pd.Series[str]":
    """Return the name of each row's group: of a well ``plate/well``, of a compound the compound."""
    columns = [table[c].astype("string").fillna("").astype(str) for c in LEVELS[by]]
    if WELL in LEVELS[by]:  # two spellings of a well would let it stand on two sides
        at = LEVELS[by].index(WELL)
        columns[at] = columns[at].map({well: wells.same(well) for well in columns[at].unique()})
    name = columns[0]
    for column in columns[1:]:
        name = name + "/" + column
    return name


def assign(
    image_sets: pd.DataFrame, by: str, stratify: str, fractions: Mapping[str, float], seed: int
) -> tuple[pd.DataFrame, list[str]]:
    """Return the split of each image set, sorted by key, and notes on what could not be as asked.

    Parameters
    ----------
    image_sets
        One row an image set that has kept crops, with the metadata columns.
    by
        What a group is: site, well, plate, compound or batch.
    stratify
        Column whose values each split should have, where there are enough groups.
    fractions
        Share of the groups of train, validation (may be 0) and test.
    seed
        Another seed is another division.

    Raises
    ------
    InputError
        When there are fewer than two groups: it names the levels that have more.
    """
    schema.check(image_sets, schema.METADATA, "the table of crops", key=IMAGE_SET_KEY)
    table = image_sets.assign(**{GROUP: groups(image_sets, by)})
    wanted, notes = _wanted(table, by, fractions)
    hashes = {g: _hash(seed, g) for g in sorted(table[GROUP].unique())}
    if by in _WITHIN_PLATE:
        chosen = _interleaved(table, stratify, wanted, hashes, seed)
    else:
        chosen = {g: _interval(wanted, h) for g, h in hashes.items()}
        notes.append(f"by {by}, groups are drawn by hash alone, so that plates can be added: no strata")
    notes += _fill(chosen, wanted, hashes)
    table[SPLIT] = table[GROUP].map(chosen)
    if by in _WITHIN_PLATE:
        notes += _strata_notes(table, stratify, list(wanted))
    return table[[*IMAGE_SET_KEY, GROUP, SPLIT]].sort_values(IMAGE_SET_KEY, ignore_index=True), notes


def verify(splits: pd.DataFrame, cells: pd.DataFrame, by: str) -> dict[str, Any]:
    """Return the certificate that no group stands on two sides, from the tables alone and not from what made them.

    Parameters
    ----------
    splits
        ``splits.csv``: one row an image set.
    cells
        The kept rows of ``crops.parquet``.
    by
        The level that must be disjoint.

    Raises
    ------
    LeakError
        Naming the first group that stands on two sides.
    InputError
        When an image set has no split or two, or a split is unknown or train or test has no cell.
    """
    schema.check(splits, [*IMAGE_SET_KEY, SPLIT], "splits.csv", key=IMAGE_SET_KEY)
    if unknown := sorted(set(splits[SPLIT]) - set(SPLITS)):
        raise InputError(f"splits.csv: {unknown[0]!r} is no split (there are: {', '.join(SPLITS)})")
    schema.check(cells, schema.METADATA, "the table of crops")
    joined = cells[schema.METADATA].merge(splits[[*IMAGE_SET_KEY, SPLIT]], on=IMAGE_SET_KEY, how="left")
    if lost := joined[SPLIT].isna().sum():
        first = joined[joined[SPLIT].isna()].iloc[0]
        where = ", ".join(f"{c.removeprefix('Metadata_')} {first[c]}" for c in IMAGE_SET_KEY)
        raise InputError(
            f"splits.csv has no row for {where}, nor for {count(lost, 'cell')} in all; run `dvc repro split`"
        )
    counts = joined[SPLIT].value_counts()
    for split in (schema.TRAIN, schema.TEST):
        if not counts.get(split, 0):
            raise InputError(f"splits.csv leaves no cell for {split}; run `dvc repro split`")
    levels = {level: _level(joined, level, by) for level in LEVELS}
    named = joined.assign(**{GROUP: groups(joined, by)}).drop_duplicates(GROUP)[SPLIT].value_counts()
    return {
        "by": by,
        "required": by,
        "groups": {s: int(named.get(s, 0)) for s in SPLITS},
        "cells": {s: int(counts.get(s, 0)) for s in SPLITS},
        "levels": levels,
        "notes": _meaning(joined, by, levels),
    }


def refuse_identical(splits: pd.DataFrame, images: pd.DataFrame) -> int:
    """Return how many pictures are there more than once among the image sets of `splits`, none on two sides.

    Parameters
    ----------
    splits
        ``splits.csv``: one row an image set.
    images
        From `tables.read_identical`.

    Raises
    ------
    LeakError
        Naming the first two images that are the same and stand on two sides.
    """
    placed = images.merge(splits[[*IMAGE_SET_KEY, SPLIT]], on=IMAGE_SET_KEY)
    sides = placed.groupby("Picture", sort=False)[SPLIT].nunique()
    if leaking := sides.index[sides > 1].tolist():
        first = placed[placed["Picture"] == leaking[0]].drop_duplicates(SPLIT)
        one, other = (f"{image['File']} ({image[SPLIT]})" for image in first.head(2).to_dict("records"))
        raise LeakError(
            f"{one} and {other} are the same picture ({len(leaking)} such pictures in identical.csv): what is measured "
            "on one side was seen on the other; remove one of the two images, or choose a split.by that keeps their "
            "wells together, and run `dvc repro`"
        )
    return int((placed["Picture"].value_counts() > 1).sum())


def read(path: Path) -> pd.DataFrame:
    """Return ``splits.csv``, every column text.

    Raises
    ------
    InputError
        When it is missing, is no table, lacks a column, or an image set has no split of this name.
    """
    table = tables.read_csv(path, stage="split")
    schema.check(table, [*IMAGE_SET_KEY, GROUP, SPLIT], str(path), key=IMAGE_SET_KEY)
    unknown = table[~table[SPLIT].isin(SPLITS)]
    if len(unknown):
        which = ", ".join(unknown[IMAGE_SET_KEY].iloc[0])
        raise InputError(
            f"{path}: {SPLIT} of image set {which} is {unknown[SPLIT].iloc[0]!r}, which is none of {', '.join(SPLITS)} "
            f"({len(unknown):,} such rows); correct it, or run `dvc repro -f split`"
        )
    return table


def _wanted(table: pd.DataFrame, by: str, fractions: Mapping[str, float]) -> tuple[dict[str, float], list[str]]:
    """Return the splits that must not be empty, in order, with their fractions; two groups have no validation."""
    count = table[GROUP].nunique()
    if count < 2:
        others = {level: groups(table, level).nunique() for level in LEVELS if level != by}
        enough = ", ".join(f"{level} ({n})" for level, n in others.items() if n > 1) or "none: bring more wells"
        raise InputError(
            f"split.by is {by}, and all cells are of one {by} ({table[GROUP].iloc[0]!r}): "
            f"train and test need two; levels that have more: {enough}"
        )
    wanted = {s: float(fractions[s]) for s in SPLITS if fractions[s] > 0}
    if count == 2 and schema.VALIDATION in wanted:
        wanted[schema.TRAIN] += wanted.pop(schema.VALIDATION)
        return wanted, [f"there are two groups only ({by}): one is train, one is test, there is no validation"]
    return wanted, []


def _interleaved(
    table: pd.DataFrame, stratify: str, wanted: Mapping[str, float], hashes: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Return the split of each group, each plate on its own."""
    strata = table.groupby(GROUP)[stratify].min().fillna("")
    per_plate = {str(p): sorted(set(g)) for p, g in table.groupby(PLATE)[GROUP]}
    letters = _sequence(wanted, _PLACES + max(len(g) for g in per_plate.values()))
    chosen = {}
    for plate, names in per_plate.items():
        start = int(_hash(seed, "plate", plate) * _PLACES)
        for i, name in enumerate(sorted(names, key=lambda g: (strata[g], hashes[g], g))):
            chosen[name] = letters[start + i]
    return chosen


def _sequence(wanted: Mapping[str, float], length: int) -> list[str]:
    """Return a sequence of splits whose every stretch has about the wanted shares, by error diffusion.

    Each step adds to each split what it is owed, and gives the place to the one that is owed most.
    """
    owed = dict.fromkeys(wanted, 0.0)
    letters = []
    for _ in range(length):
        # Rounded, so that the order of ties does not hang on the last bit; the first of equals wins.
        owed = {split: round(debt + wanted[split], 9) for split, debt in owed.items()}
        most = max(owed, key=owed.__getitem__)
        owed[most] -= 1
        letters.append(most)
    return letters


def _bounds(wanted: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    edges = np.concatenate([[0.0], np.cumsum(list(wanted.values()))]).tolist()
    edges[-1] = 1.0
    return dict(zip(wanted, pairwise(edges), strict=True))


def _interval(wanted: Mapping[str, float], place: float) -> str:
    """Return the split in whose interval of 0..1 a hash falls."""
    return next(s for s, (low, high) in _bounds(wanted).items() if low <= place < high)


def _fill(chosen: dict[str, str], wanted: Mapping[str, float], hashes: Mapping[str, float]) -> list[str]:
    """Give each empty split one group of a split that has several: the one whose hash is nearest to its interval."""
    notes = []
    bounds = _bounds(wanted)
    for split in sorted(wanted, key=[schema.TEST, schema.TRAIN, schema.VALIDATION].index):
        if split in chosen.values():
            continue
        sizes = pd.Series(chosen).value_counts()
        low, high = bounds[split]
        spare = [g for g, s in chosen.items() if sizes[s] > 1]
        moved = min(spare, key=lambda g: (max(low - hashes[g], hashes[g] - high, 0.0), g))
        notes.append(f"{split} would have been empty: {moved} was moved there from {chosen[moved]}")
        chosen[moved] = split
    return notes


def _hash(*parts: object) -> float:
    """Return a number in 0..1 that depends on the parts alone, on every machine the same."""
    text = "\0".join(str(p) for p in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big") / 2**48


def _strata_notes(table: pd.DataFrame, stratify: str, wanted: list[str]) -> list[str]:
    """Say which strata do not stand in every split: they have too few groups."""
    short = []
    for name, of_name in table.groupby(stratify):
        there = set(of_name[SPLIT])
        if len(there) < len(wanted):
            short.append(f"{name} ({', '.join(s for s in wanted if s in there)} only)")
    label = stratify.removeprefix("Metadata_")
    return [f"{label} with too few groups for every split: {'; '.join(short)}"] if short else []


def _level(joined: pd.DataFrame, level: str, by: str) -> dict[str, Any]:
    """Return whether the groups of a level stand on one side each, and how many do not."""
    sides = joined.groupby(groups(joined, level))[SPLIT].agg(lambda s: sorted(set(s)))
    shared = sides[sides.map(len) > 1]
    if level == by and len(shared):
        raise LeakError(
            f"{level} {shared.index[0]} stands in {' and '.join(shared.iloc[0])} ({len(shared)} of "
            f"{count(len(sides), 'group')} leak): what is measured on test was seen in training; run `dvc repro "
            "-f split`"
        )
    return {"disjoint": not len(shared), "shared": len(shared), "groups": len(sides)}


def _meaning(joined: pd.DataFrame, by: str, levels: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say what the test split stands for, and what it does not."""
    shared = [level for level, of in levels.items() if not of["disjoint"]]
    notes = [f"a result on test is one for a new {by}"]
    if shared:
        notes[0] += f", of a {', '.join(shared)} that training has seen"
    controls = set(joined.loc[joined[PERT_TYPE] == NEGCON, SPLIT])
    lacking = set(joined[SPLIT]) - controls
    if controls and lacking:
        notes.append(
            f"no negative control in {', '.join(sorted(lacking))}: controls are groups like any other, here all in "
            f"{', '.join(sorted(controls))}; normalise with the controls of a plate, whatever their split"
        )
    return notes
