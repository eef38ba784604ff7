"""The command ``embed``: the latent means of any crops, from a model alone. The stage of that name does all cells."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.progress import Progress

from morphospace import files, places, schema, tables
from morphospace.errors import InputError
from morphospace.imaging import inputs
from morphospace.metrics import latent
from morphospace.training import embedding, process

MINIBATCH = 128  # images a forward pass; it does not change the result
SUFFIXES = (".csv", ".parquet")


def run(
    model: Annotated[Path, typer.Argument(help="Folder with model.json: a fetched package, or data/models.")],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Crops: PNG, TIFF, a ZIP pack, or a folder of them.")
    ],
    output: Annotated[
        Path, places.FILE, typer.Option("--output", "-o", help="New table to write, .csv or .parquet.")
    ] = Path("embeddings.csv"),
) -> None:
    """Write the latent mean of each image: a row an image, Cells_Latent_000 and on, as the pipeline's table has them.

    An image is a crop as the pipeline writes it (data/crops): 8 bits, 0 outside the cell, the channels in the model's
    order, not larger than its tile; a smaller one is set in the middle. The model's README.md says how the values were
    scaled. KL, where the model has a posterior, is how far it is from the prior, in nats. Neither params.yaml nor the
    data are needed.

    Example: morphospace embed data/package data/crops -o embeddings.parquet
    """
    if output.suffix.lower() not in SUFFIXES:
        raise InputError(f"{output} ends in none of {', '.join(SUFFIXES)}: name the table so")
    given = inputs.sources(images)
    process.keep_memory()
    net, card = embedding.load_model(model)
    console = Console(stderr=True)
    parts = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("embed", total=inputs.weight(given))
        for batch in inputs.batches(given, card["channels"], card["size"], MINIBATCH):
            mean, logvar = embedding.encode(net, batch.tiles, MINIBATCH)
            rows = pd.DataFrame({schema.SOURCE: batch.sources, schema.CROP_FILE: batch.names})
            if logvar is not None:
                rows[schema.KL] = latent.kl_per_image(mean, logvar)
            parts.append(rows.join(pd.DataFrame(mean, columns=schema.latent_names(mean.shape[1]))))
            progress.advance(task, batch.weight)
    table = pd.concat(parts, ignore_index=True)
    table.attrs = embedding.origin(card)
    _write(table, output)
    typer.echo(f"images: {len(table):,}, latents each: {card['z_dim']}, model {card['fingerprint']}: {output}")


def _write(table: pd.DataFrame, output: Path) -> None:
    if tables.is_csv(output):
        tables.write_csv(table, output)
        return
    with files.replacing(output) as aside:
        table.to_parquet(aside, index=False)
