"""How fast a query is answered: ``python -m morphospace.search.benchmark``, with embeddings that are generated."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray

from morphospace import schema
from morphospace.search import approximate, database, store
from morphospace.search.database import Database

_STREAM = 22
_MECHANISMS = 13
_TOP = 10
_A_WELL = 100  # cells
Floats = NDArray[np.float32]


def run(
    cells: Annotated[int, typer.Option(min=100, help="Embeddings.")] = 250_000,
    latents: Annotated[int, typer.Option(min=1, help="Numbers each.")] = 150,
    queries: Annotated[int, typer.Option(min=5, help="Queries, of which the median time is told.")] = 50,
    index: Annotated[bool, typer.Option(help="Build the approximate index as well, and measure its recall.")] = False,
) -> None:
    """Measure the median time of a query, exact, beside plain NumPy and LanceDB's own scan of the same vectors.

    The times of one round follow one another, so that what else runs on the machine disturbs all alike; ratios are to
    plain NumPy: the product of all vectors with the query, and a full sort.
    """
    rng = np.random.default_rng([0, _STREAM])
    table = _generated(cells, latents, rng)
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "search")
        began = time.perf_counter()
        about = database.build(place, "k", table, {}, exact_up_to=0 if index else cells)
        typer.echo(f"{cells:,} cells x {latents}: built in {time.perf_counter() - began:.1f} s")
        base = Database(place, about._replace(probes=None, recall=None))
        began = time.perf_counter()
        vectors = base.vectors("cell")
        base.tags("cell").values("moa")
        typer.echo(f"opened in {time.perf_counter() - began:.2f} s")
        asked = vectors[rng.choice(cells, queries, replace=False)] + rng.standard_normal((queries, latents)) / 10
        took = _timed(_ways(place, base, vectors, about), asked.astype(np.float32))
    plain = took["plain NumPy, cosine"][0]
    typer.echo("    median       of the processors")
    for name, (wall, processor) in took.items():
        typer.echo(f"{1000 * wall:8.1f} ms {1000 * processor:8.1f} ms {wall / plain:6.2f} x  {name}")
    if index:
        typer.echo(f"index: {about.probes} parts a query, recall {about.recall:.3f}")


def _generated(cells: int, latents: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return an embedding table of clusters, one a mechanism."""
    moa = rng.integers(0, _MECHANISMS, cells)
    middle = rng.standard_normal((_MECHANISMS, latents), dtype=np.float32)
    vectors = middle[moa] + rng.standard_normal((cells, latents), dtype=np.float32)
    known = pd.DataFrame(dict.fromkeys(schema.METADATA, "x"), index=range(cells))
    known[schema.MOA] = [f"m{m}" for m in moa]
    known[schema.WELL] = [f"w{i // _A_WELL}" for i in range(cells)]
    known[schema.OBJECT] = range(cells)
    return known.join(pd.DataFrame(vectors, columns=schema.latent_names(latents)))


def _ways(place: str, base: Database, vectors: Floats, about: store.About) -> dict[str, Callable[[Floats], Any]]:
    """Return the ways to answer a query, by name."""
    scan = store.connect(place).open_table(store.name("cell", about.key))

    def plain(query: Floats) -> Any:
        cosine = vectors @ query / (np.linalg.norm(vectors, axis=1) * np.linalg.norm(query))
        return np.argsort(-cosine)[:_TOP]

    def by_lance(query: Floats) -> Any:
        search = scan.search(query, vector_column_name=store.VECTOR).distance_type("cosine").bypass_vector_index()
        return search.limit(_TOP).select([store.NUMBER, "_distance"]).to_arrow()

    ways: dict[str, Callable[[Floats], Any]] = {
        "plain NumPy, cosine": plain,
        "LanceDB's scan, cosine": by_lance,
        "morphospace, cosine": lambda q: base.nearest(q, top=_TOP),
        "morphospace, l2": lambda q: base.nearest(q, metric="l2", top=_TOP),
        "morphospace, cosine, --with moa": lambda q: base.nearest(q, top=_TOP, with_=["moa:m3"]),
    }
    if about.probes:
        probes = about.probes
        ways["index, cosine"] = lambda q: approximate.nearest(scan, q.astype(np.float64), "cosine", _TOP, probes)
    return ways


def _timed(ways: dict[str, Callable[[Floats], Any]], queries: Floats) -> dict[str, tuple[float, float]]:
    """Return the median seconds of each way, on the clock and of the processors; the first query warms up.

    The ways take turns. Where others use the machine, a query waits on the clock and not on the processors.
    """
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for query in queries:
        for name, answer in ways.items():
            clock, processor = time.perf_counter(), time.process_time()
            answer(query)
            took[name].append((time.perf_counter() - clock, time.process_time() - processor))
    return {name: tuple(np.median(seconds[1:], axis=0).tolist()) for name, seconds in took.items()}


if __name__ == "__main__":
    typer.run(run)
