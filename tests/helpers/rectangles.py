"""Two plates with rectangles for cells and known values, and the stage that cuts them."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from scipy import ndimage

from morphospace import params, schema
from morphospace.imaging import crops, packs
from morphospace.stages import synthesize

ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH = 60, 80
CHANNELS = ["Actin", "Tubulin", "DNA"]
# height and width of the four cells of every field: odd, even, tall, wide
SHAPES = [(9, 7), (12, 12), (30, 6), (5, 21)]
CORNERS = [(2, 2), (20, 10), (20, 40), (55, 50)]


@dataclass
class Plates:
    root: Path
    channels: list[str]

    def run(self, **options: Any) -> dict[str, Any]:
        section = yaml.safe_load((ROOT / "params.yaml").read_text())["synthesize"] | {"size": 16, **options}
        chosen = SimpleNamespace(data_set="drawn", synthesize=params.Synthesize.model_validate(section))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(params, "load", lambda: chosen)
            self._run()
        return json.loads((self.root / "metrics.json").read_text())

    def _run(self) -> None:
        synthesize.run(*(self.root / p for p in (
            "raw", "image_sets.csv", "illumination", "objects", "crops", "crops.parquet", "timings.json",
            "few.json", "metrics.json", "figures")))  # fmt: skip

    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / "crops.parquet")

    def tiles(self, channels: int) -> np.ndarray:
        kept = self.table().query("Crop_Status == 'kept'")
        return np.array(packs.tiles(self.root / "crops", kept, channels, 16, self.root / "cache"))


def draw(root: Path, channels: list[str], dtype: type = np.uint16) -> Plates:
    rng = np.random.default_rng(3)
    full = np.iinfo(dtype).max
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint16)
    for number, ((top, left), (h, w)) in enumerate(zip(CORNERS, SHAPES, strict=True), 1):
        labels[top : top + h, left : left + w] = number
    labels[2, 2] = 0  # a corner of the first cell is not its own
    rows, objects = [], []
    for plate, gain in (("P1", 0.25), ("P2", 0.75)):
        images = []
        for well, compound in (("A01", "DMSO"), ("A02", "taxol")):
            meta = dict(zip(schema.METADATA, [plate, well, "1", plate, compound, 1.0, compound,
                                              "negcon" if compound == "DMSO" else "trt"], strict=True))  # fmt: skip
            row: dict[str, Any] = dict(meta)
            for c, channel in enumerate(channels):
                name = f"{plate}_{well}_w{c}.tif"
                image = (rng.random((HEIGHT, WIDTH)) * gain * full / (c + 1)).astype(dtype)
                (root / "raw").mkdir(exist_ok=True)
                tifffile.imwrite(root / "raw" / name, image)
                row |= {f"Image_PathName_{channel}": ".", f"Image_FileName_{channel}": name}
            for c in channels:
                row[f"Image_MD5Digest_{c}"] = "0" * 32
            rows.append(row)
            images += [(f"{well}_1_{part}.tiff", packs.encode_labels(labels)) for part in packs.COMPARTMENTS]
            for number, box in enumerate(ndimage.find_objects(labels), 1):
                objects.append(
                    meta | {"ObjectNumber": number, crops.AREA: float((labels == number).sum())}
                    | dict(zip(crops.BOX, (box[0].start, box[1].start, box[0].stop, box[1].stop), strict=True))
                )  # fmt: skip
        packs.write(root / "objects" / f"{plate}.zip", images)
        (root / "illumination").mkdir(exist_ok=True)
        for c, channel in enumerate(channels):
            light = np.linspace(1, 1.5, WIDTH, dtype=np.float32) + np.zeros((HEIGHT, 1), np.float32) + c
            np.save(root / "illumination" / f"{plate}_{channel}.npy", light)
    pd.DataFrame(rows).to_csv(root / "image_sets.csv", index=False)
    pd.DataFrame(objects[::-1]).to_parquet(root / "objects" / "objects.parquet", index=False)
    return Plates(root, channels)
