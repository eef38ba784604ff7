"""A drawn plate with its truth, indexed and with its illumination, in a folder of its own."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from morphospace.datasets import synthetic
from morphospace.stages import illuminate, index, segment, validate

ROOT = Path(__file__).resolve().parents[2]
PIPELINES = ROOT / "pipelines"


@dataclass
class Drawn:
    """Paths of a run in `root`, and the stages on them."""

    root: Path

    @property
    def raw(self) -> Path:
        return self.root / "raw"

    @property
    def table(self) -> Path:
        return self.root / "image_sets.csv"

    def setting(self, key: str, value: object, section: str = "segment") -> None:
        """Change one value of params.yaml."""
        path = self.root / "params.yaml"
        values = yaml.safe_load(path.read_text())
        assert key in values[section]
        values[section][key] = value
        path.write_text(yaml.safe_dump(values))

    def illuminate(self) -> None:
        paths = ("image_sets.csv", PIPELINES / "illuminate.cppipe", "illumination", "t.json", "figures/illumination")
        illuminate.run(self.raw, *(self.root / p for p in paths))

    def segment(self) -> None:
        paths = (
            "image_sets.csv",
            "illumination",
            PIPELINES / "segment.cppipe",
            "objects",
            "t.json",
            "m.json",
            "segment.json",
        )
        segment.run(self.raw, *(self.root / p for p in (*paths, "figures/segmentation")))

    def validate(self) -> None:
        paths = ("image_sets.csv", "illumination", "objects", "t.json", "m.json", "validate.json")
        validate.run(self.raw, *(self.root / p for p in paths))

    def images(self, channel: str) -> list[Path]:
        table = pd.read_csv(self.table, dtype=str)
        folders = table[f"Image_PathName_{channel}"].fillna("")
        return [self.raw / p / f for p, f in zip(folders, table[f"Image_FileName_{channel}"], strict=True)]

    def reindex(self) -> None:
        """Take the files as they are for those that were indexed."""
        table = pd.read_csv(self.table, dtype=str, keep_default_na=False)
        for column in [c for c in table.columns if c.startswith("Image_MD5Digest_")]:
            paths = self.images(column.removeprefix("Image_MD5Digest_"))
            table[column] = [hashlib.md5(p.read_bytes()).hexdigest() for p in paths]
        table.to_csv(self.table, index=False)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two wells of two fields, drawn and indexed once."""
    root = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MORPHOSPACE_JOBS", "1")
        (root / "params.yaml").write_text((ROOT / "params.yaml").read_text())
        (root / "raw").mkdir()
        synthetic.fetch(root / "raw", 1, plates=1, wells=2, sites=2, height=256, width=320, cells=12)
        index.run(
            root / "raw",
            *(root / p for p in ("image_sets.csv", "dropped.csv", "same.csv", "t.json", "m.json", "index.json")),
        )
    return root


@pytest.fixture
def drawn(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """The template in a folder of its own, to be segmented by the native engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    run = Drawn(tmp_path)
    run.setting("engine", "native")
    return run


@pytest.fixture
def lit(drawn: Drawn) -> Drawn:
    """The same with even illumination functions."""
    (drawn.root / "illumination").mkdir()
    table = pd.read_csv(drawn.table, dtype=str)
    for plate in table["Metadata_Plate"].unique():
        for channel in ("Actin", "Tubulin", "DNA"):
            np.save(drawn.root / "illumination" / f"{plate}_{channel}.npy", np.ones((256, 320), np.float32))
    return drawn
