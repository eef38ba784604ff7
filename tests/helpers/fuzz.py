"""Valid inputs, spoilt at random: whatever reads them either reads them or refuses them in words.

`PARSERS` are those that take what comes from outside: patterns of file names, tables, params.yaml, TIFFs, archives,
packs, model folders and uploads. An input is a deterministic function of the parser, the seed and its number.
"""

import functools
import io
import json
import shutil
import struct
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tifffile
import torch
from PIL import Image

from morphospace import params, registry, tables
from morphospace.datasets import _archive, _colour, _download, _metadata, folder
from morphospace.errors import MorphospaceError
from morphospace.imaging import inputs, packs, tiff
from morphospace.training import embedding

ROOT = Path(__file__).resolve().parents[2]
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MARKS = b"""| , ; " ' .. ../ / null NaN inf -1 1e999 1,000 0x10 yes =1+1 A1 a01 r01c01 { } [ ] # *a ) * + $"""
_WORDS = [
    *_MARKS.split(), b"", b" ", b"\t", b"\n", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc3\x28", b"- ", b": ",
    b"&a ", b"<<: *a", b"Plate", b"Well", b"Compound", b"(?P<", b"(?P<well>", b"\\d", b"\xe2\x82\xac" * 50,
    b"!!python/object/apply:os.getcwd []",
]  # fmt: skip


class Parser(NamedTuple):
    """What reads an input from outside."""

    name: str
    examples: Callable[[], Sequence[bytes]]  # valid ones, to be spoilt
    read: Callable[[bytes, Path], Any]  # of the input, and of a folder that is its own
    made: Callable[[np.random.Generator], bytes] | None = None  # inputs whose sums are right and whose content is odd


@dataclass
class Outcome:
    """What became of the inputs of a parser."""

    read: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class BrokenError(AssertionError):
    """An input was neither read nor refused in words."""


def spoilt(examples: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Return one of the examples with one to six changes."""
    data = bytearray(examples[rng.integers(len(examples))])
    for _ in range(rng.integers(1, 7)):
        at, to = sorted(int(i) for i in rng.integers(0, len(data) + 1, 2))
        match rng.integers(8):
            case 0 if data:  # a bit
                data[at % len(data)] ^= 1 << int(rng.integers(8))
            case 1 if data:  # a byte
                data[at % len(data)] = int(rng.integers(256))
            case 2:  # a number that stands at a limit
                form = ("<I", ">I", "<H", ">H", "B")[rng.integers(5)]
                value = int(_NUMBERS[rng.integers(len(_NUMBERS))]) & (256 ** struct.calcsize(form) - 1)
                data[at : at + struct.calcsize(form)] = struct.pack(form, value)
            case 3:  # the end is missing
                del data[to:]
            case 4:  # a part is missing
                del data[at : min(to, at + 64)]
            case 5:  # a part is there twice
                data[at:at] = data[at : min(to, at + 64)]
            case 6:  # a part of another
                other = examples[rng.integers(len(examples))]
                data[at : min(to, at + 64)] = other[at : at + int(rng.integers(1, 64))]
            case _:  # a word
                data[at:at] = _WORDS[rng.integers(len(_WORDS))]
    return bytes(data)


def fuzz(parser: Parser, count: int, seed: int, folder: Path) -> Outcome:
    """Give a parser `count` spoilt inputs; its folder is emptied before each.

    Raises
    ------
    BrokenError
        When it raises anything but a `MorphospaceError` of one line, with the input's number; the input is kept beside.
    """
    examples, outcome = parser.examples(), Outcome()
    for number in range(count):
        rng = np.random.default_rng([seed, *parser.name.encode(), number])
        data = parser.made(rng) if parser.made and number % 2 else spoilt(examples, rng)
        own = folder / "own"
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # what a library mumbles is for nobody
                parser.read(data, own)
            outcome.read += 1
        except MorphospaceError as error:
            outcome.refused += 1
            outcome.reasons[type(error).__name__] += 1
            if len(str(error)) > 4000 or not str(error).strip():
                raise BrokenError(f"{parser.name} {number}: refused in {len(str(error))} characters") from error
        except BaseException as error:
            (folder / f"{parser.name}-{number}").write_bytes(data)
            raise BrokenError(f"{parser.name} {number} of seed {seed}: {type(error).__name__}: {error}") from error
    return outcome


def _patterns() -> list[bytes]:
    return [
        folder.Options().pattern.encode(),
        rb"(?P<plate>[^/]+)/.*_(?P<well>[A-Z]+\d+)_s(?P<site>\d+)_w(?P<channel>\d)",
        rb"Channel(?P<channel>\d)-\d+-(?P<row>[A-H])-(?P<column>\d\d)",
        rb"r(?P<row>\d+)c(?P<column>\d+)f(?P<site>\d+)p01-ch(?P<channel>\d)",
    ]


def _odd_pattern(rng: np.random.Generator) -> bytes:
    pieces = [r"(?P<plate>[^/]+)", r"(?P<well>[A-P]\d{2})", r"(?P<row>[A-Z])", r"(?P<column>\d+)", r"(?P<site>\d+)"]
    pieces += [r"(?P<channel>\d)", r"(?P<channel>.)?", r"(?P<well>.*)", "/", ".*", "_", "_s", "$", "|", r"\.tif", "()"]
    return "".join(pieces[i] for i in rng.integers(len(pieces), size=rng.integers(2, 9))).encode()


def _read_pattern(data: bytes, own: Path) -> None:
    text = data.decode("utf-8", "replace")
    for name in ("P7/P7_B02_s1_w1.tif", "P7/P7_B02_s1_w2.tif", "P7/r02c03f01p01-ch1.tif", "Channel1-01-A-01.tif"):
        (own / name).parent.mkdir(exist_ok=True)
        (own / name).write_bytes(b"")
    options = {"pattern": text, "channels": ["DNA=1", "Actin=2"], "plate": "P7"}
    folder.index(own, **registry.validated(folder.Options, options, "folder.").model_dump())


def _tables() -> list[bytes]:
    return [
        b"Plate,Well,Compound,Concentration,MoA,PertType,Batch\nP7,B02,DMSO,0,,negcon,1\nP7,B03,taxol,0.3,x,trt,1\n",
        b'\xef\xbb\xbfPlate;Row;Column;Compound;Concentration\r\nP7;B;2;DMSO;0\r\nP7;2;3;"taxol; 2";0,3\r\n',
        b"Metadata_Plate\tMetadata_Well\tMetadata_Site\tMetadata_Compound\n0012\ta1\t01\tDMSO\n0012\tr01c02\t1\tNA\n",
    ]


def _read_table(data: bytes, own: Path) -> None:
    (own / "metadata.csv").write_bytes(data)
    _metadata.read_table(own / "metadata.csv")


def _params() -> list[bytes]:
    return [(ROOT / "params.yaml").read_bytes()]


def _read_params(data: bytes, own: Path) -> None:
    (own / "params.yaml").write_bytes(data)
    params.load(own / "params.yaml")


def _tiffs() -> list[bytes]:
    pixels = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 16
    kinds: list[dict[str, Any]] = [
        {"compression": None},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw", "rowsperstrip": 5},
        {"tile": (16, 16), "bigtiff": True},
        {"byteorder": ">", "description": "x" * 40},
        {"imagej": True},
    ]
    found = [_tiff(pixels, **kind) for kind in kinds]
    colour = np.dstack([pixels, pixels, pixels]).astype(np.uint8)
    found += [_tiff(np.stack([pixels, pixels])), _tiff(colour, photometric="rgb"), _tiff(pixels.astype(np.float32))]
    return found


def _tiff(pixels: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **({"photometric": "minisblack"} | how))
    return buffer.getvalue()


def _read_tiff(data: bytes, own: Path) -> None:
    """Whatever `inspect` does not refuse, `read` returns as it says."""
    path = own / "a.tif"
    path.write_bytes(data)
    found = tiff.inspect(path)
    if found.reason:
        tiff.read(path)
        raise BrokenError(f"read what inspect refused: {found.detail}")
    pixels = tiff.read(path)
    assert pixels.shape == (found.height, found.width)
    assert int(pixels.max()) == found.maximum


def _read_colour(data: bytes, own: Path) -> None:
    (own / "a.tif").write_bytes(data)
    _colour.read(own / "a.tif")


def _archives() -> list[bytes]:
    image, found = _tiffs()[0], []
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            for name in ("Week1/a_w1.tif", "Week1/a_w2.tif", "Week1/notes.txt"):
                archive.writestr(name, image)
        found.append(buffer.getvalue())
    return found


def _odd_archive(rng: np.random.Generator) -> bytes:
    """A whole ZIP of images with names, kinds, sizes and contents that no instrument gives."""
    names = [
        "a_w1.tif",
        "x/a_w1.tif",
        "../a.tif",
        "/a.tif",
        "C:\\a.tif",
        "a.tif/",
        "b.tif",
        "__MACOSX/a.tif",
        "",
        " .tif",
        "\u00e9.tif",
    ]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile's, of a name that is there twice
        for _ in range(rng.integers(0, 5)):
            info = zipfile.ZipInfo(names[rng.integers(len(names))] or "_")
            info.external_attr = int(rng.choice([0, 0o644 << 16, 0o120777 << 16, 0o10644 << 16]))
            info.compress_type = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
            content = spoilt(_tiffs()[:2], rng) if rng.random() < 0.7 else bytes(int(rng.integers(0, 2_000_000)))
            archive.writestr(info, content)
    return buffer.getvalue()


def _read_archive(data: bytes, own: Path) -> None:
    (own / "a.zip").write_bytes(data)
    _download.check_zip(own / "a.zip")
    _archive.extract_images(own / "a.zip", own / "out", lambda name: True)
    assert not [p for p in own.rglob("*") if p.is_file() and not p.is_relative_to(own / "out") and p.name != "a.zip"]


def _packs() -> list[bytes]:
    tile = packs.encode_tile(np.arange(3 * 16 * 16, dtype=np.uint8).reshape(3, 16, 16))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("P1_A01_1_1.png", "P1_A01_1_2.png"):
            archive.writestr(name, tile)
    return [buffer.getvalue()]


def _odd_pack(rng: np.random.Generator) -> bytes:
    tile = packs.encode_tile(np.arange(3 * 16 * 16, dtype=np.uint8).reshape(3, 16, 16))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for number in range(rng.integers(0, 4)):
            archive.writestr(f"P1_A01_1_{number}.png", tile if rng.random() < 0.3 else spoilt([tile], rng))
    return buffer.getvalue()


def _read_pack(data: bytes, own: Path) -> None:
    (own / "P1.zip").write_bytes(data)
    for _, content in packs.members(own / "P1.zip"):
        packs.decode_tile(content, 3)


_CARD = embedding.Card(
    model="conv_vae", channels=["A", "B"], size=32, z_dim=2, channel_mode="joint",
    options={"output_activation": "linear", "max_logvar": 10.0, "batch_norm": False, "dropout": 0.0},
    r_loss_factor=1.0, best_epoch=1, epochs=1, fingerprint="x",
)  # fmt: skip


@functools.cache
def _model_files() -> tuple[bytes, bytes]:
    """The card and the weights of a small model."""
    with tempfile.TemporaryDirectory() as name:
        torch.manual_seed(0)
        embedding.save_model(Path(name), embedding.build(_CARD).state_dict(), _CARD)
        return (Path(name) / "model.json").read_bytes(), (Path(name) / "model.safetensors").read_bytes()


def _odd_model(rng: np.random.Generator) -> bytes:
    """A card with one value that is another, beside the right weights."""
    card = json.loads(_model_files()[0])
    values = [None, -1, 0, 1, 2, 10**9, 10**30, 0.5, 1e308, "", "conv_vae", "../x", "__init__", [], ["A"], {}, True]
    key = list(card)[rng.integers(len(card))]
    if key == "options" and rng.random() < 0.8:
        inner = list(card[key])[rng.integers(len(card[key]))]
        card[key][inner] = values[rng.integers(len(values))]
    elif rng.random() < 0.1:
        del card[key]
    else:
        card[key] = values[rng.integers(len(values))]
    return json.dumps(card).encode()


def _read_model(data: bytes, own: Path) -> None:
    """An input that still begins as a card stands beside the right weights, any other beside the right card."""
    card, weights = _model_files()
    card, weights = (data, weights) if data[:1] == b"{" else (card, data)
    (own / "model.json").write_bytes(card)
    (own / "model.safetensors").write_bytes(weights)
    embedding.load_model(own)


def _uploads() -> list[bytes]:
    found = []
    for mode, size in (("RGB", (16, 16)), ("L", (16, 16)), ("RGB", (8, 12)), ("P", (8, 8)), ("RGBA", (8, 8))):
        buffer = io.BytesIO()
        Image.new(mode, size, 7).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return [*found, _tiffs()[0]]


def _read_upload(data: bytes, own: Path) -> None:
    inputs.picture(data, ["A", "B", "C"], 16)


def _cells() -> list[bytes]:
    table = pd.DataFrame({"Metadata_Plate": ["P1", "P1"], "Metadata_Well": ["A01", "A02"], "Cells_Latent_1": [0.5, 1]})
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return [buffer.getvalue()]


def _read_cells(data: bytes, own: Path) -> None:
    (own / "a.parquet").write_bytes(data)
    tables.read_parquet(own / "a.parquet", "embed")


PARSERS = [
    Parser("patterns", _patterns, _read_pattern, _odd_pattern),
    Parser("tables", _tables, _read_table),
    Parser("params", _params, _read_params),
    Parser("TIFFs", _tiffs, _read_tiff),
    Parser("colour TIFFs", _tiffs, _read_colour),
    Parser("archives", _archives, _read_archive, _odd_archive),
    Parser("packs", _packs, _read_pack, _odd_pack),
    Parser("model folders", _model_files, _read_model, _odd_model),
    Parser("uploads", _uploads, _read_upload),
    Parser("Parquet tables", _cells, _read_cells),
]
