"""The stage that scores: a real model of small tiles, packs and tables as the stages before it write them."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits

from morphospace import files, params, registry, schema, splitting
from morphospace.analyses import Similarity
from morphospace.errors import InputError, LeakError, SchemaError
from morphospace.imaging import packs
from morphospace.metrics import scores
from morphospace.metrics import similarity as metric
from morphospace.models import _build
from morphospace.stages import similarity
from morphospace.training import embedding

SIZE = 16
CHANNELS = ["Actin", "DNA"]
NAMES = (
    "crops",
    "crops.parquet",
    "splits.csv",
    "split.json",
    "models",
    "out.csv",
    "times.json",
    "metrics.json",
    "out.json",
    "figures",
)
SIDES = ["train", "train", "validation", "test", "test"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def _write(root: Path, sides: list[str], dark: bool = False) -> None:
    """Write the inputs of the stage: one plate, a well a side of the split, 6 kept cells and a dropped one each."""
    rng = np.random.default_rng(0)
    rows, members = [], []
    for w in range(len(sides)):
        meta = ["P1", f"A{w + 1:02}", "1", "W", "DMSO", 0.0, "DMSO", "negcon"]
        for n in range(1, 8):
            tile = np.zeros((len(CHANNELS), SIZE, SIZE), np.uint8)
            side = 4 + 2 * (n % 5)
            tile[:, 1 : 1 + side, 1 : 1 + side] = 51 if dark else rng.integers(1, 256, (len(CHANNELS), side, side))
            name = f"P1_A{w + 1:02}_1_{n}.png"
            rows.append([*meta, n, "kept" if n < 7 else "too_large", name if n < 7 else ""])
            members.append((name, packs.encode_tile(tile)))
    columns = [*schema.METADATA, schema.OBJECT, schema.CROP_STATUS, schema.CROP_FILE]
    table = pd.DataFrame(rows, columns=columns)
    table.to_parquet(root / "crops.parquet", index=False)
    packs.write(root / "crops" / "P1.zip", members)
    sets = table.drop_duplicates(schema.IMAGE_SET_KEY)[schema.IMAGE_SET_KEY]
    splits = sets.assign(Group=splitting.groups(sets, "well"), Split=sides)
    splits.to_csv(root / "splits.csv", index=False)
    kept = table[table[schema.CROP_STATUS] == schema.KEPT]
    files.write_json(root / "split.json", splitting.verify(splits, kept, "well"))


def _model(root: Path, broken: bool = False) -> None:
    card = embedding.Card(
        model="conv_vae",
        channels=CHANNELS,
        size=SIZE,
        z_dim=4,
        channel_mode="joint",
        options={},
        r_loss_factor=1,
        best_epoch=1,
        epochs=1,
        fingerprint="0",
    )
    torch.manual_seed(0)
    weights = embedding.build(card).state_dict()
    if broken:
        weights = {name: w * torch.nan if w.is_floating_point() else w for name, w in weights.items()}
    (root / "models").mkdir()
    embedding.save_model(root / "models", weights, card)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(sides: list[str] = SIDES, pca_cells: int = 100, written: bool = False, **kinds: bool) -> Any:
        chosen = Similarity(pca_cells=pca_cells, bootstrap=100, confidence=0.95)
        monkeypatch.setattr(similarity, "SHOWN", 2)
        monkeypatch.setattr(params, "load", lambda: SimpleNamespace(seed=1, data_set="drawn", similarity=chosen))
        if not written:
            _write(tmp_path, sides, kinds.get("dark", False))
            _model(tmp_path, kinds.get("broken", False))
        similarity.run(*(tmp_path / name for name in NAMES))
        return pd.read_csv(tmp_path / "out.csv"), json.loads((tmp_path / "out.json").read_text())

    return run


def test_every_split_is_scored_and_floors_stand_beside_test(run: Any, tmp_path: Path) -> None:
    table, record = run()
    assert list(table.columns) == scores.COLUMNS
    assert set(table["split"]) == {"train", "validation", "test"}
    assert set(table.loc[table["split"] == "test", "method"]) == {
        "model", "perfect", "black", "constant", "mean", "median", "pca"}  # fmt: skip
    assert set(table.loc[table["split"] != "test", "method"]) == {"model"}
    assert (record["n_cells_test"], record["n_groups_test"], record["pca_k"], record["pca_cells"]) == (12, 2, 4, 12)
    assert json.loads((tmp_path / "times.json").read_text())["items"] == 30
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {
        "bars.png", "per_channel.png", "random.png", "best.png", "worst.png"}  # fmt: skip


def test_s_is_that_of_a_plain_loop_over_the_test_cells(run: Any, tmp_path: Path) -> None:
    _, record = run()
    model, _ = embedding.load_model(tmp_path / "models")
    table = pd.read_parquet(tmp_path / "crops.parquet").query("Crop_Status == 'kept' and Metadata_Well > 'A03'")
    found = []
    for name, content in packs.members(tmp_path / "crops" / "P1.zip"):
        if name in set(table[schema.CROP_FILE]):
            tile = packs.decode_tile(content, 2)
            drawn = embedding.reconstruct(model, tile[None], 1)[0]
            found.append(1 - np.abs(tile / 255 - drawn.clip(0, 1)).mean())
    assert record["S"] == pytest.approx(np.mean(found), abs=1e-6)


def test_floors_are_fitted_on_training_cells_alone(run: Any, tmp_path: Path) -> None:
    _, record = run()
    table = pd.read_parquet(tmp_path / "crops.parquet").query("Crop_Status == 'kept'")
    tiles = {n: packs.decode_tile(c, 2) / 255 for n, c in packs.members(tmp_path / "crops" / "P1.zip")}
    train = np.stack([tiles[n] for n in table.query("Metadata_Well < 'A03'")[schema.CROP_FILE]])
    test = np.stack([tiles[n] for n in table.query("Metadata_Well > 'A03'")[schema.CROP_FILE]])
    assert record["S_median"] == pytest.approx(1 - np.abs(test - np.median(train, axis=0)).mean(), abs=1e-6)
    assert record["mse_mean"] == pytest.approx(((test - train.mean(axis=0)) ** 2).mean(), abs=1e-6)


def test_without_validation_its_s_is_null(run: Any) -> None:
    table, record = run(["train", "train", "test", "test"])
    assert record["S_validation"] is None
    assert "validation" not in set(table["split"])


def test_one_test_well_has_no_interval_and_one_training_cell_is_enough(run: Any) -> None:
    table, record = run(["train", "test"])
    assert record["n_groups_test"] == 1
    assert record["S_low"] is None
    assert "undecided" in record["verdict"]
    assert table.loc[table["metric"] == "S", "low"].isna().all()


def test_pca_is_capped_by_the_cells_it_may_use(run: Any) -> None:
    _, record = run(["train", "test"], pca_cells=10)
    assert (record["pca_k"], record["pca_cells"]) == (4, 6)


def test_cells_that_are_all_alike_are_scored(run: Any) -> None:
    _, record = run(dark=True)
    assert record["S_constant"] is not None
    assert np.isfinite(record["S"])


def test_the_same_inputs_give_the_same_bytes(run: Any, tmp_path: Path) -> None:
    names = ("out.csv", "out.json", "figures/bars.png", "figures/random.png")
    run()
    before = [(tmp_path / name).read_bytes() for name in names]
    run(written=True)
    assert [(tmp_path / name).read_bytes() for name in names] == before


def _published(root: Path, sampled: bool, factor: float, split: int) -> float:
    """The thesis's chain, cell by cell: pixels as they are, a latent, a picture of its full range, |Δ| / 256."""
    model, _ = embedding.load_model(root / "models")
    table = pd.read_parquet(root / "crops.parquet").query("Crop_Status == 'kept'")
    wells = {0: ("A04", "A05"), 2: ("A01", "A02")}[split]
    names = set(table.loc[table[schema.WELL].isin(wells), schema.CROP_FILE])
    rng, found = np.random.default_rng([1, 3, split]), []
    for name, content in packs.members(root / "crops" / "P1.zip"):
        if name not in names:
            continue
        tile = packs.decode_tile(content, 2)
        with torch.no_grad():
            mean, logvar = model.encode(torch.from_numpy(tile[None].astype(np.float32)) / 255 * factor)
            noise = torch.from_numpy(rng.standard_normal(mean.shape).astype(np.float32))
            drawn = model.decode(mean + torch.exp(logvar / 2) * noise * sampled)[0].numpy()
        picture = ((drawn - drawn.min()) / (drawn - drawn.min()).max() * 255).astype(np.uint8)
        found.append(1 - np.abs(picture.astype(int) - tile).mean() / 256)
    return float(np.mean(found))


def test_s_legacy_is_the_thesis_s_own_and_each_of_its_steps_has_its_cost(run: Any, tmp_path: Path) -> None:
    table, record = run()
    for name, (sampled, factor) in metric.LEGACY.items():
        assert record[name] == pytest.approx(_published(tmp_path, sampled, factor, 0), abs=2e-5), name
    assert record["S_legacy_train"] == pytest.approx(_published(tmp_path, True, 255, 2), abs=2e-5)
    assert len({round(record[name], 6) for name in metric.LEGACY}) > 2, "the steps differ"
    costs = [record[f"legacy_cost_{step}"] for step in ("stretch", "sampling", "input")]
    assert sum(costs) == pytest.approx(record["S"] - record["S_legacy"])
    of = table[table["region"].eq("all") & table["channel"].eq("all")].groupby(["split", "method"])["metric"].agg(set)
    assert {m for m in of["test", "model"] if m.startswith("S_")} == set(metric.LEGACY)
    assert {m for m in of["train", "model"] if m.startswith("S_")} == {"S_legacy", "S_stretched"}
    assert {m for m in of["test", "black"] if m.startswith("S_")} == {"S_legacy"}
    again, _ = run(written=True)
    pd.testing.assert_frame_equal(again, table)


@pytest.mark.parametrize("name", ["autoencoder", "mae"])
def test_what_a_model_cannot_sample_costs_nothing(name: str) -> None:
    model = _build.build(name, 2, 32, 4, registry.load("models", name).Options().model_dump()).eval()
    tiles = np.random.default_rng(0).integers(0, 256, (3, 2, 32, 32), dtype=np.uint8)
    drawn = embedding.predict(model, tiles, 2, 255.0, np.random.default_rng(0))
    np.testing.assert_allclose(drawn, embedding.predict(model, tiles, 3, 255.0), rtol=1e-4, atol=1e-4)
    assert np.abs(drawn - embedding.reconstruct(model, tiles, 3)).max() > 0.1


def test_a_model_with_nan_weights_is_named(run: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"models.*has values that are not finite numbers"):
        run(broken=True)
    assert not (tmp_path / "out.json").exists()


def test_a_split_that_was_changed_after_its_certificate_is_refused(run: Any, tmp_path: Path) -> None:
    _write(tmp_path, SIDES)
    _model(tmp_path)
    splits = pd.read_csv(tmp_path / "splits.csv", dtype=str)
    splits.loc[0, "Split"] = "test"
    splits.to_csv(tmp_path / "splits.csv", index=False)
    with pytest.raises(LeakError, match=r"split.json is not of .*splits.csv: groups, cells differ"):
        run(written=True)


def test_a_well_on_two_sides_is_a_leak(run: Any, tmp_path: Path) -> None:
    _write(tmp_path, SIDES)
    _model(tmp_path)
    table = pd.read_parquet(tmp_path / "crops.parquet")
    table.loc[table[schema.WELL] == "A04", [schema.WELL, schema.SITE]] = ["A01", "2"]
    table.to_parquet(tmp_path / "crops.parquet")
    splits = pd.read_csv(tmp_path / "splits.csv", dtype=str)
    splits.loc[splits[schema.WELL] == "A04", [schema.WELL, schema.SITE]] = ["A01", "2"]
    splits.to_csv(tmp_path / "splits.csv", index=False)
    with pytest.raises(LeakError, match="well P1/A01 stands in test and train"):
        run(written=True)


def test_a_certificate_of_nothing_is_refused(run: Any, tmp_path: Path) -> None:
    _write(tmp_path, SIDES)
    _model(tmp_path)
    (tmp_path / "split.json").write_text("{}")
    with pytest.raises(InputError, match="does not say what was kept apart"):
        run(written=True)


def test_a_missing_or_foreign_table_of_crops_is_named(run: Any, tmp_path: Path) -> None:
    _write(tmp_path, SIDES)
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "crops.parquet")
    with pytest.raises(SchemaError, match=r"crops.parquet lacks Metadata_Plate"):
        run(written=True)
    (tmp_path / "crops.parquet").unlink()
    with pytest.raises(InputError, match=r"crops.parquet is missing"):
        run(written=True)
