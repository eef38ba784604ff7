"""The stage that says what latents move with, on discs whose size follows the dose, seen by a trained model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from morphospace import reasons, schema
from morphospace.errors import InputError, SchemaError
from morphospace.imaging import packs
from morphospace.metrics import properties
from morphospace.stages import interpret
from morphospace.training import embedding

NAMES = (
    "crops",
    "crops.parquet",
    "embeddings.parquet",
    "models",
    "out.csv",
    "times.json",
    "metrics.json",
    "out.json",
    "figures",
)
CELLS = 7  # a well
Run = Callable[[], dict[str, Any]]


def _disc(radius: float, grey: int) -> np.ndarray:
    y, x = np.mgrid[:16, :16]
    disc = (np.hypot(y - 8, x - 8) < radius).astype(np.uint8)
    return np.stack([disc * grey, disc * (grey // 2), disc * (grey // 3)])


def _write(root: Path) -> None:
    """Write twelve wells, three of them controls: the radius grows with the dose, the brightness is any."""
    rng = np.random.default_rng(0)
    rows, members = [], []
    for w in range(12):
        dose = max(w - 2, 0)
        kind = schema.TREATED if dose else schema.NEGCON
        meta = ["P1", f"A{w + 1:02d}", "1", "W", "taxol" if dose else "DMSO", float(dose), "DMSO", kind]
        for n in range(1, CELLS + 1):
            tile = _disc(2 + dose / 3 + rng.uniform(0, 1.5), int(rng.integers(90, 255)))
            name = f"P1_A{w + 1:02d}_1_{n}.png"
            rows.append([*meta, n, int((tile[0] > 0).sum()), name, schema.KEPT])
            members.append((name, packs.encode_tile(tile)))
    table = pd.DataFrame(
        rows,
        columns=[*schema.METADATA, schema.OBJECT, "Cells_AreaShape_Area", schema.CROP_FILE, schema.CROP_STATUS],
    )
    table.to_parquet(root / "crops.parquet")
    packs.write(root / "crops" / "P1.zip", members)


def _embed(root: Path) -> None:
    table = pd.read_parquet(root / "crops.parquet")
    model, _ = embedding.load_model(root / "models")
    mean, _ = embedding.encode(model, np.asarray(packs.tiles(root / "crops", table, 3, 16, root / "cache")), 32)
    sides = np.where(table[schema.WELL].isin(["A01", "A05", "A06", "A07", "A08"]), schema.TEST, schema.TRAIN)
    latent = pd.DataFrame(mean, columns=schema.latent_names(mean.shape[1]))
    found = table[[*schema.METADATA, schema.OBJECT]].assign(**{schema.SPLIT: sides})
    pd.concat([found, latent], axis="columns").to_parquet(root / "embeddings.parquet")


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the stage in a folder of its own, and return its metrics."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MORPHOSPACE_JOBS", "1")
    shutil.copy(trained / "params.yaml", tmp_path)
    shutil.copytree(trained / "data" / "models", tmp_path / "models")
    _write(tmp_path)
    _embed(tmp_path)

    def stage() -> dict[str, Any]:
        interpret.run(*(tmp_path / name for name in NAMES))
        record: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
        return record

    return stage


def test_latents_of_discs_move_with_dose_and_area(run: Run, tmp_path: Path) -> None:
    record = run()
    assert (record["cells"], record["wells"], record["z_dim"], record["cells_of"]) == (84, 12, 4, "all splits")
    assert record["dose"]["latents"] >= 1
    assert abs(record["dose"]["top_effect"]) > 0.8
    assert record["dose"]["wells"] == 9
    assert record["cell_area"]["latents"] >= 1
    assert reasons.of(record, "mechanism.latents") == "two classes with 2 wells or more are needed, not 1"
    assert reasons.missing(record) == []
    assert "dose of taxol" not in " ".join(record)
    long = pd.read_csv(tmp_path / "out.csv")
    names = ["dose", "dose of taxol", "mechanism", "plate", "cell area"]
    names += [f"intensity of {channel}" for channel in ("Actin", "Tubulin", "DNA")]
    assert long["property"].drop_duplicates().tolist() == names
    assert len(long) == 4 * len(names)
    assert (long["kl"] > 0).all()
    assert record["tests"] == long["p"].notna().sum()
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"latents", "strips"}


def test_intensity_is_the_mean_inside_the_cell() -> None:
    cells = pd.DataFrame({"Cells_AreaShape_Area": [9, 21], "Nuclei_AreaShape_Area": [4, 5]})
    discs = np.stack([_disc(2, 100), _disc(2.9, 200)])
    found = interpret._measured(cells, discs, ["Actin", "DNA", "GFP"])
    np.testing.assert_allclose(found["intensity of Actin"], np.array([100, 200]) / 255)
    np.testing.assert_allclose(found["intensity of GFP"], np.array([33, 66]) / 255)
    assert found["nucleus area"].tolist() == [4, 5]


def test_equal_inputs_give_equal_bytes(run: Run, tmp_path: Path) -> None:
    run()
    paths = [tmp_path / "out.csv", tmp_path / "out.json", *sorted((tmp_path / "figures").iterdir())]
    kept = {path: path.read_bytes() for path in paths}
    run()
    assert len(kept) == 4
    assert [path.name for path, content in kept.items() if path.read_bytes() != content] == []


def test_an_embedding_of_another_model_is_refused(run: Run, tmp_path: Path) -> None:
    table = pd.read_parquet(tmp_path / "embeddings.parquet")
    names = schema.latent_columns(table)
    table.assign(**{n: table[names[i - 1]] for i, n in enumerate(names)}).to_parquet(tmp_path / "embeddings.parquet")
    with pytest.raises(
        InputError, match=r"embeddings\.parquet is not of the model in .*models: its latents are off by"
    ):
        run()
    table.drop(columns=names[-1]).to_parquet(tmp_path / "embeddings.parquet")
    with pytest.raises(InputError, match="it has 3 latents, the model 4"):
        run()


def test_a_latent_that_is_nan_is_refused(run: Run, tmp_path: Path) -> None:
    table = pd.read_parquet(tmp_path / "embeddings.parquet")
    table.loc[3, "Cells_Latent_001"] = np.nan
    table.to_parquet(tmp_path / "embeddings.parquet")
    with pytest.raises(InputError, match="has 1 cell with a latent that is not finite"):
        run()


def test_a_cell_without_its_crop_or_a_table_without_areas_is_named(run: Run, tmp_path: Path) -> None:
    table = pd.read_parquet(tmp_path / "crops.parquet")
    table.assign(Crop_Status=["too_large", *table["Crop_Status"][1:]]).to_parquet(tmp_path / "crops.parquet")
    with pytest.raises(InputError, match=r"no kept crop of 1 of .* cells of .*, the first is P1, A01, 1, 1"):
        run()
    table.drop(columns="Cells_AreaShape_Area").to_parquet(tmp_path / "crops.parquet")
    with pytest.raises(SchemaError, match="lacks Cells_AreaShape_Area"):
        run()


def test_a_model_that_learned_from_labels_is_judged_by_its_test_cells(run: Run, tmp_path: Path) -> None:
    given = yaml.safe_load((tmp_path / "params.yaml").read_text())
    given["train"]["contrastive"] = 1.0
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))
    record = run()
    assert (record["cells"], record["cells_of"]) == (5 * CELLS, "the test split")
    assert record["dose"]["wells"] == 4
    table = pd.read_parquet(tmp_path / "embeddings.parquet").assign(Split="train")
    table.to_parquet(tmp_path / "embeddings.parquet")
    with pytest.raises(InputError, match="has no test cell"):
        run()


def test_a_model_that_does_not_draw_has_no_strips(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = embedding.read_card(tmp_path / "models")
    made = embedding.Card(
        **card.model_dump()
        | {"model": "metric_net", "options": {"widths": [4, 8], "map_dropout": [0.0]}, "weights": ""}
    )
    (tmp_path / "models").rename(tmp_path / "old")
    (tmp_path / "models").mkdir()
    embedding.save_model(tmp_path / "models", embedding.build(made).state_dict(), made)
    _embed(tmp_path)
    record = run()
    assert record["strips"] == "none: the model does not draw"
    assert record["cells_of"] == "the test split"
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"latents"}
    assert pd.read_csv(tmp_path / "out.csv")["kl"].isna().all()


def test_latents_that_move_with_nothing_have_no_strips(run: Run, tmp_path: Path) -> None:
    given = yaml.safe_load((tmp_path / "params.yaml").read_text())
    given["interpret"]["fdr"] = 1e-30
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(given))
    record = run()
    assert record["verdict"].startswith("0 of 4 active latents move")
    assert record["strips"] == "none: no latent moves with anything"
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"latents"}


def test_latents_that_are_not_in_use_do_not_count(run: Run, tmp_path: Path) -> None:
    """Latents that vary by a thousandth move with the area as much as before, by rank; none is active."""
    table = pd.read_parquet(tmp_path / "embeddings.parquet")
    latents = schema.latent_columns(table)
    found = properties.examine(table, table[latents].to_numpy() / 1000, {"cell area": table["ObjectNumber"].to_numpy()})
    for active in ([True, True, False, False], [False] * 4):
        long = properties.table(found, latents, None, np.array(active))
        record = interpret._record(long, found, len(table), 1.0, labelled=False)
        used = sum(active)
        assert (record["active"], record["z_dim"]) == (used, 4)
        assert record["moving"] <= used
        assert record["cell_area"]["latents"] <= used
        assert record["tests"] == int(long["p"].notna().sum()) * used // 4
    assert record["verdict"] == "none of 4 latents is active, so that none can move with anything"
    assert reasons.missing(record) == []
