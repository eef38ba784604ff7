"""A run in miniature up to the profiles, of cells whose mechanism shows in their brightness."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from wells import MECHANISMS, sites

from morphospace import files, schema, splitting
from morphospace.imaging import packs
from morphospace.profiling import build

ROOT = Path(__file__).resolve().parents[2]


def write(root: Path, table: pd.DataFrame | None = None) -> Path:
    """Write params.yaml, crops, splits and profiles below `root`: a cell a site, 8 px, three channels."""
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    given["similarity"]["bootstrap"] = given["moa"]["permutations"] = 100
    (root / "params.yaml").write_text(yaml.safe_dump(given))
    rows = sites(batches=2) if table is None else table
    profile(root, rows)
    cells = rows[schema.METADATA].assign(**{schema.OBJECT: 1, schema.CROP_STATUS: schema.KEPT})
    cells = cells.sort_values(schema.OBJECT_KEY, ignore_index=True)
    names = [f"{p}_{w}_{s}.png" for p, w, s in cells[schema.IMAGE_SET_KEY].itertuples(index=False)]
    cells[schema.CROP_FILE] = names
    cells.to_parquet(root / "crops.parquet")
    rng = np.random.default_rng(0)
    for plate, part in cells.groupby(schema.PLATE):
        bright = part[schema.MOA].map({m: 60 * i + 60 for i, m in enumerate(MECHANISMS)}).fillna(20).to_numpy()
        tiles = [np.uint8(b + rng.integers(0, 20, (3, 8, 8))) for b in bright]
        packs.write(
            root / f"crops/{plate}.zip", zip(part[schema.CROP_FILE], map(packs.encode_tile, tiles), strict=True)
        )
    sides = cells[schema.IMAGE_SET_KEY].drop_duplicates()
    sides = sides.assign(Group=splitting.groups(sides, "well"), Split=schema.TRAIN)
    sides.to_csv(root / "splits.csv", index=False)
    files.write_json(root / "synthesize.json", {"size": 8, "channels": {"a": {}, "b": {}, "c": {}}})
    return root


def profile(root: Path, table: pd.DataFrame) -> None:
    """Write the profiles of a table of sites, made as params.yaml of the repository says."""
    options = yaml.safe_load((ROOT / "params.yaml").read_text())["profile"]
    made = build.build(table, build.Settings(**options))
    (root / "profiles").mkdir(exist_ok=True)
    for name, part in zip(made._fields, made, strict=True):
        part.to_parquet(root / f"profiles/{name}.parquet", index=False)
