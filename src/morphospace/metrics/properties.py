"""What is known of cells and wells, and how each latent moves with it: the properties that a table offers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import schema
from morphospace.metrics import meaning
from morphospace.metrics.meaning import Tested

FEWEST_DOSES = 3  # of a compound, for a property of its own
FEWEST_CONTROLS = 3  # wells of negative controls on each plate, for plates to be compared by them
DOSE, MECHANISM, PLATE = "dose", "mechanism", "plate"

Floats = NDArray[np.floating[Any]]
Means = NDArray[np.float64]


class Property(NamedTuple):
    """A property, and how all latents move with it.

    Attributes
    ----------
    name
        Such as ``dose``, ``dose of taxol``, ``mechanism``, ``plate``, ``cell area``.
    measure
        Of the effect: ``rho`` or ``epsilon2``.
    rests_on
        What was compared with what.
    tested
        The effect of each latent.
    """

    name: str
    measure: str
    rests_on: str
    tested: Tested


def examine(cells: pd.DataFrame, latents: Floats, measured: Mapping[str, Floats]) -> list[Property]:
    """Return how the latents move with dose, mechanism, plate and what was measured of each cell.

    Parameters
    ----------
    cells
        A row a cell, with its metadata.
    latents
        Of the cells (n, z).
    measured
        Numbers of the cells by name, (n,) each: area, intensity.
    """
    codes, _ = pd.factorize(cells[schema.PLATE].astype(str) + "/" + cells[schema.WELL].astype(str), sort=True)
    wells = cells.iloc[np.unique(codes, return_index=True)[1]].reset_index(drop=True)
    means = meaning.well_means(latents, codes)
    found = [*_doses(wells, means), _mechanism(wells, means), _plate(wells, means)]
    for name, values in measured.items():
        tested = meaning.within_wells(latents, values, codes)
        found.append(Property(name, "rho", "cells within their well, mean over wells", tested))
    return found


def _doses(wells: pd.DataFrame, means: Means) -> list[Property]:
    """Return the dose of all compounds together, and of each compound with enough doses."""
    treated = wells[wells[schema.PERT_TYPE] != schema.NEGCON]

    def tested(name: str, some: pd.DataFrame) -> Property:
        strata = list(zip(some[schema.PLATE], some[schema.COMPOUND], strict=True))
        effect = meaning.by_rank(means[some.index], some[schema.CONCENTRATION], strata)
        return Property(name, "rho", "wells of one compound on one plate", effect)

    doses = treated.groupby(schema.COMPOUND, sort=True)[schema.CONCENTRATION].nunique()
    each = [compound for compound, n in doses.items() if n >= FEWEST_DOSES]
    own = [tested(f"{DOSE} of {compound}", treated[treated[schema.COMPOUND] == compound]) for compound in each]
    return [tested(DOSE, treated), *own]


def _mechanism(wells: pd.DataFrame, means: Means) -> Property:
    known = wells[schema.MOA].notna() & ~wells[schema.MOA].isin(["", schema.UNKNOWN])
    classes = [str(moa) if k else None for moa, k in zip(wells[schema.MOA], known, strict=True)]
    return Property(MECHANISM, "epsilon2", "wells", meaning.by_class(means, classes))


def _plate(wells: pd.DataFrame, means: Means) -> Property:
    """Compare plates by their negative controls where each has enough of them: compounds differ between plates."""
    control = wells[schema.PERT_TYPE] == schema.NEGCON
    counts = control.groupby(wells[schema.PLATE]).sum()
    rests_on, rows = "wells", wells
    if (counts >= FEWEST_CONTROLS).all():
        rests_on, rows = "wells of negative controls", wells[control]
    return Property(PLATE, "epsilon2", rests_on, meaning.by_class(means[rows.index], rows[schema.PLATE].tolist()))


def table(found: list[Property], names: list[str], kl: Floats | None, active: NDArray[np.bool_]) -> pd.DataFrame:
    """Return a row a latent and property: effect, p, q, KL (nats) and whether the latent is active.

    q is adjusted over all tests of active latents: one that is not in use varies by rounding, and may move with
    anything.

    Parameters
    ----------
    found
        What `examine` returned.
    names, kl, active
        Of the latents (z,); without a posterior there is no KL.
    """
    rows = [
        pd.DataFrame(
            {
                "latent": names,
                "property": prop.name,
                "measure": prop.measure,
                "effect": prop.tested.effect,
                "chance": prop.tested.chance,
                "p": prop.tested.p,
                "wells": prop.tested.wells,
                "rests_on": prop.rests_on,
                "reason": [_why(prop.tested, i, bool(used)) for i, used in enumerate(active)],
                "kl": np.nan if kl is None else kl,
                "active": active,
            }
        )
        for prop in found
    ]
    long = pd.concat(rows, ignore_index=True)
    p = long["p"].where(long["active"])
    long.insert(long.columns.get_loc("p") + 1, "q", meaning.adjusted(p.to_numpy()))  # type: ignore[arg-type, operator]
    return long


def _why(tested: Tested, latent: int, active: bool) -> str:
    """Return why a latent has no effect or no q; nothing where it has both."""
    if tested.reason:
        return tested.reason
    if not np.isfinite(tested.effect[latent]):
        return "the latent is constant"
    return "" if active else "the latent is not active"


def top(long: pd.DataFrame, name: str, fdr: float, count: int) -> pd.DataFrame:
    """Return the rows of the active latents that move most with a property, among those with q of `fdr` at most."""
    mine = long[(long["property"] == name) & (long["q"] <= fdr) & long["active"]]
    return mine.loc[mine["effect"].abs().sort_values(ascending=False, kind="stable").index].head(count)
