"""The command ``search``: the cells, wells or treatments nearest to a crop or to a cell, by tags (004-15, 004-16)."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from morphospace import places, schema
from morphospace.apps.search import sheet as drawing
from morphospace.errors import InputError
from morphospace.metrics import novelty
from morphospace.metrics.novelty import Novelty
from morphospace.reporting import figures
from morphospace.search import levels, of_run, queries
from morphospace.search.database import DISTANCE, RANK, ROW, Database
from morphospace.search.exact import Metric
from morphospace.search.levels import Level
from morphospace.search.queries import Query
from morphospace.words import count

_SHOWN = {schema.COMPOUND: "compound", schema.CONCENTRATION: "µM", schema.MOA: "MoA"}


def run(
    query: Annotated[
        str, typer.Argument(metavar="IMAGE_OR_ID", help="A crop, a pack or folder of crops, or plate/well/site/object.")
    ],
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many to show.")] = 10,
    with_: Annotated[
        list[str] | None, typer.Option("--with", metavar="TAG", help="Search only what has this tag; again for more.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="Leave out what has this tag; again for more.")
    ] = None,
    metric: Annotated[Metric, typer.Option(help="Of the distance.")] = "cosine",
    level: Annotated[Level, typer.Option(help="What to search: cells, or the means of wells or treatments.")] = "cell",
    form: Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")] = "table",
    sheet: Annotated[Path | None, places.FILE, typer.Option(help="Contact sheet to write, a PNG.")] = None,
    database: Annotated[
        str | None,
        places.STORE,
        typer.Option(metavar="URI", help="Where the database lies: a folder or s3://bucket/prefix."),
    ] = None,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Replace the one at --database, of other tables.")] = False,
    model: Annotated[Path, typer.Option(help="Folder with the model that made the embeddings.")] = Path("data/models"),
    embeddings: Annotated[Path, typer.Option(help="Table of the embeddings.")] = Path("data/embeddings.parquet"),
    crops: Annotated[Path, typer.Option(help="Folder with the packs of crops.")] = Path("data/crops"),
    crops_table: Annotated[Path, typer.Option(help="Table of the crops.")] = Path("data/crops.parquet"),
) -> None:
    """Find the cells, wells or treatments whose embeddings are nearest to a crop's, or to a cell's of the data.

    A tag is key:value: moa:DMSO, compound:taxol, plate:…, batch:…, well:…, concentration:0.3, split:test, or any other
    column of the table, without Metadata_ and in any case. Tags of --with that share a key mean "any of these", tags of
    several keys "all of these"; --without leaves out what has any of its tags. Cells of one well resemble each other:
    leave out the query's plate to see further.

    The search is exact up to a million cells. An image must be a crop as the pipeline writes it (`morphospace embed
    --help`); of several, the mean is searched. The novelty line says whether the query is like the negative controls or
    any known mechanism; "none of the above" is an answer (docs/search.md).

    Examples: morphospace search Week1_22123/B02/1/1 --top 5 --without plate:Week1_22123 --sheet near.png

    morphospace search cell.png --with moa:DMSO --with "moa:Eg5 inhibitors" --metric l2 --format json
    """
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise InputError(f"{sheet}: a contact sheet is a PNG; end its name in .png")
    found = of_run.opened(embeddings, crops, crops_table, database, rebuild)
    asked = _asked(found, query, model, level)
    own = [] if asked.row is None else [asked.row]
    hits = found.nearest(asked.vector, level, metric, top, with_ or [], without or [], own)
    like = queries.known_classes(found, asked, metric) if level != "treatment" else []
    console = Console()
    if form == "json":
        typer.echo(json.dumps(_record(found, asked, hits, like, metric, level), indent=2, ensure_ascii=False))
    else:
        _show(console, found, asked, hits, like, metric, level)
    if sheet is not None:
        figures.save(_sheet(found, asked, hits, level, queries.channels(model)), sheet)
        Console(stderr=True).print(f"contact sheet: {sheet}", markup=False, highlight=False)


def _asked(database: Database, text: str, model: Path, level: Level) -> Query:
    """Return the query; a model that is here must have made the embeddings, even where it is not needed."""
    if queries.is_image(text):
        return queries.of_images(database, Path(text), model, level)
    if database.about.weights and (model / queries.CARD).is_file():
        database.check_model(queries.origin(model), str(model))
    return queries.of_id(database, text, level)


def _how(database: Database, metric: Metric, level: Level) -> str:
    """Say what was searched, and whether every row was looked at."""
    rows = f"{database.about.rows[level]:,} {level}s"
    if database.exact(level, metric):
        return f"{metric} distance to {rows}, exact"
    return f"{metric} distance to {rows}, approximate: finds {database.about.recall:.1%} of the ten nearest"


def _show(
    console: Console,
    database: Database,
    asked: Query,
    hits: pd.DataFrame,
    like: list[Novelty],
    metric: Metric,
    level: Level,
) -> None:
    columns = [c for c in _SHOWN if c in hits.columns and c not in levels.KEYS[level]]
    table = Table(
        Column("", justify="right"),
        Column("distance", justify="right"),
        Column(level, overflow="fold"),
        *(Column(_SHOWN[c], overflow="fold") for c in columns),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown = pd.DataFrame({c: levels.text(hits[c]).fillna("") for c in columns})
    cells = [hits[RANK], hits[DISTANCE], hits[levels.ID], *(shown[c] for c in columns)]
    for rank, distance, *rest in zip(*cells, strict=True):
        table.add_row(str(rank), f"{distance:.4f}", *(escape(str(v)) for v in rest))
    console.print(f"{asked.said}: {_how(database, metric, level)}", markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    if level != "treatment":
        console.print(novelty.verdict(like), markup=False, highlight=False, soft_wrap=True)
        for n in like:
            console.print(f"  {_likeness(n)}", markup=False, highlight=False, soft_wrap=True)


def _likeness(found: Novelty) -> str:
    """Say how like a class the query is."""
    drawn = "that the model was not trained on" if found.unseen else "drawn at random"
    wells = f"{count(found.wells, 'well')} {drawn}"
    return f"p {found.p:.3f}, never below {1 / (found.wells + 1):.3f}: {found.name} ({wells})"


def _record(
    database: Database, asked: Query, hits: pd.DataFrame, like: list[Novelty], metric: Metric, level: Level
) -> dict[str, Any]:
    """Return what the search says as JSON; a value that is missing is null."""
    about = database.about
    rows = hits.drop(columns=ROW)
    return {
        "query": asked.said,
        "level": level,
        "metric": metric,
        "exact": database.exact(level, metric),
        "recall": None if database.exact(level, metric) else about.recall,
        "model": about.model,
        "searched": about.rows[level],
        "hits": json.loads(rows.to_json(orient="records", double_precision=15)),
        "novelty": {
            "says": novelty.verdict(like) if level != "treatment" else None,
            "classes": [{**n._asdict(), "least": 1 / (n.wells + 1)} for n in like],
        },
    }


def _sheet(database: Database, asked: Query, hits: pd.DataFrame, level: Level, channels: list[str]) -> Figure:
    """Return the contact sheet; a well or treatment is shown by the cell nearest to its mean."""
    own = [] if asked.row is None else [asked.row]
    tiles = queries.pictures(database, [*own, *map(int, hits[ROW])], level)
    lines = [_lines(row, level) for _, row in database.table(level).iloc[own].iterrows()]
    if asked.tile is not None:
        tiles, lines = [asked.tile, *tiles], [[Path(asked.said).name]]
    said = [[f"{hit[RANK]}: {hit[DISTANCE]:.4f}", *_lines(hit, level)] for _, hit in hits.iterrows()]
    return drawing.sheet(tiles[0], ["query", *lines[0]], list(zip(tiles[1:], said, strict=True)), channels)


def _lines(row: "pd.Series[Any]", level: Level) -> list[str]:
    """Return what is known of a row: its name, its treatment where the name does not say it, its mechanism."""
    said = {c: _text(row[c]) for c in _SHOWN if c in row.index}
    treatment = f"{said[schema.COMPOUND]} {said[schema.CONCENTRATION]} µM"
    names = [treatment] if level == "treatment" else [str(row[levels.ID]), treatment]
    return [*names, said.get(schema.MOA, "")]


def _text(value: Any) -> str:
    """Return a value, or the values of a group, as a person writes them."""
    values = [value] if np.isscalar(value) else list(value)
    return ", ".join(levels.text(pd.Series(values)).dropna())
