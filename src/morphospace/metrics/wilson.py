"""The interval of a share that needs nothing but its count (Wilson 1927)."""

import math
from statistics import NormalDist

from morphospace.metrics.bootstrap import Interval


def wilson(hits: float, rows: int, confidence: float) -> Interval:
    """Return the score interval of `hits` out of `rows`; ties may have made `hits` a fraction.

    It takes the rows for independent. Doses of one compound are not, so that it is too narrow where compounds have many
    doses; the literature quotes it, and for that it is here.
    """
    if not rows:
        return Interval(math.nan, math.nan, "no row")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = hits / rows, z * z / rows
    middle = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / rows + weight / (4 * rows))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))
