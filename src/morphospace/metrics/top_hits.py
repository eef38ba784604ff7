"""Which mechanism the top hits of a compound's images speak for, with the compound left out (004-17)."""

import numpy as np
from numpy.typing import NDArray

from morphospace.metrics.nearest import Floats, Left, Profiles, Similar, Votes, blocks


def top_hits(profiles: Profiles, similar: Similar, top: int) -> Votes:
    """Return the mechanism of each compound by the pooled top hits of its images; rows are compounds now.

    The `top` nearest images of other compounds are taken for each image (all doses), and counted by mechanism over all
    images of a compound. Each count is divided by how many images of the mechanism could be found, those of the
    compound left out; the mechanism with the highest share wins. Where images are equally near at the end of a list,
    or shares are equal, they are shared out.

    A compound whose mechanism has no other compound could not be right: it is left out, and named.

    Parameters
    ----------
    profiles
        Images without negative controls: sites, wells, or cells.
    similar
        Their similarities.
    top
        Hits an image: 10 in the original.
    """
    compounds, codes = np.array(profiles.compounds), profiles.codes
    names = sorted({c for c, code in zip(profiles.compounds, codes, strict=True) if code >= 0})
    first = [profiles.compounds.index(c) for c in names]
    pooled = Profiles(
        tuple(names),
        tuple(names),
        tuple(profiles.mechanisms[i] for i in first),
        (frozenset(),) * len(names),
    )
    classes = np.eye(len(pooled.classes))[codes] * (codes >= 0)[:, None] if names else np.zeros((0, 0))
    left, scored, votes = [], [], []
    for place, name in enumerate(names):
        others = (compounds != name) & (codes >= 0)
        could = classes[others].sum(axis=0)
        mechanism = pooled.codes[place]
        if not could[mechanism]:
            left.append(Left(name, f"{pooled.mechanisms[place]} has one compound"))
            continue
        counts = sum(
            (_nearest(similar(rows), others, top).sum(axis=0) for rows in blocks(np.flatnonzero(compounds == name))),
            start=np.zeros(len(profiles)),
        )
        share = np.divide(counts @ classes, could, out=np.zeros(len(could)), where=could > 0)
        best = share >= share.max() * (1 - 1e-12)
        scored.append(place)
        votes.append(best / best.sum())
    found = np.array(votes).reshape(len(votes), len(pooled.classes))
    return Votes(pooled, np.array(scored, dtype=np.intp), found, tuple(() for _ in scored), tuple(left))


def _nearest(similarity: Floats, may: NDArray[np.bool_], top: int) -> Floats:
    """Weight of each row in the `top` nearest of some rows, (b, n); those equal to the last share what is left."""
    many = min(top, int(may.sum()))
    masked = np.where(may, similarity, -np.inf)
    last = -np.partition(-masked, many - 1, axis=1)[:, many - 1 : many]
    slack = 1e-12 * np.maximum(1, np.abs(last))
    above, equal = masked > last + slack, np.abs(masked - last) <= slack
    rest = many - above.sum(axis=1, keepdims=True)
    weights: Floats = above + equal * (rest / equal.sum(axis=1, keepdims=True))
    return weights
