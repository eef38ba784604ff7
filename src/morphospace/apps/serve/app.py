"""The web application: the page itself, maps and columns as binary, pictures as PNG, the rest as JSON."""

import base64
from collections.abc import Collection
from importlib import resources
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as AnyHTTPException

from morphospace.apps.serve import guard
from morphospace.apps.serve.source import Answer, Hit, Level, Metric, Name, Source, Wanted
from morphospace.errors import MorphospaceError

MOST_BYTES = 8 * 2**20  # of an upload; a crop of the largest model, 1024 px in colour without compression, has 3
_SEARCH = "/api/search"  # the one address that takes an upload
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_KEEP = {"Cache-Control": "private, max-age=3600"}
_ASK = {"Cache-Control": "no-cache"}
Tags = Annotated[list[str], Query(max_length=64)]


class Walk(BaseModel):
    """Where to go in the latent space: from a cell, or from the mean, by standard deviations along dimensions."""

    model_config = ConfigDict(extra="forbid")

    start: int | None = None
    moves: dict[int, Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]] = Field(max_length=256)


def create(source: Source, names: Collection[str] = (), addresses: bool = False) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    source
        What the page shows.
    names, addresses
        Under which other names it may be asked than loopback (`guard.Guard`).
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(guard.Guard, names=names, addresses=addresses, uploads={_SEARCH: MOST_BYTES})
    _errors(app)
    _files(app)
    _maps(app, source)
    _pictures(app, source)
    _questions(app, source)
    return app


def _errors(app: FastAPI) -> None:
    """Answer every mistake with one line of JSON."""

    @app.exception_handler(MorphospaceError)
    async def _mistake(request: Request, error: MorphospaceError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=422)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{where}: {first['msg']}"}, status_code=422)

    @app.exception_handler(AnyHTTPException)
    async def _http(request: Request, error: AnyHTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


def _files(app: FastAPI) -> None:
    """Serve the files of the page from memory: a name from outside is looked up, never opened."""
    folder = resources.files("morphospace.apps.serve") / "static"
    found = {f.name: f.read_bytes() for f in folder.iterdir() if f.name.rpartition(".")[2] in _TYPES}

    @app.get("/")
    @app.get("/static/{name}")
    def static(name: str = "index.html") -> Response:
        if name not in found:
            raise HTTPException(404, "there is no such file")
        return Response(found[name], media_type=_TYPES[name.rpartition(".")[2]], headers=_ASK)


def _maps(app: FastAPI, source: Source) -> None:
    @app.get("/api/page")
    def page() -> dict[str, Any]:
        return {
            "facts": dict(source.facts),
            "levels": {name: _describe(level) for name, level in source.levels.items()},
            "sliders": [s._asdict() for s in source.sliders],
            "reconstructs": source.reconstructs,
            "upload": MOST_BYTES,
        }

    @app.get("/api/{level}/points")
    def points(level: Name) -> Response:
        return _binary(_level(source, level).points.astype("<f4"))

    @app.get("/api/{level}/columns/{index}")
    def values(level: Name, index: int) -> Response:
        columns = _level(source, level).columns
        if not 0 <= index < len(columns):
            raise HTTPException(404, f"there is no column {index}")
        found = columns[index].values
        return _binary(found.astype(found.dtype.newbyteorder("<")))

    @app.get("/api/{level}/items/{item}")
    def item(level: Name, item: int) -> dict[str, Any]:
        found = _level(source, level)
        _check(found, item)
        row = found.table.iloc[item]
        return {
            "values": [_plain(row[c.name]) for c in found.columns],
            "cells": [int(c) for c in found.typical[item]],
            "well": int(found.parents[item]) if found.parents[item] >= 0 else None,
        }


def _pictures(app: FastAPI, source: Source) -> None:
    @app.get("/api/cells/{cell}/crop.png")
    def crop(cell: int) -> Response:
        _check(source.levels["cells"], cell)
        return _png(source.crop(cell))

    @app.get("/api/cells/{cell}/reconstruction.png")
    def reconstruction(cell: int) -> Response:
        if not source.reconstructs:
            raise HTTPException(404, "this model draws nothing")
        _check(source.levels["cells"], cell)
        return _png(source.reconstruction(cell))

    @app.post("/api/walk")
    def walk(to: Walk) -> Response:
        known = {s.dimension for s in source.sliders}
        if not known:
            raise HTTPException(404, "this model does not decode")
        if unknown := [d for d in to.moves if d not in known]:
            raise HTTPException(422, f"there is no slider for dimension {unknown[0]}")
        if to.start is not None:
            _check(source.levels["cells"], to.start)
        return _png(source.walk(to.start, to.moves), _ASK)


def _questions(app: FastAPI, source: Source) -> None:
    @app.get("/api/{level}/items/{item}/similar")
    def similar(
        level: Name,
        item: int,
        metric: Metric = "cosine",
        top: Annotated[int, Query(ge=1, le=100)] = 12,
        including: Tags = [],  # noqa: B006
        excluding: Tags = [],  # noqa: B006
    ) -> list[dict[str, Any]]:
        found = _level(source, level)
        _check(found, item)
        return _hits(found, source.similar(item, Wanted(level, metric, top, including, excluding)))

    @app.post(_SEARCH)
    async def search(
        request: Request,
        level: Name = "cells",
        metric: Metric = "cosine",
        top: Annotated[int, Query(ge=1, le=100)] = 12,
        including: Tags = [],  # noqa: B006
        excluding: Tags = [],  # noqa: B006
    ) -> dict[str, Any]:
        # A form of another site cannot send this type without asking first, and it is not allowed to.
        if request.headers.get("content-type") != "image/png":
            raise HTTPException(415, "send the crop as image/png")
        found = _level(source, level)
        content = await request.body()
        wanted = Wanted(level, metric, top, including, excluding)
        answer: Answer = await run_in_threadpool(source.search, content, wanted)
        drawn = answer.reconstruction
        return {
            "picture": _url(answer.picture),
            "reconstruction": None if drawn is None else _url(drawn),
            "hits": _hits(found, answer.hits),
            "remarks": list(answer.remarks),
        }


def _describe(level: Level) -> dict[str, Any]:
    """Return all of a level but its numbers."""
    columns = [{**c._asdict(), "values": None, "tag": level.tags.get(c.name, "")} for c in level.columns]
    return {"count": len(level.table), "columns": columns}


def _hits(level: Level, hits: Any) -> list[dict[str, Any]]:
    found: list[Hit] = list(hits)
    return [{"item": h.item, "distance": h.distance, "cell": int(level.typical[h.item][0])} for h in found]


def _level(source: Source, name: Name) -> Level:
    if name not in source.levels:
        raise HTTPException(404, f"there is no map of {name}")
    return source.levels[name]


def _check(level: Level, item: int) -> None:
    if not 0 <= item < len(level.table):
        raise HTTPException(404, f"there is no item {item}")


def _binary(values: Any) -> Response:
    return Response(np.ascontiguousarray(values).tobytes(), media_type="application/octet-stream", headers=_ASK)


def _png(content: bytes, headers: dict[str, str] = _KEEP) -> Response:
    return Response(content, media_type="image/png", headers=headers)


def _url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def _plain(value: Any) -> Any:
    """Return a value of a table as JSON has it: text, a finite number, or none."""
    if pd.isna(value) or value == "":
        return None
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return value if np.isfinite(value) else None
