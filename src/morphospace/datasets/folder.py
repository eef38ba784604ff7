"""Any tree of TIFFs or colour images: a pattern tells plate, well, site, channel of each path, a CSV the rest.

A file is one channel where the pattern has a group `channel`. Where it has none, a file is a colour image, whose red,
green and blue plane are the channels; `fetch` writes each as a grey TIFF, so that all later stages see one file a
channel.
"""

import errno
import fcntl
import logging
import os
import re
import shutil
import stat
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field, field_validator, model_validator
from rich.console import Console
from rich.progress import track

from morphospace import options, places, schema, tables, wells
from morphospace.datasets import _colour, _metadata
from morphospace.errors import InputError

logger = logging.getLogger(__name__)

LICENCE = "that of the images in your folder, which morphospace does not know"
METADATA_CSV = "metadata.csv"  # the copy of the user's table beside the images
LEFT_OUT_CSV = "left_out.csv"  # what is named as an image and could not be copied, for `index` to list
_SUFFIXES = {".tif", ".tiff"}
_JUNK = {"thumbs.db", "desktop.ini"}
_GROUPS = {"plate", "well", "row", "column", "site", "channel"}
_CLONE = 0x40049409  # Linux ioctl FICLONE: share the blocks of another file
_PATTERN = r"(?P<plate>[^/]+)_(?P<well>[A-P]\d{2})_s(?P<site>\d+)_w(?P<channel>\d)"


class Options(options.Options):
    """Where the images are, and how to read their names."""

    root: options.UserPath = ""
    pattern: str = _PATTERN
    channels: list[str] = Field(default_factory=lambda: ["Actin=4", "Tubulin=2", "DNA=1"])
    plate: str = ""
    metadata: options.UserPath = ""

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, pattern: str) -> str:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", FutureWarning)
                groups = set(re.compile(pattern).groupindex)
        except (re.error, FutureWarning, RecursionError, OverflowError) as error:
            raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
        if groups - _GROUPS:
            raise ValueError(f"has the groups {sorted(groups - _GROUPS)}; allowed are {sorted(_GROUPS)}")
        return pattern

    @field_validator("channels")
    @classmethod
    def _are_channels(cls, channels: list[str]) -> list[str]:
        for channel in channels:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*=.+", channel):
                raise ValueError(f"{channel!r} is not NAME=TEXT, a name of letters and digits and what the files say")
        names, texts = zip(*(c.split("=", 1) for c in channels), strict=True) if channels else ((), ())
        if not channels or len(set(names)) < len(names) or len(set(texts)) < len(texts):
            raise ValueError("channels need at least one, and another name and another text for each")
        return channels

    @model_validator(mode="after")
    def _can_name_images(self) -> "Options":
        groups = set(re.compile(self.pattern).groupindex)
        has_well = groups >= {"well"} or groups >= {"row", "column"}
        if not self.colour and not has_well:
            raise ValueError(
                "pattern needs the groups (?P<channel>…) and (?P<well>…), or (?P<row>…) and (?P<column>…) for a well"
            )
        if self.colour and not set(self.texts.values()) <= set(_colour.LETTERS):
            raise ValueError(
                "pattern needs the groups (?P<channel>…) and (?P<well>…); or, when the files are colour images, "
                f"channels of R, G and B: channels=[Red=R, Green=G, Blue=B], not {self.channels}"
            )
        if self.colour and not has_well and "site" not in groups:
            raise ValueError("pattern needs (?P<well>…) or (?P<site>…), or all images would be one")
        return self

    @property
    def part(self) -> str:
        """The last two folders of the root: many are called ``images``."""
        return "/".join(part for part in Path(self.root).parts[-2:] if part != "/")

    @property
    def colour(self) -> bool:
        """Whether a file is a colour image, whose planes are the channels."""
        return "channel" not in re.compile(self.pattern).groupindex

    @property
    def texts(self) -> dict[str, str]:
        """What the pattern's group `channel` reads for each channel, in order."""
        return dict(c.split("=", 1) for c in self.channels)


def fetch(target: Path, seed: int, **values: Any) -> None:
    """Copy the images, and the table of metadata, into an empty folder; links and hidden files are left out.

    Where the file system can, the copies share the blocks of the originals. A colour image becomes a folder of its
    name with a TIFF a plane; one that cannot be read is copied as it is, for `index` to name.

    Parameters
    ----------
    target
        Gets the images below ``root`` at the same relative paths, and ``metadata.csv``.
    seed
        Not used: nothing is left to chance.
    **values
        Of `Options`.

    Raises
    ------
    InputError
        When the folder is missing, has no image, none matches or is in colour, or does not fit the disk.
    """
    chosen = Options(**values)
    if not chosen.root:
        raise InputError("folder.root is empty; name the folder with your images, -S folder.root=path")
    root = places.of_user(chosen.root).resolve()
    if not root.is_dir():
        raise InputError(f"folder.root {root} is not a folder; correct it in params.yaml")
    table = places.of_user(chosen.metadata)
    if chosen.metadata:  # refused now rather than after all is copied
        _metadata.canonical(_metadata.read_table(table), table.name)
    found, left = _images(root, chosen.colour)
    _require_match(root, found, chosen.pattern)
    planes = {name for name in found if chosen.colour and re.search(chosen.pattern, name)}
    need = sum(_colour.weight(root / name) if name in planes else (root / name).stat().st_size for name in found)
    free = shutil.disk_usage(target).free
    if need > free:
        raise InputError(f"{root} holds {need:,} bytes of images and {target.parent} has {free:,} free; make room")
    refused = 0
    for name in track(found, "Copying images", console=Console(stderr=True), transient=True):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if name in planes:
            refused += not _unpacked(root / name, target / name, chosen.texts.values())
        else:
            _copy(root / name, target / name)
    if planes and refused == len(planes):
        raise InputError(f"no file of {root} that folder.pattern matches is a colour image; see the lines above")
    if left:
        tables.write_csv(pd.DataFrame(left, columns=tables.DROPPED), target / LEFT_OUT_CSV)
    if chosen.metadata:
        # A fixed name; read_table unpacks by suffix.
        shutil.copyfile(table, target / (METADATA_CSV + (".gz" if table.suffix == ".gz" else "")))


def index(raw: Path, **values: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the image sets found by the pattern, and the files that are none of them.

    Raises
    ------
    InputError
        When nothing matches, two files are the same channel of the same site, or the metadata match no image set.
    """
    chosen = Options(**values)
    found, left = _images(raw, chosen.colour)
    files = [_colour.packed(file) if chosen.colour else (file, "") for file in found]
    _require_match(raw, [source for source, _ in files], chosen.pattern)
    sets: dict[tuple[str, str, str], dict[str, str]] = {}
    dropped = _left_out(raw) + left
    names = {text: name for name, text in chosen.texts.items()}
    for file, (source, plane) in zip(found, files, strict=True):
        match = re.search(chosen.pattern, source)
        if match is None:
            dropped.append((file, "no_match", "folder.pattern does not match"))
        elif chosen.colour and not plane:
            dropped.append((file, *_refused(raw / file)))
            if dropped[-1][1] == "damaged":  # an image set without files, which counts as dropped
                sets.setdefault(_key(match, source, chosen), {})
        elif (channel := plane or match["channel"]) not in names:
            dropped.append((file, "other_channel", f"channel {channel!r} is not in folder.channels"))
        else:
            key = _key(match, source, chosen)
            of_set = sets.setdefault(key, {})
            if names[channel] in of_set:
                both = f"{of_set[names[channel]]} and {file} are both {names[channel]} of {', '.join(key)}"
                raise InputError(f"{both}; narrow folder.pattern, or take one away")
            of_set[names[channel]] = file
    if not sets:
        said = ", ".join(repr(d[2]) for d in dropped[:1])
        raise InputError(f"no file of {raw} has a channel of folder.channels ({said}); correct the texts there")
    _warn_of_unused(dropped, len({source for source, _ in files}), "images" if chosen.colour else "TIFFs")
    table = _table(sets, list(chosen.texts))
    metadata = next((raw / n for n in (METADATA_CSV, METADATA_CSV + ".gz") if (raw / n).is_file()), None)
    if metadata is not None:
        table, unused = _metadata.join(table, metadata)
        dropped += unused
    return table, _metadata.dropped(dropped)


def _images(root: Path, colour: bool) -> tuple[list[str], list[tuple[str, str, str]]]:
    """Return the relative paths of the images below a folder, sorted, and rows of what is named as one but left out."""
    images: list[str] = []
    left: dict[str, list[str]] = {}
    suffixes, kind = (_colour.SUFFIXES, "PNG or TIFF") if colour else (_SUFFIXES, "TIFF")
    for name in _walk(root, suffixes):
        path = root / name
        if what := _odd(root, path):
            left.setdefault(what, []).append(name)
        elif path.suffix.lower() in suffixes:
            images.append(name)
        elif path.name not in (METADATA_CSV, METADATA_CSV + ".gz", LEFT_OUT_CSV):
            left.setdefault(f"files that are not {kind}", []).append(name)
    for what, names in left.items():
        logger.warning("%s: left out %d %s (first: %s)", root, len(names), what, names[0])
    if not images:
        raise InputError(f"{root} has no {' or '.join(sorted(suffixes))} file; correct folder.root")
    odd = [(n, "left_out", f"was left out with {w}") for w, names in left.items() for n in names]
    return images, sorted(row for row in odd if Path(row[0]).suffix.lower() in suffixes)


def _left_out(raw: Path) -> list[tuple[str, str, str]]:
    """Return what `fetch` could not copy, as rows of what was dropped."""
    path = raw / LEFT_OUT_CSV
    if not path.is_file():
        return []
    table = tables.read_csv(path, stage="fetch")
    return [(str(source), str(reason), str(detail)) for source, reason, detail in table[tables.DROPPED].to_numpy()]


def _odd(root: Path, path: Path) -> str:
    """Return what a thing in a folder is that cannot be copied as a file, or is hidden; '' of one that is copied."""
    if path.name.startswith("."):
        return "hidden folders" if path.is_dir() else "hidden files"
    try:
        if path.is_symlink() and not tables.is_inside(root, path):
            return "links that leave the folder"
        kind = path.stat().st_mode
    except (FileNotFoundError, RuntimeError):  # a circle is a RuntimeError in Python 3.11 and 3.12
        return "links that lead nowhere"
    except OSError as error:
        circle = error.errno == errno.ELOOP
        return "links that lead nowhere" if circle else "files that cannot be read"
    if stat.S_ISDIR(kind):  # a link to a folder within: its files are met on their own way
        return "links to folders"
    if not stat.S_ISREG(kind):
        return "named pipes, sockets or devices"
    return "" if os.access(path, os.R_OK) else "files that cannot be read"


def _walk(root: Path, suffixes: Iterable[str]) -> Iterator[str]:
    """Yield relative paths of files, sorted, without what desktops leave behind; of what is hidden, folders, images."""
    for folder, inside, names in os.walk(root):
        links = [d for d in inside if (Path(folder) / d).is_symlink()]
        hidden = [d for d in inside if d.startswith(".")]
        inside[:] = sorted(d for d in inside if d not in hidden and d not in links and d != "__MACOSX")
        for name in sorted({*names, *links, *hidden}):
            image = Path(name).suffix.lower() in suffixes and not name.startswith("._")  # ._: a Mac's note on a file
            if (not name.startswith(".") or name in hidden or image) and name.lower() not in _JUNK:
                yield (Path(folder) / name).relative_to(root).as_posix()


def _warn_of_unused(dropped: list[tuple[str, str, str]], images: int, kind: str) -> None:
    """Say in one line a reason how many images are of no image set, with the first of each."""
    for reason, said in (
        ("no_match", "folder.pattern does not match"),
        ("other_channel", "folder.channels does not name the channel of"),
        ("not_colour", "no colour images:"),
    ):
        sources = list(dict.fromkeys(_colour.packed(file)[0] for file, why, _ in dropped if why == reason))
        if sources:
            logger.warning("%s %d of %d %s (first: %s)", said, len(sources), images, kind, sources[0])


def _require_match(root: Path, found: list[str], pattern: str) -> None:
    if not any(re.search(pattern, name) for name in found):
        raise InputError(f"folder.pattern matches none of {len(found)} files in {root}, as {found[0]!r}; correct it")


def _unpacked(source: Path, target: Path, letters: Iterable[str]) -> bool:
    """Write the planes of a colour image; what cannot be read is named and copied as it is."""
    try:
        _colour.unpack(source, target, letters)
    except InputError as error:
        logger.warning("%s", error)
        _copy(source, target)
        return False
    return True


def _refused(path: Path) -> tuple[str, str]:
    """Return in a word and in a sentence why an image of the raw folder was not written as planes."""
    try:
        _colour.read(path)
    except _colour.NotColourError as error:
        return "not_colour", str(error)
    except InputError as error:
        return "damaged", str(error)
    return "not_colour", f"{path} was fetched with another folder.pattern; run `dvc repro -f fetch`"


def _copy(source: Path, target: Path) -> None:
    """Copy a file's content, sharing its blocks where the file system can."""
    with source.open("rb") as old, target.open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _CLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 1 << 20)


def _key(match: "re.Match[str]", file: str, chosen: Options) -> tuple[str, str, str]:
    """Return plate, well and site of a file; an image without a well, as a slide, is a well of its own."""
    groups = {name: text for name, text in match.groupdict().items() if text}
    folder = Path(file).parent.name or places.of_user(chosen.root).resolve().name
    plate = groups.get("plate") or chosen.plate or folder
    site = groups.get("site", "1")
    well = wells.same(groups.get("well", ""))
    if not well and {"row", "column"} <= set(groups):
        try:
            well = wells.joined(groups["row"], groups["column"])
        except ValueError as error:
            raise InputError(f"{file}: {error}; correct folder.pattern, or read another name as (?P<well>…)") from None
    return plate, well or site, site


def _table(sets: dict[tuple[str, str, str], dict[str, str]], channels: list[str]) -> pd.DataFrame:
    """Return the image sets without metadata; a channel without a file has empty names."""
    rows = []
    for (plate, well, site), files in sorted(sets.items()):
        row: dict[str, Any] = dict.fromkeys(schema.METADATA, schema.UNKNOWN)
        row |= {schema.PLATE: plate, schema.WELL: well, schema.SITE: site, schema.BATCH: plate}
        row |= {schema.CONCENTRATION: float("nan"), schema.PERT_TYPE: schema.TREATED}
        for channel in channels:
            folder, _, name = files.get(channel, "").rpartition("/")
            row |= {schema.PATH_PREFIX + channel: folder, schema.FILE_PREFIX + channel: name}
        rows.append(row)
    return pd.DataFrame(rows)
