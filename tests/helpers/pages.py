"""A small run for the page: synthetic crops, names made to break a page, and a model with random weights."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from morphospace import registry, schema, seals
from morphospace.apps.serve import app, maps, server
from morphospace.apps.serve.page import Page, Paths
from morphospace.imaging import packs
from morphospace.training import embedding

SIZE, Z_DIM = 32, 8
PLATES, WELLS, CELLS = ["P1", "P2"], ["A01", "A02", "A03", "A04", "A05", "A06"], 5
# Mechanism of each compound; a name that is taken for markup sets `pwned` in the browser.
COMPOUNDS = {
    "DMSO": "DMSO",
    '<img src=x onerror="window.pwned=1">': "</script><script>window.pwned=1</script>",
    'O\'Brien "quoted"/slashed': "Eg5 inhibitors",
    "&lt;b&gt; & 100 %: ../../etc/passwd": "Eg5 inhibitors",
    "naïve µ-opioid, (R)-": "unknown",
    "mevinolin/lovastatin": "Cholesterol-lowering",
}


def tiles(channels: int = 3) -> NDArray[np.uint8]:
    """Return discs (60, C, SIZE, SIZE) of many sizes and brightnesses."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:SIZE, :SIZE]
    discs = [np.hypot(y - SIZE / 2, x - SIZE / 2) < rng.uniform(4, 14) for _ in range(len(PLATES) * len(WELLS) * CELLS)]
    return np.stack([np.stack([d * rng.integers(60, 255) for _ in range(channels)]) for d in discs]).astype(np.uint8)


def write(root: Path, model: str = "conv_vae", channels: int = 3) -> Paths:
    """Write model, crops and tables of 60 cells, and return where they are."""
    names = ["Actin", "Tubulin", "DNA", "ER"][:channels]
    paths = Paths(root / "embeddings.parquet", root / "crops", root / "crops.parquet", root / "model")
    plug_in = registry.load("models", model)
    options = plug_in.Options().model_dump() | ({"widths": [4, 8], "map_dropout": []} if model == "metric_net" else {})
    about = {"r_loss_factor": 1.0, "best_epoch": 1, "epochs": 1, "fingerprint": f"random-{model}"}
    card = embedding.Card(
        model=model, channels=names, size=SIZE, z_dim=Z_DIM, channel_mode="joint", options=options, **about
    )
    torch.manual_seed(1)
    net = embedding.build(card)
    paths.model.mkdir(parents=True)
    embedding.save_model(paths.model, net.state_dict(), card)
    made = tiles(channels)
    table = _table()
    for plate, rows in table.groupby(schema.PLATE):
        content = [packs.encode_tile(made[i]) for i in rows.index]
        packs.write(paths.crops / f"{plate}.zip", zip(rows[schema.CROP_FILE], content, strict=True))
    table.to_parquet(paths.crops_table)
    mean, _ = embedding.encode(net.eval(), made, 20)
    latent = pd.DataFrame(mean, columns=schema.latent_names(mean.shape[1]))
    kept = table[[*schema.METADATA, schema.OBJECT]].assign(**{schema.SPLIT: "test"})
    pd.concat([kept, latent], axis="columns").to_parquet(paths.embeddings)
    return paths


def _table() -> pd.DataFrame:
    rows = [(p, w, "1", n) for p in PLATES for w in WELLS for n in range(1, CELLS + 1)]
    table = pd.DataFrame(rows, columns=schema.OBJECT_KEY)
    compound = [list(COMPOUNDS)[WELLS.index(w)] for w in table[schema.WELL]]
    table[schema.BATCH] = "Week" + table[schema.PLATE].str[1:]
    table[schema.COMPOUND] = compound
    table[schema.CONCENTRATION] = [0.0 if c == "DMSO" else 0.3 for c in compound]
    table[schema.MOA] = [COMPOUNDS[c] for c in compound]
    table[schema.PERT_TYPE] = ["negcon" if c == "DMSO" else "trt" for c in compound]
    table["Cells_AreaShape_Area"] = np.arange(len(table)) + 100
    table["Cells_AreaShape_BoundingBoxMinimum_X"] = 1
    table[schema.CROP_STATUS] = schema.KEPT
    table[schema.CROP_FILE] = [f"{p}_{w}_{s}_{n}.png" for p, w, s, n in rows]
    return table


def place_on_a_circle(paths: Paths) -> None:
    """Leave maps in the scratch folder, as an earlier start of the page does: making them takes half a minute."""
    table = pd.read_parquet(paths.embeddings)
    latent = table[schema.latent_columns(table)].to_numpy(np.float32)
    groups = [latent]
    for kind in ("well", "treatment"):
        codes = maps.codes(table, kind)
        groups.append(np.stack([latent[codes == c].mean(axis=0) for c in range(codes.max() + 1)]))
    for vectors in groups:
        angle = np.linspace(0, 2 * np.pi, len(vectors), endpoint=False)
        path = maps.kept(vectors)
        np.save(path, np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32))
        seals.seal(path)


@contextmanager
def served(page: Page) -> Iterator[str]:
    """Serve a page on a free port of this machine; yield its address."""
    bound = server.bind("127.0.0.1", 0)
    ready = threading.Event()
    running = server.Server(app.create(page), bound, ready.set)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        assert ready.wait(30)
        yield server.url(bound)
    finally:
        running.stop()
        thread.join(30)
