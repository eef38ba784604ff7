"""Fields without segmentation, through the stages as dvc.yaml calls them: chunks beside slow recomputations."""

import importlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from morphospace import schema, splitting
from morphospace.errors import InputError
from morphospace.imaging import chunks, crops, packs

ROOT = Path(__file__).resolve().parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
SHARED = ("fetch", "index", "illuminate", "segment", "validate", "synthesize", "split")
SIZE, STRIDE = 16, 6
SHAPES = {"a": (40, 50), "b": (40, 50), "c": (33, 28)}  # C_H x C_W: 5 x 6 and 3 x 3


class Tissue:
    """A folder with params.yaml and colour images, in which stages run."""

    def __init__(self, root: Path, images: Path, pattern: str, **synthesize: Any) -> None:
        given = yaml.safe_load((ROOT / "params.yaml").read_text()) | {
            "dataset": "folder",
            "z_dim": 4,
            "model": "conv_vae",
        }
        channels = ["Red=R", "Green=G", "Blue=B"]
        given["folder"] |= {"root": str(images), "pattern": pattern, "channels": channels}
        given["segment"]["engine"] = "field"
        given["synthesize"] |= {"size": SIZE, "stride": STRIDE, "scaling": "positive", **synthesize}
        given["split"]["by"] = "site"
        given["train"] |= {"epochs": 1, "minibatch": 32, "pictures": 2}
        self.root, self.images, self.given = root, images, given

    def run(self, *names: str) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(self.given))
        for name in names:
            paths = STAGES[name]["cmd"].replace("${dataset}", "folder").split()[2:]
            where = [ROOT / p if p.startswith("pipelines/") else self.root / p for p in paths]
            importlib.import_module(f"morphospace.stages.{name}").run(*where)

    def metrics(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.root / f"reports/records/{name}.json").read_text())
        return found

    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / "data/crops.parquet")

    def tile(self, row: "pd.Series[Any]") -> np.ndarray:
        pack = self.root / f"data/crops/{row[schema.PLATE]}.zip"
        return packs.decode_tile(packs.read(pack, [row[schema.CROP_FILE]])[0], 3)

    def expected(self, row: "pd.Series[Any]") -> np.ndarray:
        """The chunk (C, H, W) of a row, 0 to 1, by the formula, from the image as published."""
        pixels = np.asarray(Image.open(self.images / f"{row[schema.SITE]}.png")).astype(float)
        planes = [(np.clip((p - p.mean()) / p.std(), -1, 1) + 1) / 2 for p in pixels.transpose(2, 0, 1)]
        top, left, bottom, right = row[crops.BOX].astype(int)
        return np.stack(planes)[:, top:bottom, left:right]


def _draw(folder: Path) -> Path:
    """Images with dark, bright and middling parts."""
    folder.mkdir()
    for seed, (name, shape) in enumerate(SHAPES.items()):
        rng = np.random.default_rng(seed)
        ramp = np.linspace(-110, 110, shape[1])[:, None] * [1, 0.8, 1]
        pixels = np.clip(rng.normal(125, 20, (*shape, 3)) + ramp, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def _tissue(root: Path) -> Tissue:
    return Tissue(root, root / "images", r"(?P<plate>(?P<site>[a-c]))\.png", min_mean=0.2, max_mean=0.8)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three drawn images, through all stages up to split once."""
    root = tmp_path_factory.mktemp("tissue")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MORPHOSPACE_JOBS", "1")
        patch.setenv("MORPHOSPACE_SCRATCH", str(root / "scratch"))
        _draw(root / "images")
        _tissue(root).run(*SHARED)
    return root


@pytest.fixture
def small(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tissue:
    """The template in a folder of its own."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    return _tissue(tmp_path)


def test_chunks_are_as_many_as_the_formula_says_and_hold_the_formula_s_pixels(small: Tissue) -> None:
    table, found = small.table(), small.metrics("synthesize")
    assert table.groupby(schema.SITE).size().to_dict() == {"a": 30, "b": 30, "c": 9}
    assert (found["cells"], found["fields"], found["stride"], found["too_small"]) == (69, 3, STRIDE, 0)
    lost = 1 - (2 * 40 * 46 + 28 * 28) / (2 * 40 * 50 + 33 * 28)
    assert found["margin_share"] == pytest.approx(lost, abs=1e-6)
    means = np.array([small.expected(row).mean() for _, row in table.iterrows()])
    np.testing.assert_allclose(table[schema.CROP_MEAN], means, atol=1e-3)
    assert np.abs(means[:, None] - [0.2, 0.8]).min() > 1e-3  # none so near that rounding decides
    assert (found["too_dark"], found["too_bright"]) == ((means < 0.2).sum(), (means > 0.8).sum())
    assert min(found["too_dark"], found["too_bright"], found["kept"]) > 5
    kept = table[table[schema.CROP_STATUS] == schema.KEPT]
    assert len(kept) == found["kept"] == ((means >= 0.2) & (means <= 0.8)).sum()
    for _, row in kept.iterrows():
        np.testing.assert_allclose((small.tile(row) - 1.0) / 254, small.expected(row), atol=0.5 / 254 + 1e-9)
    assert (table.loc[table[schema.CROP_STATUS] != schema.KEPT, schema.CROP_FILE] == "").all()
    assert sum(1 for p in "abc" for _ in packs.members(small.root / f"data/crops/{p}.zip")) == len(kept)
    pictures = {p.name for p in (small.root / "reports/figures/crops").iterdir()}
    assert pictures == {"mean_histogram.png", "contact_sheet.png"}


def test_no_image_stands_on_two_sides_and_the_certificate_warns_of_the_overlap(small: Tissue) -> None:
    splits = splitting.read(small.root / "data/splits.csv")
    kept = small.table().query("Crop_Status == 'kept'")
    sides = kept.merge(splits, on=schema.IMAGE_SET_KEY).groupby(schema.IMAGE_SET_KEY)[schema.SPLIT].nunique()
    assert (sides == 1).all()
    found = small.metrics("split")
    assert found["overlap"] == chunks.overlap(kept)
    assert found["overlap"]["with_neighbour"] == round(1 - STRIDE / SIZE, 6)
    assert "by site is the finest allowed" in found["notes"][-1]
    assert "62.5% of its area" in found["notes"][-1]
    small.given["synthesize"]["stride"] = SIZE
    small.run("synthesize", "split")
    assert "overlap" not in small.metrics("split")
    assert not any("overlap" in note for note in small.metrics("split")["notes"])


def test_there_is_nothing_to_light_evenly_and_nothing_to_compare(small: Tissue) -> None:
    functions = [np.load(path) for path in (small.root / "data/illumination").iterdir()]
    assert len(functions) == 9
    assert all((f == 1).all() for f in functions)
    assert small.metrics("validate") == {
        "dataset": "folder: tissue0/images",
        "fields": 0,
        "engine": "field",
        "truth": False,
        "note": "nothing to compare: the engine field takes each field whole and finds no cells",
    }
    assert small.metrics("segment")["cells"] == 3


def test_pieces_and_scalings_change_nothing_that_they_should_not(
    small: Tissue, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [small.root / "data/crops.parquet", *sorted((small.root / "data/crops").iterdir())]
    before = [path.read_bytes() for path in written]
    monkeypatch.setattr(importlib.import_module("morphospace.stages.synthesize"), "_PIECE", 4)
    small.run("synthesize")
    assert [path.read_bytes() for path in written] == before
    small.given["synthesize"] |= {"scaling": "percentile", "low": 0.0, "high": 100.0, "min_mean": 0.0, "max_mean": 1.0}
    small.run("synthesize")
    assert small.metrics("synthesize")["kept"] == 69
    row = small.table().iloc[0]
    image = np.asarray(Image.open(small.images / "a.png")).astype(float)[:SIZE, :SIZE].transpose(2, 0, 1)
    whole = np.asarray(Image.open(small.images / "a.png")).astype(float)
    low, high = whole.min(axis=(0, 1))[:, None, None], whole.max(axis=(0, 1))[:, None, None]
    assert np.abs(small.tile(row) - (1 + 254 * (image - low) / (high - low))).max() <= 0.51


def test_patches_that_are_tiles_already_are_taken_as_they_are(small: Tissue) -> None:
    (small.images / "c.png").unlink()
    for path in small.images.iterdir():
        Image.open(path).crop((0, 0, SIZE, SIZE)).save(path)
    small.given["synthesize"] |= {"stride": 0, "scaling": "bit_depth", "min_mean": 0.0, "max_mean": 1.0}
    small.run(*SHARED[:6])
    table = small.table()
    assert table[schema.CROP_STATUS].tolist() == ["kept"] * 2
    assert schema.CROP_MEAN not in table
    for _, row in table.iterrows():
        published = np.asarray(Image.open(small.images / f"{row[schema.SITE]}.png"))
        assert np.array_equal(small.tile(row), published.transpose(2, 0, 1))


def test_fields_that_give_no_tile_are_counted_and_when_none_does_the_stage_says_what_would(
    small: Tissue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    small.given["synthesize"]["size"] = 40
    small.run("synthesize")
    found = small.metrics("synthesize")
    assert (found["too_small"], found["cells"]) == (1, 5)
    assert "4 chunks of 3 fields, one every 6 px; 25.3 % of the pixels" in caplog.text
    assert "1 fields are too small" in caplog.text
    small.given["synthesize"]["size"] = 64
    with pytest.raises(InputError, match=r"none of the 3 fields of .* holds a square of 64 px: the longest is 50 px"):
        small.run("synthesize")
    small.given["synthesize"] |= {"size": SIZE, "min_mean": 0.98, "max_mean": 0.99}
    with pytest.raises(InputError, match=r"none of 69 tiles has a mean from 0\.98 to 0\.99: they go from 0\.\d+ to"):
        small.run("synthesize")
    small.given["synthesize"] |= {"min_mean": 0.0, "stride": 0}
    with pytest.raises(InputError, match=r"none of the 3 cells of .* fits a tile of 16 px"):
        small.run("synthesize")


@pytest.mark.slow
def test_stained_sections_are_chunked_split_by_image_and_trained_on(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    published = real_data / "bbbc038_nuclei/brightfield"
    (tmp_path / "images").mkdir()
    names = ["0f1f896d9ae5", "17b9bf4356db", "1d9eacb3161f"]
    for name in names:
        for file in (f"{name}.png", f"{name}_labels.png"):
            shutil.copy(published / file, tmp_path / "images" / file)
    bounds = {"size": 64, "stride": 56, "min_mean": 0.1, "max_mean": 0.85}
    run = Tissue(tmp_path, tmp_path / "images", r"(?P<plate>(?P<site>[0-9a-f]{12}))\.png", **bounds)
    run.run(*SHARED, "train")
    table, found = run.table(), run.metrics("synthesize")
    # 512 x 680 px: 9 x 12 chunks; 524 x 348 px: 9 x 6
    assert table.groupby(schema.SITE).size().to_dict() == dict(zip(names, [108, 108, 54], strict=True))
    assert run.metrics("index")["not_used"] == {"no_match": 3}
    means = np.array([run.expected(row).mean() for _, row in table.iterrows()])
    sure = np.abs(means[:, None] - [0.1, 0.85]).min(axis=1) > 1e-3
    status = np.select([means < 0.1, means > 0.85], ["too_dark", "too_bright"], "kept")
    assert (table[schema.CROP_STATUS] == status)[sure].all()
    assert sure.mean() > 0.98
    assert found["kept"] + found["too_dark"] + found["too_bright"] == 270
    kept = table[table[schema.CROP_STATUS] == schema.KEPT].merge(
        splitting.read(tmp_path / "data/splits.csv"), on=schema.IMAGE_SET_KEY
    )
    assert (kept.groupby(schema.SITE)[schema.SPLIT].nunique() == 1).all()
    trained = run.metrics("train")
    assert trained["epochs"] == 1
    assert np.isfinite(trained["validation_loss"])
