"""Drawn tables of sites with known mechanisms, for tests of profiles and mechanisms."""

import numpy as np
import pandas as pd

from morphospace import schema

MECHANISMS = ("Actin", "DNA", "Eg5")


def sites(seed: int = 0, signal: float = 4.0, compounds: int = 3, batches: int = 4, k: int = 6) -> pd.DataFrame:
    """Return two plates a batch, each with two sites of three control wells and of every treatment.

    A compound of each mechanism in two concentrations; `signal` is how far mechanisms lie apart, in deviations.
    """
    rng = np.random.default_rng(seed)
    towards = rng.normal(size=(len(MECHANISMS), k))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    rows = []
    for plate in range(2 * batches):
        batch = f"Week{plate // 2}"
        wells = [("DMSO", 0.0, "DMSO", schema.NEGCON, -1)] * 3
        wells += [
            (f"{m}-{c}", dose, m, schema.TREATED, i)
            for i, m in enumerate(MECHANISMS)
            for c in range(compounds)
            for dose in (1.0, 3.0)
            if (c + int(dose > 1)) % batches == plate // 2
        ]
        for place, (compound, dose, moa, kind, code) in enumerate(wells):
            for site in range(2):
                value = rng.normal(size=k) + (signal * towards[code] if code >= 0 else 0)
                known = [f"{batch}_P{plate}", f"B{place + 2:02d}", str(site + 1), batch, compound, dose, moa, kind, 9]
                rows.append([*known, *value])
    names = [*schema.METADATA, "Metadata_Object_Count", *(f"Cells_Latent_{i:03d}" for i in range(k))]
    return pd.DataFrame(rows, columns=names)
