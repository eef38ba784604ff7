"""Whether channels look like the stains they are named after: DNA, actin and tubulin, judged on whole fields.

Two signs, both means over compact objects of the field and both without a unit, so that gain and offset of the camera,
magnification and focus hardly matter:

- *nuclear lead*: at the outline of a nucleus DNA drops to almost nothing, while actin and tubulin go on. It is measured
  at the objects of the DNA channel and, with its sign turned, at those of the other channel: exchanging the names turns
  the sign of the mean.
- *fall-off*: microtubules are densest round the nucleus and thin out towards the edge of the cell, actin does not.

Limits and rates: docs/segmentation.md.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import filters, measure

DNA, ACTIN, TUBULIN = "DNA", "Actin", "Tubulin"
_WORDS = {
    DNA: {"dna", "dapi", "hoechst", "draq", "nucleus", "nuclei", "nuclear"},
    ACTIN: {"actin", "phalloidin", "lifeact"},
    TUBULIN: {"tubulin", "microtubule", "microtubules"},
}
_OTHERS = {
    "gamma",
    "acetylated",
    "acetyl",
    "detyrosinated",
}  # tubulin of centrosomes or cilia, not of all microtubules

AS_NAMED, SWAPPED, UNCLEAR, TOO_FEW = "as named", "look swapped", "unclear", "too few nuclei"
FEWEST = 20  # objects a verdict is made of
# A third of the mean over 27 of BBBC021's 55 plates, rounded; the other plates were the test.
LEAD, FALL_OFF = 0.2, 0.06
_COMPACT = 0.9  # solidity of an object that may be a nucleus
# Rings round an object, as shares of its radius: what is nearer than the first is left out, for the blur of the edge.
_GAP, _MIDDLE, _REACH = 0.15, 0.5, 1.0
_FEWEST_PIXELS = 10  # of a ring

Plane = NDArray[Any]


class Pair(NamedTuple):
    """Two stains that may have been exchanged, and the mean sign of it: positive as they should be."""

    first: str
    second: str
    value: float  # nuclear lead, or fall-off, of the first over the second
    nuclei: int
    verdict: str

    @property
    def share(self) -> float:
        """The value over the one that is asked for: 1 and above is as named, -1 and below looks swapped."""
        return self.value / (FALL_OFF if self.first == TUBULIN else LEAD)


class Signs(NamedTuple):
    """Signs of a field, a number an object: nuclear lead of DNA over each stain, fall-off of tubulin over actin."""

    lead: dict[str, list[float]]
    fall_off: list[float]


def recognise(channels: Sequence[str], nuclei_channel: str = "") -> dict[str, str]:
    """Return which channel bears the name of which stain: DNA, Actin, Tubulin.

    Parameters
    ----------
    channels
        Names of all channels. Words in any case, apart or in camel case, are understood: ``w2Actin``,
        ``F-actin``, ``Hoechst33342``. A stain that two channels are named after is left out.
    nuclei_channel
        Stands for DNA where no name says so.
    """
    found: dict[str, list[str]] = {stain: [] for stain in _WORDS}
    for channel in channels:
        words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", channel)}
        for stain, names in _WORDS.items():
            if words & names and not (stain == TUBULIN and (words & _OTHERS or "γ" in channel)):
                found[stain].append(channel)
    if not found[DNA] and nuclei_channel in channels and not any(nuclei_channel in found[s] for s in (ACTIN, TUBULIN)):
        found[DNA] = [nuclei_channel]
    return {stain: names[0] for stain, names in found.items() if len(names) == 1}


def look(planes: Mapping[str, Plane], smallest: float, largest: float) -> Signs:
    """Return the signs of one field.

    Parameters
    ----------
    planes
        Images (H, W) by stain, any unit: DNA, and actin, tubulin or both.
    smallest, largest
        Diameters between which a compact object may be a nucleus, px.
    """
    others = [stain for stain in (ACTIN, TUBULIN) if stain in planes]
    signs = Signs({stain: [] for stain in others}, [])
    for at_nucleus, outwards in _profiles(planes, DNA, smallest, largest):
        for stain in others:
            signs.lead[stain].append(at_nucleus[DNA] - at_nucleus[stain])
        if len(others) == 2:
            signs.fall_off.append(outwards[TUBULIN] - outwards[ACTIN])
    for stain in others:
        found = _profiles({DNA: planes[DNA], stain: planes[stain]}, stain, smallest, largest)
        signs.lead[stain] += [at_edge[DNA] - at_edge[stain] for at_edge, _ in found]
    return signs


def judge(fields: Sequence[Signs]) -> list[Pair]:
    """Return a verdict on each pair of stains, from the signs of some fields that share their channels.

    Actin and tubulin are compared round the nuclei, so only where DNA is as named.
    """
    stains = fields[0].lead if fields else {}
    pairs = [_pair(DNA, stain, [v for signs in fields for v in signs.lead[stain]], LEAD) for stain in stains]
    if len(pairs) == 2 and all(pair.verdict == AS_NAMED for pair in pairs):
        pairs.append(_pair(TUBULIN, ACTIN, [v for signs in fields for v in signs.fall_off], FALL_OFF))
    return pairs


def examples(planes: Mapping[str, Plane], smallest: float, largest: float, count: int) -> dict[str, list[Plane]]:
    """Return windows round `count` nuclei at most, spread over a field, of each plane: what a person may judge by."""
    _, objects = compact(planes[DNA], smallest, largest)
    spread = np.unique(np.linspace(0, len(objects) - 1, min(count, len(objects))).round().astype(int))
    found = [objects[i] for i in spread]
    places = [window(o.centroid, float(np.sqrt(o.area / np.pi))) for o in found]
    return {stain: [plane[place] for place in places] for stain, plane in planes.items()}


def _pair(first: str, second: str, values: list[float], threshold: float) -> Pair:
    if len(values) < FEWEST:
        return Pair(first, second, float(np.mean(values)) if values else float("nan"), len(values), TOO_FEW)
    mean = float(np.mean(values))
    verdict = AS_NAMED if mean > threshold else SWAPPED if mean < -threshold else UNCLEAR
    return Pair(first, second, mean, len(values), verdict)


def _profiles(
    planes: Mapping[str, Plane], of: str, smallest: float, largest: float
) -> list[tuple[dict[str, float], dict[str, float]]]:
    """Return, for each compact object of one plane, two contrasts of every plane: at its outline, and further out.

    Contrasts go from -1 to 1: (inside - outside) / (inside + outside), over the first percentile of a window that
    reaches a radius beyond the object. The first compares the object with the rings round it, the second the inner ring
    with the outer one.
    """
    labels, objects = compact(planes[of], smallest, largest)
    found = []
    for thing in objects:
        radius = float(np.sqrt(thing.area / np.pi))
        where = window(thing.centroid, radius)
        mine = labels[where] == thing.label
        outside, inside = ndimage.distance_transform_edt(~mine), ndimage.distance_transform_edt(mine)
        free = labels[where] == 0
        inner = free & (outside > _GAP * radius) & (outside <= _MIDDLE * radius)
        outer = free & (outside > _MIDDLE * radius) & (outside <= _REACH * radius)
        core = inside > _GAP * radius
        if min(map(np.count_nonzero, (inner, outer, core))) < _FEWEST_PIXELS:
            continue
        cut = {stain: plane[where].astype(float) for stain, plane in planes.items()}
        cut = {stain: plane - np.percentile(plane, 1) for stain, plane in cut.items()}
        rings = {stain: (plane[inner].mean(), plane[outer].mean()) for stain, plane in cut.items()}
        at_edge = {stain: _contrast(plane[core].mean(), sum(rings[stain]) / 2) for stain, plane in cut.items()}
        found.append((at_edge, {stain: _contrast(*ring) for stain, ring in rings.items()}))
    return found


def compact(plane: Plane, smallest: float, largest: float) -> tuple[NDArray[np.intp], list[Any]]:
    """Return what is above Otsu's threshold as a label image, and the solid objects off the border in it."""
    smooth = ndimage.gaussian_filter(plane.astype(float), 1)
    if smooth.min() == smooth.max():
        return np.zeros(plane.shape, np.intp), []
    threshold: Any = filters.threshold_otsu
    label: Any = measure.label
    properties: Any = measure.regionprops
    labels = label(ndimage.binary_fill_holes(smooth > threshold(smooth)))
    low, high = (np.pi * d * d / 4 for d in (smallest, largest))
    height, width = plane.shape
    chosen = [
        o
        for o in properties(labels)
        if low <= o.area <= high
        and min(o.bbox[:2]) > 0
        and o.bbox[2] < height
        and o.bbox[3] < width
        and o.solidity >= _COMPACT
    ]
    return labels, chosen


def window(centre: tuple[float, float], radius: float) -> tuple[slice, slice]:
    """Return rows and columns of the window of an object: twice its radius to each side, as far as the field goes."""
    reach = round(2 * radius) + 1
    rows, columns = (slice(max(0, int(c) - reach), int(c) + reach + 1) for c in centre)
    return rows, columns


def _contrast(inside: float, outside: float) -> float:
    whole = float(inside + outside)
    return float(np.clip((inside - outside) / whole, -1, 1)) if whole > 0 else 0.0
