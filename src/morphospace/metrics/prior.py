"""Where cells lie in a latent space, as a distribution to draw new ones from.

Latent points of real cells are no N(0, I): a few lie far out, mostly bright ones, and what is drawn from N(0, I) is no
cell. A Gaussian scale mixture has one covariance and several sizes of it, so its tails may be as heavy as those of the
points, and it is fitted without iteration.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

_SCALES = 16
Floats = NDArray[np.float64]


class ScaleMixture(NamedTuple):
    """A mixture of Gaussians of one mean and one shape, in several sizes, all as likely.

    Attributes
    ----------
    mean
        (d,).
    factor
        Lower triangular root of the covariance at size 1, (d, d).
    scales
        Sizes, (s,), ascending.
    """

    mean: Floats
    factor: Floats
    scales: Floats

    def sample(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return points (count, d)."""
        noise = rng.standard_normal((count, len(self.mean)))
        sizes = rng.choice(self.scales, count)
        return (self.mean + sizes[:, None] * noise @ self.factor.T).astype(np.float32)


def fit(points: NDArray[np.float32]) -> ScaleMixture:
    """Return the mixture of points (n, d).

    The size of a point is its Mahalanobis distance over the root of d; the covariance is that of the points divided by
    their sizes, shrunk where they are few (Ledoit and Wolf 2004); the sizes of the mixture are quantiles of theirs.
    """
    exact: Floats = points.astype(np.float64)
    mean: Floats = exact.mean(axis=0)
    centred = exact - mean
    covariance = _covariance(centred)
    squares = np.einsum("nd,nd->n", centred, np.linalg.solve(covariance, centred.T).T)
    sizes = np.sqrt(np.maximum(squares, 0) / points.shape[1])
    even = centred / np.where(sizes > 0, sizes, 1)[:, None]
    scales = np.quantile(sizes, (np.arange(_SCALES) + 0.5) / _SCALES)
    return ScaleMixture(mean, np.linalg.cholesky(_covariance(even)).astype(np.float64), scales)


def _covariance(centred: Floats) -> Floats:
    """Return the shrunk covariance (d, d), with something on the diagonal where nothing varies."""
    several = np.concatenate([centred, centred]) if len(centred) == 1 else centred  # one alone draws a warning
    found: Floats = LedoitWolf(assume_centered=True).fit(several).covariance_
    least = 1e-12 + 1e-9 * float(np.trace(found)) / len(found)
    return found + least * np.eye(len(found))
