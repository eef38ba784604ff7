"""Draws what training reads: forty bright discs from five wells, split by well. Run from the root of a checkout."""

from pathlib import Path

import numpy as np
import pandas as pd

from morphospace import files, schema
from morphospace.imaging import codec, packs

SIZE = 16

number = np.arange(40)
table = pd.DataFrame(dict.fromkeys(schema.METADATA, "x"), index=number)
table[schema.PLATE], table[schema.SITE], table[schema.OBJECT] = "P1", "1", number + 1
table[schema.WELL] = [f"B{n % 5:02d}" for n in number]
table[schema.CROP_STATUS], table[schema.CROP_FILE] = schema.KEPT, [f"{n}.png" for n in number]
table = table.sort_values(schema.OBJECT_KEY, ignore_index=True)
data = Path("data")
data.mkdir(exist_ok=True)
table.to_parquet(data / "crops.parquet")
y, x = np.mgrid[:SIZE, :SIZE]
discs = [(np.hypot(y - 8, x - 8) < 2 + n % 6).astype(np.uint8) * 200 for n in table[schema.OBJECT]]
tiles = [codec.encode_tile(np.stack([d, d // 2])) for d in discs]
packs.write(data / "crops" / "P1.zip", zip(table[schema.CROP_FILE], tiles, strict=True))
sides = table[schema.IMAGE_SET_KEY].drop_duplicates()
sides["Group"] = sides[schema.WELL]
of = {"B00": "train", "B01": "train", "B02": "train", "B03": "validation", "B04": "test"}
sides[schema.SPLIT] = sides[schema.WELL].map(of)
sides.to_csv(data / "splits.csv", index=False)
said = {"channels": {"Actin": {}, "DNA": {}}, "size": SIZE}
files.write_json(Path("reports/records/synthesize.json"), said)
