"""A score that cannot be had without its floors: the type of every accuracy of mechanisms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphospace.metrics.bootstrap import Estimate, Resamples
from morphospace.metrics.wilson import wilson
from morphospace.reasons import explained
from morphospace.words import count

UNIFORM, SAME_BATCH, SAME_LAYOUT = "uniform", "same_batch", "same_layout"
CELL_COUNT, MEAN_INTENSITY = "cell_count", "mean_intensity"
RANDOM_PROJECTION, PCA = "random_projection", "pca"
FLOORS = (UNIFORM, SAME_BATCH, SAME_LAYOUT, CELL_COUNT, MEAN_INTENSITY, RANDOM_PROJECTION, PCA)
BLIND = (UNIFORM, SAME_BATCH, SAME_LAYOUT)  # made of metadata alone, so they are always there
_ENDS = ("low", "high")
Floats = NDArray[np.float64]


class FloorError(ValueError):
    """A score was to be made without one of its floors: a mistake in the program, not of who uses it."""


@dataclass(frozen=True)
class Beside:
    """A score of an embedding beside the same score of every floor, each a mean over the same rows.

    It cannot be built without all of `FLOORS`, and nothing but it turns the values of rows into a score, so no score
    can be shown alone.

    Attributes
    ----------
    name
        Of the score, for keys: ``NSC``.
    values
        Of each scored row, in [0, 1], shape (q,): a hit, or an average precision.
    floors
        The same of each floor, by name; text where one could not be measured, and that says why.
    groups
        Compound of each scored row: what intervals resample.
    left
        How many rows could not be scored.
    shares
        Whether values are hits, so that Wilson's interval is one.
    draws
        The resamples of compounds.
    """

    name: str
    values: Floats
    floors: Mapping[str, Floats | str]
    groups: Sequence[str]
    left: int
    shares: bool
    draws: Resamples

    def __post_init__(self) -> None:
        """Refuse a score without a floor, or beside floors of other rows."""
        if missing := [name for name in FLOORS if name not in self.floors]:
            raise FloorError(f"{self.name} has no floor {', '.join(missing)}; give all of {', '.join(FLOORS)}")
        if silent := [name for name in BLIND if isinstance(self.floors[name], str)]:
            raise FloorError(
                f"{self.name}: the floor {silent[0]} needs nothing but metadata; it can always be measured"
            )
        for name, values in self.floors.items():
            if isinstance(values, str):
                if not values:
                    raise FloorError(f"{self.name}: why was the floor {name} not measured?")
            elif len(values) != len(self.values):
                raise FloorError(f"{self.name}: the floor {name} has {len(values)} rows, not {len(self.values)}")

    def estimate(self, floor: str = "") -> Estimate:
        """Return the score of the embedding, or of a floor, with its interval, or NaN and why."""
        values = self.floors[floor] if floor else self.values
        if isinstance(values, str):
            return Estimate(np.nan, np.nan, np.nan, 0, 0, values)
        if not len(values):
            return Estimate(np.nan, np.nan, np.nan, 0, 0, "nothing could be scored")
        return self.draws.estimate(values)

    @property
    def best(self) -> str:
        """The floor with the highest score among those measured; of equals the first; "" when nothing was scored."""
        scored = {name: self.estimate(name).value for name in FLOORS}
        known = {name: value for name, value in scored.items() if np.isfinite(value)}
        return max(known, key=lambda name: known[name]) if known else ""

    def lead(self, floor: str) -> Estimate:
        """Return how much the embedding is above a floor, paired: resamples of compounds hold the same rows of both."""
        values = self.floors[floor] if floor else self.values
        if isinstance(values, str) or not len(values):
            return self.estimate(floor)
        return self.draws.estimate(self.values - values)

    def unmeasured(self) -> str:
        """Return which floors were not measured, and why; nothing when all were."""
        why = {name: values for name, values in self.floors.items() if isinstance(values, str)}
        reasons = {reason: [n.replace("_", " ") for n in FLOORS if why.get(n) == reason] for reason in why.values()}
        return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())

    def record(self) -> dict[str, Any]:
        """Return flat numbers under flat names, for ``dvc metrics`` and ``dvc exp show``; a null has its reason."""
        mine, lead = self.estimate(), self.lead(self.best)
        why = {self.name: mine.reason, f"{self.name}_lead": lead.reason}
        why |= {f"{self.name}{part}_{end}": of.reason for part, of in (("", mine), ("_lead", lead)) for end in _ENDS}
        found: dict[str, Any] = {self.name: mine.value, f"{self.name}_low": mine.low, f"{self.name}_high": mine.high}
        if self.shares:
            around = wilson(float(self.values.sum()), len(self.values), self.draws.confidence)
            found |= {f"{self.name}_wilson_low": around.low, f"{self.name}_wilson_high": around.high}
            why |= {f"{self.name}_wilson_{end}": mine.reason or around.reason for end in _ENDS}
        found |= {f"{self.name}_n": len(self.values), f"{self.name}_left": self.left}
        found |= {f"{self.name}_{name}": self.estimate(name).value for name in FLOORS}
        why |= {f"{self.name}_{name}": self.estimate(name).reason for name in FLOORS}
        found |= {f"{self.name}_best_floor": self.best or "none", f"{self.name}_lead": lead.value}
        return explained(found | {f"{self.name}_lead_low": lead.low, f"{self.name}_lead_high": lead.high}, why)

    def verdict(self) -> str:
        """Return the score beside its best floor in one sentence, and whether they can be told apart."""
        mine, best, lead = self.estimate(), self.estimate(self.best), self.lead(self.best)
        if mine.reason == "nothing could be scored":
            return f"{self.name} was not measured: {count(self.left, 'row')}, none with a neighbour who could be right."
        if np.isfinite(lead.low) and (lead.low > 0 or lead.high < 0):
            said = "better than" if lead.low > 0 else "worse than"
        else:
            said = "not to be told apart from" if np.isfinite(lead.low) else "for want of an interval not compared with"
        floor = self.best.replace("_", " ")
        measured = sum(not isinstance(values, str) for values in self.floors.values())
        among = "the best floor" if measured == len(self.floors) else f"the best of the {measured} floors measured"
        rest = f" Not measured: {self.unmeasured()}." if self.unmeasured() else ""
        return f"{self.name} {_said(mine)} of {len(self.values)}: {said} {among}, {floor} {_said(best)}.{rest}"


def _said(e: Estimate) -> str:
    if not np.isfinite(e.low):
        return f"{e.value:.3f}"
    return f"{e.value:.3f} [{e.low:.3f}, {e.high:.3f}]"
