"""A small experiment with known plate effects: three plates, controls, a compound at two doses, two sites a well."""

import numpy as np
import pandas as pd

from morphospace import schema

FEATURES = ["Cells_A", "Nuclei_B", "Cytoplasm_C", "Cells_D"]


def experiment(plates: int = 3, cells: int = 6, wells: int = 4, seed: int = 0) -> pd.DataFrame:
    """Return a table of cells: half of the `wells` of each plate are controls, plate p is shifted and stretched by p.

    The features are correlated and far from 0.
    """
    rng = np.random.default_rng(seed)
    mix = np.array([[2.0, 0.5, 0, 0], [0, 1, 0.7, 0], [0, 0, 0.5, 0.1], [1, 0, 0, 3]])
    rows = []
    for p in range(plates):
        for w in range(wells):
            control = w % 2 == 0
            compound, dose, moa = ("DMSO", 0.0, "DMSO") if control else ("taxol", 10.0**w, "stabilizers")
            for site in "12":
                values = rng.standard_normal((cells, 4)) @ mix + 100
                values = (values + (0 if control else 5 * w)) * (1 + p) + 50 * p
                for n, value in enumerate(values):
                    kind = schema.NEGCON if control else schema.TREATED
                    meta = [f"P{p}", f"A{w + 1:02}", site, f"Week{p // 2 + 1}", compound, dose, moa, kind]
                    rows.append([*meta, n + 1, "train", *value])
    return pd.DataFrame(rows, columns=[*schema.METADATA, schema.OBJECT, schema.SPLIT, *FEATURES])
