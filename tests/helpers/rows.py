"""Rows with compounds, mechanisms and batches, for tests of nearest neighbours."""

import numpy as np

from morphospace.metrics.nearest import Profiles


def profiles(compounds: str, mechanisms: str, batches: list[str] | None = None) -> Profiles:
    """Rows named by number, a letter a compound and a letter a mechanism ('.' is none)."""
    names = tuple(f"t{i}" for i in range(len(compounds)))
    held = batches or ["w1"] * len(names)
    known = tuple("" if m == "." else m for m in mechanisms)
    return Profiles(names, tuple(compounds), known, tuple(frozenset(b.split(",")) for b in held))


def drawn(n: int = 60, k: int = 5, seed: int = 0) -> tuple[Profiles, np.ndarray]:
    """Random rows: 20 compounds of 5 mechanisms in 6 batches, some in two of them."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, 20, n)
    batches = [",".join(sorted({f"w{b}" for b in rng.integers(0, 6, rng.integers(1, 3))})) for _ in range(n)]
    letters = "abcdefghijklmnopqrst"
    made = profiles("".join(letters[c] for c in of), "".join("VWXYZ"[c % 5] for c in of), batches)
    return made, rng.normal(size=(n, k)) + rng.normal(size=(5, k))[of % 5]
