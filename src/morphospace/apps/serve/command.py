"""The command ``serve``: a page on this machine to look at the cells, their map and their neighbours."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from morphospace import places
from morphospace.apps.serve import app, guard, page, server
from morphospace.training import process

HOST, PORT = "127.0.0.1", 8642


def run(
    embeddings: Annotated[Path, typer.Argument(help="Table of the cells: metadata and latent means.")] = Path(
        "data/embeddings.parquet"
    ),
    crops: Annotated[Path, typer.Option(help="Folder of the crops.")] = Path("data/crops"),
    crops_table: Annotated[Path, typer.Option(help="Table of the crops.")] = Path("data/crops.parquet"),
    model: Annotated[Path, typer.Option(help="Folder of the model that made the table.")] = Path("data/models"),
    database: Annotated[
        str | None,
        places.STORE,
        typer.Option(help="Where `morphospace search` keeps its database, if not in the scratch folder."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; only this machine reaches 127.0.0.1.")] = HOST,
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = PORT,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show the cells on a page in the browser: a map to wander on, and for each cell its crop and its neighbours.

    Cells, wells or treatments lie on a UMAP, coloured by any column. Click a point for its crop, its reconstruction,
    its well and its neighbours; filter by compound, mechanism, plate; drop a crop of your own on the page to search
    for cells like it; move the sliders to see what a latent dimension means. The map is made once and kept; the next
    start takes seconds. Ctrl-C ends it.

    The page is for this machine. On another machine, open a tunnel: ssh -L 8642:127.0.0.1:8642 MACHINE

    Example: morphospace serve --open
    """
    console = Console(stderr=True)
    bound = server.bind(host, port)
    process.keep_memory()
    shown = page.Page(page.Paths(embeddings, crops, crops_table, model, database), console)
    away = not guard.is_loopback(host)
    if away:
        console.print(
            f"warning: --host {host} lets anyone who reaches this machine see these data, without a password",
            style="yellow",
        )
    made = app.create(shown, guard.names_of(host) if away else (), away)
    address = server.url(bound)

    def ready() -> None:
        typer.echo(f"{shown.facts['cells']:,} cells at {address} (Ctrl-C ends it)")
        if browser:
            webbrowser.open(address)

    server.Server(made, bound, ready).run()
    typer.echo("ended")
