"""The command ``reconstruct``: any crops as a model draws them, and how far off each is, from the model alone."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from morphospace import files, places, schema, tables
from morphospace.errors import InputError
from morphospace.imaging import codec, inputs
from morphospace.metrics import similarity as metric
from morphospace.reporting import figures
from morphospace.reporting import similarity as drawing
from morphospace.training import embedding, process

MINIBATCH = 64
COLUMNS, SHOWN = 8, 40  # of the contact sheet: a row, and in all
IMAGES, SCORES, SHEET = "images", "scores.csv", "contact_sheet.png"


def run(
    model: Annotated[Path, typer.Argument(help="Folder with model.json: a fetched package, or data/models.")],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE", help="Crops: PNG, TIFF, a ZIP pack, or a folder of them.")
    ],
    output: Annotated[Path, places.FOLDER, typer.Option("--output", "-o", help="Folder to write.")] = Path(
        "reconstructions"
    ),
) -> None:
    """Draw each image as the model does: images/NAME.png, scores.csv, and contact_sheet.png with both side by side.

    An image is a crop as the pipeline writes it (data/crops): 8 bits, 0 outside the cell, the channels in the model's
    order, not larger than its tile; a smaller one is set in the middle. S is 1 minus the mean absolute error of images
    in [0, 1]; read it only beside the floors in the model's README.md. Neither params.yaml nor the data are needed.

    Example: morphospace reconstruct data/package cell_1.png cell_2.png
    """
    given = inputs.sources(images)
    process.keep_memory()
    net, card = embedding.load_model(model)
    if not net.reconstructs:
        raise InputError(f"{model} holds a {card['model']}, which encodes and draws nothing; use `morphospace embed`")
    console = Console(stderr=True)
    parts: list[pd.DataFrame] = []
    shown: list[tuple[NDArray[Any], NDArray[Any]]] = []
    with (
        files.replacing_folder(output, listed=True) as aside,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        task = progress.add_task("reconstruct", total=inputs.weight(given))
        for batch in inputs.batches(given, card["channels"], card["size"], MINIBATCH):
            drawn = embedding.reconstruct(net, batch.tiles, MINIBATCH)
            metric.checked(batch.tiles, drawn, f"{model} ({card['model']})")
            rows = _score(batch, drawn)
            _write(aside, rows[schema.RECONSTRUCTION], drawn)
            parts.append(rows)
            if len(shown) < SHOWN:
                shown += zip(batch.tiles, drawn, strict=True)
            progress.advance(task, batch.weight)
        table = pd.concat(parts, ignore_index=True)
        tables.write_csv(table, aside / SCORES)
        figures.save(_sheet(shown[:SHOWN], table, [str(c) for c in card["channels"]]), aside / SHEET)
    typer.echo(f"images: {len(table):,}, mean S: {table['S'].mean():.4f}, model {card['fingerprint']}: {output}")


def _score(batch: inputs.Batch, drawn: metric.Floats) -> pd.DataFrame:
    """Return a row an image: where it came from and goes to, and means over its channels."""
    errors = metric.errors(batch.tiles, drawn)
    mae, mse = errors.mae.mean(axis=2), errors.mse.mean(axis=2)
    return pd.DataFrame(
        {
            schema.SOURCE: batch.sources,
            schema.CROP_FILE: batch.names,
            schema.RECONSTRUCTION: [_place(*pair) for pair in zip(batch.sources, batch.names, strict=True)],
            "S": 1 - mae[:, 0],
            "S_inside": 1 - mae[:, 1],
            "mse": mse[:, 0],
            "mse_inside": mse[:, 1],
        }
    )


def _place(source: str, name: str) -> str:
    """Return where the reconstruction goes, below the output folder: those of a pack in a folder of their own."""
    folder = [Path(source).stem] if Path(source).suffix.lower() == inputs.PACK else []
    return "/".join([IMAGES, *folder, f"{Path(name).stem}.png"])


def _write(aside: Path, places: "pd.Series[str]", drawn: metric.Floats) -> None:
    """Write the reconstructions as PNGs of the pipeline's form, brightness beyond [0, 1] cut off."""
    for place, tile in zip(places, (drawn.clip(0, 1) * 255).round().astype(np.uint8), strict=True):
        path = aside / place
        if path.exists():
            raise InputError(f"two images would both be drawn as {place}; give images of one name apart")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(codec.encode_tile(tile))


def _sheet(pairs: list[tuple[NDArray[Any], NDArray[Any]]], table: pd.DataFrame, channels: list[str]) -> Any:
    """Return the contact sheet of the first images: each above its reconstruction, with S and the squared error."""
    captions = [f"S {s:.3f}\nMSE {mse:.1e}" for s, mse in zip(table["S"], table["mse"], strict=True)]
    rows = []
    for i in range(0, len(pairs), COLUMNS):
        originals, drawn = zip(*pairs[i : i + COLUMNS], strict=True)
        rows.append(drawing.Row("original", np.stack(originals)))
        rows.append(drawing.Row("drawn", np.stack(drawn), captions[i : i + len(drawn)]))
    cut = f"the first {len(pairs)} of {len(table):,}" if len(pairs) < len(table) else ""
    return drawing.gallery(rows, cut, names=channels)
