"""Which image sets are fit to be analysed: pure decisions over a table and what was found in its files."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from morphospace import files, schema, tables
from morphospace.imaging.tiff import Inspection

_SATURATED = 0.001  # share of an image's pixels at its highest value from which on it is flagged
_ALLOWED = "letters, digits, dot, dash and underscore only, at most 100, no '..'"
# What of the names of instruments may be read: `P7` of `P7 [1234]`, `12` of `Plate 12`.
_PARTS = {r"[\w.-]+": "(?P<plate>[A-Za-z0-9._-]+)[^/]*/", r"[\w.-]+$": "[^/]*?(?P<plate>[A-Za-z0-9._-]+)/"}


def refuse_names(image_sets: pd.DataFrame) -> pd.DataFrame:
    """Return reason and detail of the image sets that must not be opened, indexed as `image_sets`; '' where none.

    A plate, well or site becomes part of file names, so that it may not hold ``/`` or ``..``; a file must lie below
    the raw folder, and every channel must have one.
    """
    channels = schema.channels(image_sets)
    cure = _plate_cure(image_sets[schema.PLATE].unique())
    verdicts = [_refuse_name(row, channels, cure) for row in image_sets.to_dict("records")]
    return pd.DataFrame(verdicts, columns=["Reason", "Detail"], index=image_sets.index, dtype=str)


def _plate_cure(plates: Iterable[str]) -> str:
    """Return how to read safe names of plates, which stay as many as there are."""
    names = list(plates)
    other = "rename the folders" if len(names) > 1 else "leave it out and name the plate in folder.plate"
    for part, pattern in _PARTS.items():
        found = {match[0] for name in names if (match := re.search(part, name, re.ASCII))}
        if len(found) == len(names):
            return f", as {pattern}, or {other}"
    return f", or {other}"


def _refuse_name(row: dict[Any, Any], channels: list[str], plate_cure: str) -> tuple[str, str]:
    for column in schema.IMAGE_SET_KEY:
        if not files.is_safe_name(row[column]):
            kind = column.removeprefix("Metadata_").lower()
            cure = f"narrow the group `{kind}` of folder.pattern{plate_cure if column == schema.PLATE else ''}"
            return "unsafe_name", f"{kind} {row[column]!r}: {_ALLOWED}; {cure}"
    absent = [c for c in channels if not row[schema.FILE_PREFIX + c]]
    if absent:
        return "missing_channel", f"has no file for {', '.join(absent)}"
    for channel in channels:
        name = f"{row[schema.PATH_PREFIX + channel]}/{row[schema.FILE_PREFIX + channel]}"
        path = PurePosixPath(name.lstrip("/") if not row[schema.PATH_PREFIX + channel] else name)
        if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
            return "outside_root", f"{name!r} leaves the folder of the images"
    return "", ""


def collect(rows: Iterable[tuple[int, str, str, Inspection]]) -> pd.DataFrame:
    """Return one table of inspections.

    Parameters
    ----------
    rows
        For each image: the label of its image set's row, the channel, the file, what it is.

    Returns
    -------
    DataFrame
        Columns Row, Channel, File and the fields of `Inspection`.
    """
    data = [(row, channel, file, *found) for row, channel, file, found in rows]
    return pd.DataFrame(data, columns=["Row", "Channel", "File", *Inspection._fields])


def refuse_images(image_sets: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return reason and detail of the image sets whose images cannot be used, indexed as `image_sets`; '' where none.

    In order: a file that cannot be read; channels of unequal size; another size than most of the plate; another bit
    depth than most of the plate's images of that channel.

    Parameters
    ----------
    image_sets
        With unique index.
    found
        From `collect`: every channel of every row of `image_sets`.
    """
    verdicts = {row: _refuse_set(images) for row, images in found.groupby("Row", sort=False)}
    result = pd.DataFrame(
        [verdicts[row] for row in image_sets.index], columns=["Reason", "Detail"], index=image_sets.index, dtype=str
    )
    sound = found[found["Row"].map(result["Reason"]) == ""].copy()
    sound["Plate"] = sound["Row"].map(image_sets[schema.PLATE])
    sound["Size"] = sound["width"].astype(str) + " x " + sound["height"].astype(str)
    sound["Depth"] = sound["bits"].astype(str) + "-bit"
    for reason, column, by in (("other_size", "Size", ["Plate"]), ("other_bit_depth", "Depth", ["Plate", "Channel"])):
        sound["Usual"] = sound.groupby(by)[column].transform(lambda values: values.mode()[0])
        odd = sound[sound[column] != sound["Usual"]]
        for image in odd.drop_duplicates("Row").to_dict("records"):
            said = f"{image['File']} is {image[column]}, most of plate {image['Plate']} is {image['Usual']}"
            result.loc[image["Row"]] = [reason, said]
        sound = sound[~sound["Row"].isin(odd["Row"])].copy()
    return result


def _refuse_set(images: pd.DataFrame) -> tuple[str, str]:
    bad = images[images["reason"] != ""]
    if len(bad):
        first = bad.iloc[0]
        return str(first["reason"]), "; ".join(f"{b['File']} {b['detail']}" for b in bad.to_dict("records"))
    sizes = [f"{i['File']} {i['width']} x {i['height']}" for i in images.to_dict("records")]
    if len(images[["width", "height"]].drop_duplicates()) > 1:
        return "unequal_channels", "channels differ in size: " + ", ".join(sizes)
    return "", ""


def identical(image_sets: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return the images that are there more than once, pixel by pixel, whatever their compression.

    Images of one value are equal by nature, and are left out.

    Parameters
    ----------
    image_sets
        With unique index.
    found
        From `collect`, of these image sets.

    Returns
    -------
    DataFrame
        Columns of `tables.IDENTICAL`; at least two rows for each Picture, sorted by place.
    """
    varied = found[~found["constant"].astype(bool)]
    twice = varied[varied.duplicated("picture", keep=False)]
    places = image_sets.loc[twice["Row"], schema.IMAGE_SET_KEY].reset_index(drop=True)
    named = twice[["picture", "Channel", "File"]].rename(columns={"picture": "Picture"}).reset_index(drop=True)
    table = pd.concat([places, named], axis=1)[tables.IDENTICAL]
    return table.sort_values([*schema.IMAGE_SET_KEY, "Channel"], ignore_index=True)


def scales(image_sets: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return the channels of plates whose images of one depth state several values for white.

    Parameters
    ----------
    image_sets
        With unique index.
    found
        From `collect`, of these image sets.

    Returns
    -------
    DataFrame
        Columns Plate, Channel, bits, min and max (grey values).
    """
    placed = found.assign(Plate=found["Row"].map(image_sets[schema.PLATE]))
    whites = placed.groupby(["Plate", "Channel", "bits"])["white"].agg(["min", "max"]).reset_index()
    return whites[whites["min"] < whites["max"]].reset_index(drop=True)


def summarize(found: pd.DataFrame) -> dict[str, Any]:
    """Return bit depth and flags of the images in use.

    Parameters
    ----------
    found
        From `collect`, of the image sets that are kept.

    Returns
    -------
    dict
        ``stored_bits``; ``step``, the greatest common divisor of all grey values (16 for 12-bit data shifted by 4);
        ``effective_bits``, those that carry data; ``maximum``; ``saturated_images``, with more than 0.1 % of the
        pixels at the highest value; ``empty_images``, with one value everywhere.
    """
    steps = found["step"].to_numpy(dtype=np.int64)[~found["constant"].to_numpy(dtype=bool)]
    step = int(np.gcd.reduce(steps)) if len(steps) else 0
    maximum = int(found["maximum"].max())
    return {
        "height": int(found["height"].max()),
        "width": int(found["width"].max()),
        "stored_bits": int(found["bits"].max()),
        "step": step,
        "effective_bits": (maximum // step).bit_length() if step else 0,
        "maximum": maximum,
        "saturated_images": int((found["saturated"] > _SATURATED).sum()),
        "empty_images": int(found["constant"].sum()),
    }
