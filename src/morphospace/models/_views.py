"""Square tiles as cosine coefficients, and PCA of their eight views (quarter turns and mirrors) without drawing them.

The orthonormal DCT-II of a square tile has one coefficient for each pair of frequencies (u, v), down the rows and along
the columns. A view only swaps u and v (transposition) and changes the sign of the odd u (rows mirrored) or odd v
(columns mirrored). A moment that is summed over the eight views therefore falls into blocks, one for each irreducible
representation of the dihedral group D4, and PCA of the views is five small eigenproblems instead of a large one.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import scipy.linalg
import torch
from torch import Tensor

VIEWS = 8


class Basis(NamedTuple):
    """Principal components of all views of tiles (uncentred), the largest first, and how views act on them.

    Attributes
    ----------
    components
        Shape (C * k * k, K), orthonormal columns.
    deviations
        Root of the mean square along each, (K,).
    partner
        Of each component, the one that transposition maps it to, (K,): itself but for the pairs of the
        two-dimensional representation.
    transposed, rows, columns
        Sign (K,) that it takes, +1 or -1, when the tile is transposed, and when its rows or its columns are mirrored.
    dipole
        Numbers of the first pair (p, q): p changes its sign with the rows, q with the columns.
    """

    components: Tensor
    deviations: Tensor
    partner: Tensor
    transposed: Tensor
    rows: Tensor
    columns: Tensor
    dipole: Tensor


def cosines(size: int, k: int) -> Tensor:
    """Return the orthonormal DCT-II of `size` samples, its lowest `k` frequencies: (k, size)."""
    u, x = torch.arange(k, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
    table = torch.cos(math.pi * u * (x + 0.5) / size) * math.sqrt(2 / size)
    table[0] /= math.sqrt(2)
    return table.float()


class _Block(NamedTuple):
    """Components of one irreducible representation: variances (m,), parts (m, C, k, k), their partners, and signs."""

    values: Tensor
    parts: Tensor
    partners: Tensor | None
    signs: tuple[int, int, int]


def principal(batches: Iterable[Tensor], most: int) -> Basis:
    """Return the principal components of all eight views of tiles.

    Parameters
    ----------
    batches
        Cosine coefficients (n, C, k, k) of the tiles, float32; k is 2 at least. Only their moments are kept.
    most
        How many components to keep; one fewer where that would part a pair.
    """
    moments: dict[tuple[int, int], Tensor] = {}
    count, channels, k = 0, 0, 0
    for x in batches:
        count, channels, k = count + len(x), x.shape[1], x.shape[2]
        for kind in _KINDS:
            flat = _rows(x, *kind)
            moment = (flat.T @ flat).double()
            moments[kind] = moments[kind] + moment if kind in moments else moment
    blocks = [_block(kind, moments[kind] / count, channels, k, most) for kind in _KINDS]
    order = sorted(
        ((float(value), b, i) for b, block in enumerate(blocks) for i, value in enumerate(block.values)), reverse=True
    )
    components: list[Tensor] = []
    values, partner, signs = [], [], []
    dipole = [0, 0]
    for value, b, i in order:
        block, at = blocks[b], len(components)
        pair = block.partners is not None
        if at + 1 + pair > most:
            break
        swap, rows, columns = block.signs
        components.append(block.parts[i].flatten())
        values.append(value)
        signs.append((swap, rows, columns))
        partner.append(at + pair)
        if block.partners is not None:
            dipole = dipole if any(dipole) else [at, at + 1]
            components.append(block.partners[i].flatten())
            values.append(value)
            signs.append((swap, columns, rows))
            partner.append(at)
    table = torch.tensor(signs, dtype=torch.float32).T.contiguous()
    deviations = torch.tensor(values).clamp(min=0).sqrt()
    fixed = torch.stack(components, dim=1), deviations, torch.tensor(partner)
    return Basis(*fixed, table[0], table[1], table[2], torch.tensor(dipole))


_MIXED = (0, 0)  # frequencies of mixed parity
_KINDS = ((1, 1), (1, -1), (-1, 1), (-1, -1), _MIXED)  # parity (1: both even, -1: both odd), sign under transposition


def _sides(k: int, sign: int) -> Tensor:
    return torch.arange(0 if sign == 1 else 1, k, 2)


def _triangle(k: int, sign: int, swap: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return which pairs of frequencies stand for their square, and the scale that keeps lengths."""
    side = len(_sides(k, sign))
    i, j = torch.triu_indices(side, side, 0 if swap == 1 else 1)
    return i, j, torch.where(i == j, 0.5, math.sqrt(0.5))


def _rows(x: Tensor, sign: int, swap: int) -> Tensor:
    """Return what coefficients (n, C, k, k) have in one representation, a row a tile; two, if it is mixed."""
    k = x.shape[-1]
    if (sign, swap) == _MIXED:
        even, odd = _sides(k, 1), _sides(k, -1)
        return torch.cat([way[:, :, odd][..., even].flatten(1) for way in (x, x.transpose(2, 3))])
    side = _sides(k, sign)
    square = x[:, :, side][..., side]
    i, j, scale = _triangle(k, sign, swap)
    return ((square + swap * square.transpose(2, 3))[:, :, i, j] * scale.to(x)).flatten(1)


def _block(kind: tuple[int, int], moment: Tensor, channels: int, k: int, most: int) -> _Block:
    """Return the components of one representation, from the sum over tiles of the products of its rows."""
    sign, swap = kind
    mixed = kind == _MIXED
    values, vectors = _largest(moment / 2 if mixed else moment, most // 2 if mixed else most)
    parts = torch.zeros(len(values), channels, k, k)
    if mixed:  # each has a partner of equal variance: odd down the rows first, then along the columns
        even, odd = _sides(k, 1), _sides(k, -1)
        parts[:, :, odd[:, None], even] = vectors.view(len(values), channels, len(odd), len(even))
        return _Block(values, parts, parts.transpose(2, 3), (1, -1, 1))
    side = _sides(k, sign)
    i, j, scale = _triangle(k, sign, swap)
    half = vectors.view(len(values), channels, -1) * scale
    parts[:, :, side[i], side[j]] += half
    parts[:, :, side[j], side[i]] += swap * half
    return _Block(values, parts, None, (swap, sign, sign))


def _largest(moment: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Return the largest eigenvalues (m,) of a moment (d, d), largest first, and their vectors (m, d)."""
    d = len(moment)
    values, vectors = scipy.linalg.eigh(moment.cpu().numpy(), subset_by_index=[max(0, d - most), d - 1])
    return torch.from_numpy(values[::-1].copy()).float(), torch.from_numpy(vectors.T[::-1].copy()).float()


class Canonical(NamedTuple):
    """Tiles in the view that stands for all eight: codes (N, K), and which view that is, (N,), 0 to 7."""

    codes: Tensor
    view: Tensor


def seen(codes: Tensor, view: Tensor, basis: Basis) -> Tensor:
    """Return codes (N, K) as they are after a view (N,): 4 x transposed + 2 x rows mirrored + columns mirrored.

    The tile is transposed first, then mirrored.
    """
    swap, rows, columns = ((view[:, None] >> bit) & 1 for bit in (2, 1, 0))
    turned = torch.where(swap.bool(), codes[:, basis.partner] * basis.transposed, codes)
    return turned * torch.where(rows.bool(), basis.rows, 1.0) * torch.where(columns.bool(), basis.columns, 1.0)


def unseen(codes: Tensor, view: Tensor, basis: Basis) -> Tensor:
    """Return codes (N, K) as they were before a view (N,): the inverse of `seen`."""
    swap, rows, columns = ((view[:, None] >> bit) & 1 for bit in (2, 1, 0))
    plain = codes * torch.where(rows.bool(), basis.rows, 1.0) * torch.where(columns.bool(), basis.columns, 1.0)
    return torch.where(swap.bool(), plain[:, basis.partner] * basis.transposed, plain)


def canonical(codes: Tensor, basis: Basis) -> Canonical:
    """Return codes (N, K) in the view in which the dipole points to the same octant: p > 0, q > 0, p >= q."""
    p, q = codes[:, basis.dipole[0]], codes[:, basis.dipole[1]]
    swap = p.abs() < q.abs()
    p, q = torch.where(swap, q, p), torch.where(swap, p, q)
    view = 4 * swap.long() + 2 * (p < 0).long() + (q < 0).long()
    return Canonical(seen(codes, view, basis), view)
