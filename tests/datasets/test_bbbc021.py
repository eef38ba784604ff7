"""The published archives are downloaded, resumed, verified, and refused when they are not what they claim."""

import gzip
import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pydantic import ValidationError

from morphospace import files as own
from morphospace import schema
from morphospace.datasets import _archive, _broad, _download, bbbc021
from morphospace.errors import InputError

PLATES = ("Week1_22123", "Week2_24121")
Answer = Callable[["_Handler", bytes], None]


class _Handler(BaseHTTPRequestHandler):
    """Serves `files`, once each by the answers in `script`, then by whole or by range."""

    files: dict[str, bytes]
    script: dict[str, list[Answer]]
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.asked.append((name, self.headers.get("Range", "")))
        if name not in self.files:
            self.send_error(404)
        elif self.script.get(name):
            self.script[name].pop(0)(self, self.files[name])
        else:
            by_range(self, self.files[name])

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body) if length is None else length), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def by_range(handler: _Handler, data: bytes) -> None:
    start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
    if start >= len(data):
        handler.reply(416, b"", Content_Range=f"bytes */{len(data)}")
    elif start:
        handler.reply(206, data[start:], Content_Range=f"bytes {start}-{len(data) - 1}/{len(data)}")
    else:
        handler.reply(200, data)


def cut(handler: _Handler, data: bytes) -> None:
    """Promise all, send half, hang up."""
    start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
    rest = data[start:]
    extra = {"Content_Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
    handler.reply(206 if start else 200, rest[: len(rest) // 2], length=len(rest), **extra)
    handler.close_connection = True


def whole(handler: _Handler, data: bytes) -> None:
    """Ignore the range."""
    handler.reply(200, data)


def elsewhere(handler: _Handler, data: bytes) -> None:
    handler.reply(206, data[1:], Content_Range=f"bytes 1-{len(data) - 1}/{len(data)}")


def busy(handler: _Handler, data: bytes) -> None:
    handler.reply(503, b"busy")


def forbidden(handler: _Handler, data: bytes) -> None:
    handler.reply(403, b"no")


def web_page(handler: _Handler, data: bytes) -> None:
    handler.reply(200, b"<html>sign in</html>", Content_Type="text/html; charset=utf-8")


def _tiff() -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 4096, (8, 9)).astype(np.uint16)
    tifffile.imwrite(file, noise << 4, photometric="minisblack")
    return file.getvalue()


def _zip(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def _published() -> dict[str, bytes]:
    """Two plates of two wells, and their tables, as the server has them."""
    rows, files = [], {}
    for number, plate in enumerate(PLATES):
        members: list[tuple[str, bytes]] = [
            (f"{plate}/", b""),
            (f"{plate}/Thumbs.db", b"x"),
            (f"__MACOSX/{plate}/._a.tif", b"x"),
        ]
        for well, compound, dose in (("B02", "DMSO", "0"), ("C03", "taxol", "0.3")):
            names = [f"{plate[:5]}_1_{well}_s1_w{c}{number}{'A' * 35}.tif" for c in "124"]
            members += [(f"{plate}/{name}", _tiff()) for name in names]
            paths = [value for name in names for value in (name, f"{plate[:5]}/{plate}")]
            rows.append(["1", str(len(rows)), *paths, plate, well, "1", compound, dose])
        files[f"BBBC021_v1_images_{plate}.zip"] = _zip(*members)
    files[_broad.IMAGE_CSV] = "\n".join(",".join(r) for r in [_broad.COLUMNS, *rows]).encode()
    files[_broad.MOA_CSV] = b'"compound",concentration,"moa"\r\n"taxol",0.300000,"Microtubule stabilizers"\r\n'
    files[_broad.COMPOUND_CSV] = b"compound,smiles\ntaxol,C\n"
    return files


ZIP = f"BBBC021_v1_images_{PLATES[0]}.zip"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Handler]]:
    handler = type("Handler", (_Handler,), {"files": _published(), "script": {}, "asked": []})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    handler.url = f"http://127.0.0.1:{running.server_port}/BBBC021"
    monkeypatch.setattr(_download, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(_download, "_CHUNK", 16)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield handler
    running.shutdown()
    running.server_close()
    thread.join()


def _fetch(tmp_path: Path, server: type[_Handler], name: str = "raw", **options: object) -> Path:
    target = tmp_path / name
    target.mkdir()
    bbbc021.fetch(target, 0, url=server.url, **{"plates": [PLATES[0]], **options})
    return target


def _images(raw: Path) -> list[str]:
    return sorted(p.relative_to(raw).as_posix() for p in raw.rglob("*.tif"))


def test_a_plate_is_downloaded_unpacked_and_listed(tmp_path: Path, server: type[_Handler]) -> None:
    raw = _fetch(tmp_path, server)
    assert len(_images(raw)) == 6
    assert {p.name for p in raw.iterdir()} == {PLATES[0], "SHA256SUMS", *bbbc021._CSVS}
    table, dropped = bbbc021.index(raw, plates=[PLATES[0]])
    assert dropped.empty
    assert table[[schema.PLATE, schema.WELL, schema.MOA, schema.BATCH]].to_numpy().tolist() == [
        [PLATES[0], "B02", "DMSO", "Week1"],
        [PLATES[0], "C03", "Microtubule stabilizers", "Week1"],
    ]
    for row in table.to_dict("records"):
        assert (raw / row["Image_PathName_DNA"] / row["Image_FileName_DNA"]).is_file()


def test_all_brings_every_plate_and_negcon_the_dmso_wells_only(tmp_path: Path, server: type[_Handler]) -> None:
    raw = _fetch(tmp_path, server, plates=["all"], wells="negcon")
    assert len(_images(raw)) == 2 * 3
    assert all("_B02_" in name for name in _images(raw))
    table, _ = bbbc021.index(raw, plates=["all"], wells="negcon")
    assert table[schema.PERT_TYPE].tolist() == ["negcon", "negcon"]


def test_what_is_downloaded_is_not_asked_for_again(tmp_path: Path, server: type[_Handler]) -> None:
    _fetch(tmp_path, server, wells="negcon")
    server.asked.clear()
    assert len(_images(_fetch(tmp_path, server, "again"))) == 6
    assert server.asked == []


@pytest.mark.parametrize("name", [ZIP, _broad.IMAGE_CSV])
@pytest.mark.parametrize("damage", ["cut", "altered", "unsealed and cut"])
def test_an_archive_that_was_damaged_since_is_asked_for_again(
    tmp_path: Path, server: type[_Handler], name: str, damage: str
) -> None:
    _fetch(tmp_path, server)
    (path,) = (p for p in own.scratch("bbbc021", "").rglob("*") if p.name == name)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + (b"!" if damage == "altered" else b""))
    if "unsealed" in damage:
        path.with_name(f"{name}.seal").unlink()
        path.write_bytes(b"")
    server.asked.clear()
    assert len(_images(_fetch(tmp_path, server, "again"))) == 6
    assert len(server.asked) == 1
    assert path.read_bytes() == content


def test_a_cut_download_goes_on_where_it_stopped(tmp_path: Path, server: type[_Handler]) -> None:
    server.script[ZIP] = [cut, cut, cut, cut]  # more cuts than waits: progress starts the list again
    raw = _fetch(tmp_path, server)
    assert len(_images(raw)) == 6
    ranges = [r for name, r in server.asked if name == ZIP]
    starts = [int(r[6:-1]) for r in ranges[1:]]
    assert ranges[0] == ""
    assert starts == sorted(set(starts))
    assert starts[0] > 0


def test_a_part_from_an_earlier_run_is_resumed(tmp_path: Path, server: type[_Handler]) -> None:
    server.script[ZIP] = [cut, busy, busy, busy]
    with pytest.raises(InputError, match=r"out of reach \(HTTP 503\); run again, what arrived is kept"):
        _fetch(tmp_path, server)
    server.asked.clear()
    _fetch(tmp_path, server, "again")
    assert (
        next(r for name, r in server.asked if name == ZIP) == f"bytes={len(server.files[ZIP]) // 2 // 16 * 16}-"
    )  # in whole chunks


@pytest.mark.parametrize("answer", [whole, elsewhere])
def test_a_server_that_cannot_resume_sends_it_again(tmp_path: Path, server: type[_Handler], answer: Answer) -> None:
    server.script[ZIP] = [cut, answer]
    assert len(_images(_fetch(tmp_path, server))) == 6


def test_a_part_that_is_whole_or_too_long_is_settled(tmp_path: Path, server: type[_Handler]) -> None:
    for extra in (b"", b"more than there is"):
        path = tmp_path / f"{len(extra)}.zip"
        path.with_name(path.name + ".part").write_bytes(server.files[ZIP] + extra)
        _download.download(f"{server.url}/{ZIP}", path, _download.check_zip)
        assert path.read_bytes() == server.files[ZIP]


def test_a_busy_server_is_asked_again(tmp_path: Path, server: type[_Handler]) -> None:
    server.script[_broad.IMAGE_CSV] = [busy]
    assert len(_images(_fetch(tmp_path, server))) == 6


@pytest.mark.parametrize(
    ("answer", "match"), [(web_page, "answers with a web page"), (forbidden, "answers HTTP 403 Forbidden; correct")]
)
@pytest.mark.parametrize("name", [ZIP, _broad.IMAGE_CSV])
def test_a_nonsense_answer_is_refused_in_one_line(
    tmp_path: Path, server: type[_Handler], answer: Answer, match: str, name: str
) -> None:
    server.script[name] = [answer]
    with pytest.raises(InputError, match=match) as caught:
        _fetch(tmp_path, server)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_a_file_the_server_lacks_is_named(tmp_path: Path, server: type[_Handler]) -> None:
    del server.files[ZIP]
    with pytest.raises(InputError, match=f"{ZIP} answers HTTP 404"):
        _fetch(tmp_path, server)


def test_a_server_that_is_not_there_is_reported_after_all_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "WAITS", (0.0,))
    with pytest.raises(InputError, match="is out of reach"):
        _download.download("http://127.0.0.1:9/a.zip", tmp_path / "a.zip", _download.check_zip)


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be fetched"):
        _download.download("http://", tmp_path / "a.zip", _download.check_zip)


def test_a_truncated_or_damaged_archive_is_refused_and_not_kept(tmp_path: Path, server: type[_Handler]) -> None:
    good = server.files[ZIP]
    damaged = bytearray(good)
    damaged[len(good) // 3] ^= 0xFF
    for number, bad in enumerate((good[: len(good) // 2], b"not a zip", bytes(damaged))):
        server.files[ZIP] = bad
        with pytest.raises(InputError, match=f"{ZIP} is (not a whole ZIP|damaged)"):
            _fetch(tmp_path, server, f"raw{number}")
    server.files[ZIP] = good
    assert len(_images(_fetch(tmp_path, server))) == 6


def test_checksums_are_written_and_compared(tmp_path: Path, server: type[_Handler]) -> None:
    sums = _fetch(tmp_path, server) / "SHA256SUMS"
    assert f"  {ZIP}\n" in sums.read_text()
    _fetch(tmp_path, server, "same", checksums=str(sums))
    sums.write_text(f"{'0' * 64}  {ZIP}\n")
    with pytest.raises(InputError, match=f"{ZIP} has SHA-256 .*, and 0000.* is listed"):
        _fetch(tmp_path, server, "other", checksums=str(sums))
    sums.write_text("what\n")
    with pytest.raises(InputError, match="line 1 is not"):
        _fetch(tmp_path, server, "odd", checksums=str(sums))
    with pytest.raises(InputError, match="cannot be read"):
        _fetch(tmp_path, server, "none", checksums=str(tmp_path / "none"))


def test_an_unknown_plate_names_the_nearest(tmp_path: Path, server: type[_Handler]) -> None:
    with pytest.raises(InputError, match=r"Week1_22124, which is not in .*; did you mean Week1_22123"):
        _fetch(tmp_path, server, plates=["Week1_22124"])
    with pytest.raises(InputError, match="there are Week1_22123 to Week2_24121"):
        _fetch(tmp_path, server, "b", plates=["Week99_00000"])


def test_a_table_of_one_column_is_refused(tmp_path: Path, server: type[_Handler]) -> None:
    server.files[_broad.MOA_CSV] = b"sorry\nnothing here\n"
    with pytest.raises(InputError, match=r"BBBC021_v1_moa\.csv from the server is not a table"):
        _fetch(tmp_path, server)


@pytest.mark.parametrize(
    "options",
    [{"plates": []}, {"plates": ["../x"]}, {"url": "file:///etc"}, {"wells": "some"}, {"plates": "all"}, {"nope": 1}],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        bbbc021.Options(**options)


def _special(mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("p/a.tif")
    info.external_attr = mode << 16
    return info


HOSTILE = {
    "slip": (("p/../../a.tif", b"x"), "leaves its folder"),
    "absolute": (("/tmp/a.tif", b"x"), "leaves its folder"),
    "drive": (("C:/a.tif", b"x"), "leaves its folder"),
    "backslash": (("p\\..\\a.tif", b"x"), "leaves its folder"),
    "link": ((_special(0o120777), b"/etc/passwd"), "a link"),
    "named pipe": ((_special(0o010644), b""), "a link or a device"),
    "bomb": (("p/a.tif", bytes(20 << 20)), "swell to 20,971,520"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_whole(tmp_path: Path, case: str) -> None:
    member, match = HOSTILE[case]
    path = tmp_path / "in" / "a.zip"
    path.parent.mkdir()
    path.write_bytes(_zip(("p/good.tif", _tiff()), member))
    with pytest.raises(InputError, match=match):
        _archive.extract_images(path, tmp_path / "out" / "p", lambda name: True)
    assert not (tmp_path / "out").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_many_small_members_are_a_bomb_too_and_found_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(_zip(*((f"p/{n}.tif", bytes(1 << 20)) for n in range(20))))
    monkeypatch.setattr(_archive.zipfile.ZipFile, "testzip", lambda self: pytest.fail("a bomb was read"))
    for use in (bbbc021._check_archive, lambda p: _archive.extract_images(p, tmp_path / "p", lambda name: True)):
        with pytest.raises(InputError, match=r"bytes that swell to 20,971,520 in 20 members"):
            use(path)
    assert not (tmp_path / "p").exists()
    monkeypatch.setattr(_archive, "_MAX_TOTAL", 100)
    path.write_bytes(_zip(("p/a.tif", _tiff())))
    with pytest.raises(InputError, match="in 1 members"):
        _archive.check(path)


def test_an_archive_is_refused_for_duplicates_emptiness_and_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(_zip(("p/a.tif", _tiff()), ("q/a.tif", _tiff())))
    with pytest.raises(InputError, match=r"holds 'a\.tif' twice"):
        _archive.extract_images(path, tmp_path / "p", lambda name: True)
    with pytest.raises(InputError, match="none of the images that are wanted"):
        _archive.extract_images(path, tmp_path / "p", lambda name: False)
    path.write_bytes(_zip(("p/a.tif", _tiff())))
    monkeypatch.setattr(_archive.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10}))
    with pytest.raises(InputError, match="10 free; make room"):
        _archive.extract_images(path, tmp_path / "p", lambda name: True)
    with pytest.raises(InputError, match="make room"):
        _download._write(None, tmp_path / "x.part", 0, 100)  # type: ignore[arg-type]


def test_the_index_of_the_real_tables_takes_plates_and_wells(tmp_path: Path, real_data: Path) -> None:
    meta = real_data / "bbbc021_meta"
    (tmp_path / _broad.IMAGE_CSV).write_bytes(gzip.decompress((meta / "BBBC021_v1_image.csv.gz").read_bytes()))
    (tmp_path / _broad.MOA_CSV).write_bytes((meta / "BBBC021_v1_moa.csv").read_bytes())
    assert len(bbbc021.index(tmp_path, plates=["all"])[0]) == 13_200
    assert len(bbbc021.index(tmp_path, plates=["all"], wells="negcon")[0]) == 1_320
    table, _ = bbbc021.index(tmp_path, plates=["Week2_24381"], wells="negcon")
    assert sorted(table[schema.WELL].unique()) == ["B02", "C02", "D02", "E11", "F11", "G11"]


def test_an_archive_of_the_real_fields_is_served_and_unpacked(
    tmp_path: Path, real_data: Path, server: type[_Handler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "_CHUNK", 1 << 17)
    meta, plate = real_data / "bbbc021_meta", "Week2_24381"
    fields = sorted((real_data / "bbbc021_fields").glob("*.tif"))
    members = [(f"{plate}/{f.name}", f.read_bytes()) for f in fields]
    server.files[f"BBBC021_v1_images_{plate}.zip"] = _zip(*members, method=zipfile.ZIP_STORED)
    server.files[_broad.IMAGE_CSV] = gzip.decompress((meta / "BBBC021_v1_image.csv.gz").read_bytes())
    server.files[_broad.MOA_CSV] = (meta / "BBBC021_v1_moa.csv").read_bytes()
    server.script[f"BBBC021_v1_images_{plate}.zip"] = [cut]
    raw = _fetch(tmp_path, server, plates=[plate], wells="negcon")
    assert _images(raw) == [f"{plate}/{f.name}" for f in fields]
