"""The few numbers that decide, at two revisions, and whether their intervals allow to speak of a difference."""

from collections.abc import Mapping
from typing import Any, NamedTuple

INSIDE = "inside the interval"
OVERLAP = "intervals overlap"
OTHER_CELLS = "other test cells"
_SAME = 1e-6  # what scores of the same images differ by on another machine, at most


class Score(NamedTuple):
    """A value and its interval; `low` and `high` are None where there is none."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4f}"
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


class Row(NamedTuple):
    """A line of the table of headline numbers, as text."""

    label: str
    before: str
    after: str
    change: str
    better: str
    verdict: str


# Label, file and key, digits after the point, which direction is better ("" for what is no merit of the model).
_ROWS = [
    ("S", "similarity: S", 4, "higher"),
    ("S of PCA, as many components", "similarity: S_pca", 4, ""),
    ("S of the median image", "similarity: S_median", 4, ""),
    ("S of the mean image", "similarity: S_mean", 4, ""),
    ("S of an all-black image", "similarity: S_black", 4, ""),
    ("skill over PCA", "similarity: skill_pca", 3, "higher"),
    ("skill over the best trivial floor", "similarity: skill_mae", 3, "higher"),
    ("mean squared error", "similarity: mse", 6, "lower"),
    ("mean squared error of PCA", "similarity: mse_pca", 6, ""),
    ("test cells", "similarity: n_cells_test", 0, ""),
    ("epochs trained", "train: epochs", 0, ""),
    ("hours", "budget: hours", 3, "lower"),
    ("cost, spot", "budget: cost_spot", 3, "lower"),
    ("cost, on demand", "budget: cost_on_demand", 3, "lower"),
]


def score(metrics: Mapping[str, Any], key: str) -> Score | None:
    """Return a number and its interval, or None where there is no finite number."""
    value, low, high = (finite(metrics.get(name)) for name in (key, f"{key}_low", f"{key}_high"))
    return None if value is None else Score(value, low, high)


def finite(value: Any) -> float | None:
    """Return a number as a float, None for anything else: text, true and false, NaN, infinity, 400 digits."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e300 < value < 1e300:
        return None
    return float(value)


def judge(before: Score, after: Score, better: str = "higher") -> str:
    """Say what may be said of a change: nothing while one value lies in the other's interval or the intervals meet.

    Intervals that do not meet are a stricter test than one of the difference, which would need both models' scores
    of the same wells; "" where a revision has no interval.
    """
    if before.value == after.value:
        return "unchanged"
    if before.low is None or before.high is None or after.low is None or after.high is None:
        return ""
    if before.low <= after.value <= before.high or after.low <= before.value <= after.high:
        return INSIDE
    if before.low <= after.high and after.low <= before.high:
        return OVERLAP
    return "better" if (after.value > before.value) == (better == "higher") else "worse"


def other_cells(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the scores were taken on other test images: the floor of an all-black image depends on nothing else."""
    if before.get("similarity: dataset", after.get("similarity: dataset")) != after.get("similarity: dataset"):
        return True
    for key in ("similarity: S_black", "similarity: n_cells_test"):
        old, new = finite(before.get(key)), finite(after.get(key))
        if old is not None and new is not None and abs(old - new) > _SAME:
            return True
    return False


def headline(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return the one sentence to read: S at both revisions and what may be said of the change."""
    old, new = score(before, "similarity: S"), score(after, "similarity: S")
    if after.get("similarity: reconstructs") is False:
        return "No S: the model of this branch draws nothing and is scored by its embedding"
    if new is None:
        return "No S: this branch holds no scores" + ("" if old is None else f", the base has {old}")
    if old is None:
        return f"S {new}, and nothing to compare it with: the base holds no scores"
    names = [side.get("similarity: dataset") for side in (before, after)]
    if None not in names and names[0] != names[1]:
        return f"S {old} on {names[0]} → {new} on {names[1]}: another data set, not comparable"
    if other_cells(before, after):
        return f"S {old} → {new}, on other test cells: not comparable, compare each with its floors"
    said = {
        "unchanged": f"S {new}, unchanged",
        "": f"S {old} → {new}, no interval, so no verdict",
        INSIDE: f"S {old} → {new}, inside the interval: no difference shown",
        OVERLAP: f"S {old} → {new}, the intervals overlap: no difference shown",
    }
    verdict = judge(old, new)
    return said.get(verdict, f"S {old} → {new}, outside the interval: {verdict}")


def beside_pca(after: Mapping[str, Any]) -> str:
    """Return how the model stands beside PCA with as many components, or "" where that was not scored."""
    skill = score(after, "similarity: skill_pca")
    if skill is None or skill.low is None or skill.high is None:
        return ""
    shown = f"(skill {skill.value:.2f} [{skill.low:.2f}, {skill.high:.2f}])"
    if skill.high < 0:
        return f"PCA with as many components is better than the model {shown}."
    return f"The model is {'better than' if skill.low > 0 else 'level with'} PCA with as many components {shown}."


def rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Row]:
    """Return the headline numbers that at least one revision has, changed or not."""
    elsewhere = other_cells(before, after)
    found = []
    for label, key, digits, better in _ROWS:
        old, new = score(before, key), score(after, key)
        if old is None and new is None:
            continue
        verdict = judge(old, new, better) if old and new and better and old != new else ""
        if elsewhere and verdict and key.startswith("similarity"):
            verdict = OTHER_CELLS
        found.append(Row(label, _shown(old, digits), _shown(new, digits), _change(old, new), better, verdict))
    return found


def _shown(found: Score | None, digits: int) -> str:
    if found is None:
        return "–"
    if found.low is None or found.high is None:
        return f"{found.value:,.{digits}f}"
    return f"{found.value:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def _change(old: Score | None, new: Score | None) -> str:
    if old is None or new is None:
        return ""
    step = new.value - old.value
    if step == 0:
        return "="
    share = f" ({step / abs(old.value):+.1%})" if old.value else ""
    return f"{step:+.3g}{share}"
