"""The command embed gives what the stage embed gives, from the model alone."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from morphospace import schema
from morphospace.commands import embed
from morphospace.errors import InputError
from morphospace.imaging import packs
from morphospace.metrics import latent


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_pack_gives_the_table_of_the_stage(fetched: Path, trained: Path, suffix: str) -> None:
    embed.run(Path("model"), [Path("crops")], Path(f"out{suffix}"))
    found = pd.read_csv("out.csv") if suffix == ".csv" else pd.read_parquet("out.parquet")
    cells = pd.read_parquet(trained / "data/crops.parquet")[[*schema.OBJECT_KEY, schema.CROP_FILE]]
    stage = pd.read_parquet(trained / "data/embeddings.parquet").merge(cells, on=schema.OBJECT_KEY)
    names = schema.latent_columns(stage)
    assert schema.latent_columns(found) == names
    assert list(found.columns[:3]) == [schema.SOURCE, schema.CROP_FILE, schema.KL]
    both = found.merge(stage, on=schema.CROP_FILE, suffixes=("", "_stage"), validate="one_to_one")
    assert len(both) == len(stage) == 20
    np.testing.assert_allclose(both[names], both[[f"{n}_stage" for n in names]], rtol=1e-4, atol=1e-5)
    assert (both[names].to_numpy().std(axis=0) > 1e-3).any(), "all cells are embedded alike: the test shows nothing"
    assert set(found[schema.SOURCE]) == {"crops/P1.zip"}


def test_the_table_names_the_model_that_made_it(fetched: Path, trained: Path) -> None:
    embed.run(Path("model"), [Path("crops")], Path("out.parquet"))
    card = json.loads(Path("model/model.json").read_text())
    wanted = {schema.MODEL: card["fingerprint"], schema.WEIGHTS: card["weights"]}
    assert pd.read_parquet("out.parquet").attrs == wanted
    assert pd.read_parquet(trained / "data/embeddings.parquet").attrs == wanted


def test_images_apart_give_what_the_pack_gives(fetched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (fetched / "cells").mkdir()
    for name, content in packs.members(fetched / "crops/P1.zip"):
        (fetched / "cells" / name).write_bytes(content)
    embed.run(Path("model"), [Path("crops")], Path("packed.csv"))
    embed.run(Path("model"), sorted(Path("cells").iterdir())[::-1])
    packed, apart = (pd.read_csv(n).set_index(schema.CROP_FILE) for n in ("packed.csv", "embeddings.csv"))
    pd.testing.assert_frame_equal(
        packed.drop(columns=schema.SOURCE), apart.drop(columns=schema.SOURCE).loc[packed.index], rtol=1e-4
    )
    assert "images: 20, latents each: 4, model " in capsys.readouterr().out


def test_more_images_than_a_minibatch_change_nothing(fetched: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed.run(Path("model"), [Path("crops")], Path("whole.csv"))
    monkeypatch.setattr(embed, "MINIBATCH", 7)
    embed.run(Path("model"), [Path("crops")], Path("parts.csv"))
    pd.testing.assert_frame_equal(pd.read_csv("whole.csv"), pd.read_csv("parts.csv"), rtol=1e-4)


def test_the_divergence_is_that_of_the_metric(fetched: Path) -> None:
    net, card = embed.embedding.load_model(Path("model"))
    (batch,) = embed.inputs.batches(embed.inputs.sources([Path("crops")]), card["channels"], card["size"], 100)
    mean, logvar = embed.embedding.encode(net, batch.tiles, 100)
    embed.run(Path("model"), [Path("crops")])
    assert pd.read_csv("embeddings.csv")[schema.KL].mean() == pytest.approx(
        latent.kl_per_dimension(mean, logvar).sum(), rel=1e-5
    )


def test_an_unknown_suffix_a_folder_that_is_no_model_and_a_bad_image_are_refused(fetched: Path) -> None:
    with pytest.raises(InputError, match=r"out\.xlsx ends in none of \.csv, \.parquet"):
        embed.run(Path("model"), [Path("crops")], Path("out.xlsx"))
    with pytest.raises(InputError, match="crops is no folder of a model"):
        embed.run(Path("crops"), [Path("crops")])
    (fetched / "crops" / "z.png").write_text("no image")
    with pytest.raises(InputError, match=r"z\.png is no PNG"):
        embed.run(Path("model"), [Path("crops")])
    assert not Path("embeddings.csv").exists()
