"""The application as a browser, and as somebody who means it ill, asks it."""

import base64
import http.client
import io
import socket
import struct
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import load
import numpy as np
import pages
import pandas as pd
import pytest
import requests
from numpy.typing import NDArray
from PIL import Image

from morphospace import schema
from morphospace.apps.serve import app, guard
from morphospace.apps.serve.page import Page, Paths
from morphospace.imaging import packs
from morphospace.training import embedding

PNG = {"Content-Type": "image/png"}


def _get(address: str, path: str, **given: Any) -> requests.Response:
    return requests.get(address + path, timeout=20, **given)


def _send(address: str, content: Any, query: str = "", headers: dict[str, str] = PNG) -> requests.Response:
    return requests.post(f"{address}api/search?{query}", data=content, headers=headers, timeout=20)


def _pixels(content: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def _png(width: int, height: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), 0).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_page_is_one_that_runs_nothing_but_its_own_files(address: str) -> None:
    page = _get(address, "")
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "http" not in page.text.replace("http-equiv", ""), "the page names another server"
    module = _get(address, "static/main.js")
    assert module.headers["Content-Type"].startswith("text/javascript")
    assert "server" not in module.headers


@pytest.mark.parametrize(
    "path",
    ["static/nothing.js", "static/..%2Fapp.py", "static/%2Fetc%2Fpasswd", "docs", "openapi.json", "api/rows/points"],
)
def test_what_is_not_there_is_not_found(address: str, path: str) -> None:
    found = _get(address, path)
    assert found.status_code in (404, 422)
    assert list(found.json()) == ["error"]


def test_names_reach_the_browser_as_they_are_and_only_as_json(address: str, page: Page) -> None:
    answer = _get(address, "api/page")
    assert answer.headers["Content-Type"] == "application/json"
    columns = answer.json()["levels"]["cells"]["columns"]
    (compound,) = (c for c in columns if c["name"] == schema.COMPOUND)
    assert compound["levels"] == sorted(pages.COMPOUNDS)
    assert compound["tag"] == "compound"
    assert not any("BoundingBox" in c["name"] for c in columns)
    assert page.levels["wells"].tags[schema.MOA] == "moa"
    assert schema.BATCH not in page.levels["treatments"].tags, "a treatment has cells of both batches"


@pytest.mark.parametrize("level", ["cells", "wells", "treatments"])
def test_points_and_columns_are_those_of_the_tables(address: str, page: Page, level: Any) -> None:
    held = page.levels[level]
    points = np.frombuffer(_get(address, f"api/{level}/points").content, "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(points, held.points)
    about = _get(address, "api/page").json()["levels"][level]
    assert about["count"] == len(points)
    for index, column in enumerate(about["columns"]):
        content = _get(address, f"api/{level}/columns/{index}").content
        values = held.table[column["name"]]
        if column["kind"] == "number":
            np.testing.assert_array_equal(np.frombuffer(content, "<f4"), values.to_numpy(np.float32))
        else:
            assert [column["levels"][code] for code in np.frombuffer(content, "<u2")] == values.tolist()
    assert _get(address, f"api/{level}/columns/{len(about['columns'])}").status_code == 404
    assert _get(address, f"api/{level}/columns/-1").status_code == 404


def test_an_item_says_what_is_known_of_it_and_leads_to_its_well(address: str, page: Page) -> None:
    names = [c["name"] for c in _get(address, "api/page").json()["levels"]["cells"]["columns"]]
    cell = _get(address, "api/cells/items/7").json()
    said = dict(zip(names, cell["values"], strict=True))
    assert (said[schema.PLATE], said[schema.WELL], said[schema.OBJECT]) == ("P1", "A02", 3)
    assert said["Cells_AreaShape_Area"] == 107
    well = page.levels["wells"].table.iloc[cell["well"]]
    assert (well[schema.PLATE], well[schema.WELL], well["Cells"]) == ("P1", "A02", 5)
    shown = _get(address, f"api/wells/items/{cell['well']}").json()
    assert sorted(shown["cells"]) == [5, 6, 7, 8, 9]
    for item in (60, -1, 10**30, "1.5", "x"):
        assert _get(address, f"api/cells/items/{item}").status_code in (404, 422)


def test_a_crop_and_its_reconstruction_are_those_of_the_libraries(address: str, run: Paths) -> None:
    tile = pages.tiles()[7]
    np.testing.assert_array_equal(_pixels(_get(address, "api/cells/7/crop.png").content), tile.transpose(1, 2, 0))
    net, _ = embedding.load_model(run.model)
    drawn = embedding.reconstruct(net, tile[None], 1)[0].clip(0, 1) * 255
    found = _pixels(_get(address, "api/cells/7/reconstruction.png").content)
    np.testing.assert_allclose(found, drawn.transpose(1, 2, 0), atol=0.51)
    for path in ("crop.png", "reconstruction.png"):
        assert _get(address, f"api/cells/60/{path}").status_code == 404


@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_the_neighbours_of_a_cell_are_those_of_a_slow_search(address: str, run: Paths, metric: str) -> None:
    table = pd.read_parquet(run.embeddings)
    z = table[schema.latent_columns(table)].to_numpy(np.float64)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    away = 1 - unit @ unit[7] if metric == "cosine" else np.linalg.norm(z - z[7], axis=1)
    found = _get(address, f"api/cells/items/7/similar?metric={metric}&top=5").json()
    assert [h["item"] for h in found] == [i for i in np.argsort(away, kind="stable") if i != 7][:5]
    np.testing.assert_allclose([h["distance"] for h in found], np.sort(away[np.arange(60) != 7])[:5], atol=1e-6)


def test_neighbours_follow_tags_whatever_the_names(address: str, page: Page) -> None:
    compounds = page.levels["cells"].table[schema.COMPOUND]
    for name in pages.COMPOUNDS:
        given = {"including": [f"compound:{name}"], "excluding": ["plate:P1"], "top": 50}
        hits = _get(address, "api/cells/items/0/similar", params=given).json()
        assert {h["item"] for h in hits} == {i for i in range(30, 60) if compounds[i] == name}
    refused = _get(address, "api/cells/items/0/similar", params={"including": ["moa:nothing"]})
    assert refused.status_code == 422
    assert "nothing here has moa:nothing" in refused.json()["error"]


@pytest.mark.parametrize("level", ["wells", "treatments"])
def test_groups_are_neighbours_by_their_means(address: str, run: Paths, page: Page, level: Any) -> None:
    table = pd.read_parquet(run.embeddings)
    keys = [schema.PLATE, schema.WELL] if level == "wells" else [schema.COMPOUND, schema.CONCENTRATION]
    means = table.groupby(keys)[schema.latent_columns(table)].mean()
    away = np.linalg.norm(means.to_numpy(np.float64) - means.iloc[2].to_numpy(np.float64), axis=1)
    hits = _get(address, f"api/{level}/items/2/similar?metric=l2&top=3").json()
    assert [h["item"] for h in hits] == list(np.argsort(away)[1:4])
    shown = page.levels[level].table.iloc[hits[0]["item"]]
    assert tuple(shown[keys]) == tuple(means.index[hits[0]["item"]])


def test_an_upload_finds_the_cell_that_it_is(address: str) -> None:
    tile = pages.tiles()[7]
    found = _send(address, packs.encode_tile(tile)).json()
    assert found["hits"][0]["item"] == 7
    assert found["hits"][0]["distance"] == pytest.approx(0, abs=1e-5)
    head = "data:image/png;base64,"
    assert found["picture"].startswith(head)
    np.testing.assert_array_equal(
        _pixels(base64.b64decode(found["picture"].removeprefix(head))), tile.transpose(1, 2, 0)
    )
    assert found["reconstruction"].startswith(head)
    assert found["remarks"][0].startswith("novelty: ")


def test_a_smaller_upload_is_set_in_the_middle(address: str) -> None:
    small = pages.tiles()[7][:, 2:-2, 2:-2]
    found = _send(address, packs.encode_tile(small)).json()
    shown = _pixels(base64.b64decode(found["picture"].partition(",")[2]))
    assert shown.shape == (pages.SIZE, pages.SIZE, 3)
    np.testing.assert_array_equal(shown[2:-2, 2:-2], small.transpose(1, 2, 0))


def _bomb() -> bytes:
    """A PNG of 60,000 x 60,000 px in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


def _deep() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no PNG"),
        (b"just text, named cell.png", "is no PNG"),
        (b"<script>alert(1)</script>", "is no PNG"),
        (b"\x89PNG\r\n\x1a\n", "is no PNG"),
        (_png(32, 32)[:60], "is not a readable PNG"),
        (_png(32, 32).replace(b"IDAT", b"IDxT"), "is not a readable PNG"),
        (_bomb(), "is 60,000 x 60,000 px; the model wants an RGB PNG of 8 bits .Actin, Tubulin, DNA., at most 32 x 32"),
        (_png(33, 32), "is 33 x 32 px"),
        (_png(32, 32, "L"), "is a L picture"),
        (_png(32, 32, "RGBA"), "is a RGBA picture"),
        (_deep(), "has 16 bits a value"),
    ],
)
def test_what_is_no_crop_is_refused_with_its_reason(address: str, content: bytes, reason: str) -> None:
    answer = _send(address, content)
    assert answer.status_code == 422
    assert pd.Series([answer.json()["error"]]).str.match(f"the file {reason}").all(), answer.json()
    assert _get(address, "api/page").status_code == 200


def test_an_upload_is_not_read_beyond_the_limit(address: str) -> None:
    place = urlsplit(address)
    sent = 0
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=20) as wire:
        head = f"POST /api/search HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: image/png\r\n"
        wire.sendall(f"{head}Content-Length: {10**12}\r\n\r\n".encode())
        try:
            while sent < 40 * app.MOST_BYTES:
                sent += wire.send(bytes(2**16))
        except OSError:
            pass  # it hung up
    assert sent < 40 * app.MOST_BYTES
    answer = _send(address, bytes(app.MOST_BYTES + 1))
    assert answer.status_code == 413
    assert "larger than 8 MB" in answer.json()["error"]


def test_a_stream_without_a_length_is_not_read_beyond_the_limit_either(address: str) -> None:
    place = urlsplit(address)
    link = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
    pieces = iter([bytes(2**20)] * 9)
    link.request("POST", "/api/search", body=pieces, headers=PNG, encode_chunked=True)
    assert link.getresponse().status == 413
    link.close()


def test_no_other_request_is_read_beyond_its_limit(address: str) -> None:
    long = b'{"moves": {}, "start": ' + b" " * guard.MOST_BYTES + b"0}"
    for path in ("api/walk", "api/page", "static/main.js"):
        answer = requests.post(address + path, data=long, headers={"Content-Type": "application/json"}, timeout=20)
        assert answer.status_code == (413 if path == "api/walk" else 405)
    assert "larger than 64 KB" in requests.post(f"{address}api/walk", data=long, timeout=20).json()["error"]
    place = urlsplit(address)
    link = http.client.HTTPConnection(str(place.hostname), place.port, timeout=20)
    link.request("POST", "/api/walk", body=iter([b" " * 2**14] * 5), encode_chunked=True)
    assert link.getresponse().status == 413
    link.close()


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"])
def test_a_form_of_another_site_cannot_upload(address: str, kind: str) -> None:
    assert _send(address, _png(8, 8), headers={"Content-Type": kind}).status_code == 415


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", "192.168.1.7", "[::1", "", "localhost@evil"]
)
def test_a_name_that_was_bent_to_this_machine_gets_nothing(address: str, host: str) -> None:
    answer = _get(address, "api/page", headers={"Host": host})
    assert answer.status_code in (400, 403)
    assert "cells" not in answer.text
    assert "Content-Security-Policy" in answer.headers or answer.status_code == 400


def test_a_tunnel_and_the_page_itself_are_answered_but_no_other_origin(address: str) -> None:
    for host in ("localhost:9999", "127.0.0.1", "[::1]:80"):
        assert _get(address, "api/page", headers={"Host": host}).status_code == 200
    own = urlsplit(address).netloc
    assert _get(address, "api/page", headers={"Origin": f"http://{own}"}).status_code == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert _get(address, "api/page", headers={"Origin": origin}).status_code == 403


def test_a_walk_draws_what_the_model_decodes(address: str, page: Page, run: Paths) -> None:
    table = pd.read_parquet(run.embeddings)
    z = table[schema.latent_columns(table)].to_numpy(np.float32)
    net, _ = embedding.load_model(run.model)
    first, second = page.sliders[0], page.sliders[1]
    for start, moves in ((None, {}), (9, {first.dimension: 2.0, second.dimension: -1.5})):
        place = (z.mean(axis=0) if start is None else z[start]).copy()
        for dimension, step in moves.items():
            place[dimension] += step * z[:, dimension].std()
        wanted = embedding.decode(net, place[None])[0].clip(0, 1) * 255
        answer = requests.post(f"{address}api/walk", json={"start": start, "moves": moves}, timeout=20)
        np.testing.assert_allclose(_pixels(answer.content), wanted.transpose(1, 2, 0), atol=0.6)


@pytest.mark.parametrize(
    "body",
    [
        {"start": 60, "moves": {}},
        {"start": -1, "moves": {}},
        {"moves": {"99": 1}},
        {"moves": {"0": 1e9}},
        {"moves": {"0": "NaN"}},
        {"moves": {}, "path": "/etc/passwd"},
        {},
        [],
    ],
)
def test_a_walk_to_nowhere_is_refused(address: str, body: Any) -> None:
    answer = requests.post(f"{address}api/walk", json=body, timeout=20)
    assert answer.status_code in (404, 422)
    assert list(answer.json()) == ["error"]


def test_many_clients_at_once_are_all_answered(address: str) -> None:
    found = load.load(address, clients=8, seconds=1)
    assert set(found.answers) == {200}
    assert found.answers[200] >= 8


def test_the_files_of_the_page_load_nothing_from_elsewhere() -> None:
    folder = Path(app.__file__).parent / "static"
    for file in folder.iterdir():
        text = file.read_text().replace("http://www.w3.org/", "")
        assert "//cdn" not in text
        assert "http://" not in text, file
        assert "https://" not in text, file
        assert "innerHTML" not in text, file
        assert "insertAdjacentHTML" not in text, file
        assert len(text.splitlines()) <= 300, file
