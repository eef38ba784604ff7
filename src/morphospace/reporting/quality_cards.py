"""What the report says of channels whose names look exchanged, and of fields whose segmentation is doubtful."""

from collections.abc import Mapping
from typing import Any

from morphospace.reporting.page import NOT_MEASURED, Block, Table, Text, number

_MEANING = {
    "cells_without_an_edge": "the cell stain is hardly brighter inside the cells than beyond them: an empty or wrong "
    "channel, or a threshold so low that cells are wedges of background",
    "nuclei_without_an_edge": "the nuclear stain is hardly brighter inside the nuclei than beyond them: a wrong "
    "channel, noise, or a field out of focus",
    "cells_end_at_their_nuclei": "half of the cells or more are no larger than their nuclei: an empty channel, the "
    "nuclear stain in place of the cell stain, or a threshold that is too high",
}
_VERDICTS = {
    "as_named": "as named",
    "look_swapped": "look exchanged",
    "unclear": "unclear",
    "too_few_nuclei": "too few",
}


def stains(found: Mapping[str, Any] | None) -> list[Block]:
    """Return on how many plates each pair of channels looks as it is named.

    Parameters
    ----------
    found
        ``stains`` of segment.json: by pair, the plates by verdict.
    """
    if found is None:
        return [Text(f"Whether channels look like the stains they are named after: {NOT_MEASURED}.")]
    if not found:
        return [
            Text(
                "Whether channels look like the stains they are named after was not judged: no channel is called DNA "
                "(DAPI, Hoechst), or none Actin (phalloidin) or Tubulin."
            )
        ]
    swapped = {pair: int(plates["look_swapped"]) for pair, plates in found.items() if plates["look_swapped"]}
    said = "No two channels look exchanged."
    if swapped:
        said = (
            "CHANNELS LOOK EXCHANGED: "
            + "; ".join(f"{pair} on {n} plates" for pair, n in swapped.items())
            + ". If the picture of the nuclei below agrees, exchange the two names in folder.channels of params.yaml, "
            "or in the table of images, and run everything again: all that follows has one for the other."
        )
    head = ["channels", "median (1 or more: as named)", *(f"plates {words}" for words in _VERDICTS.values())]
    rows = [
        [pair, number(plates["median"], 2), *(number(plates[verdict]) for verdict in _VERDICTS)]
        for pair, plates in found.items()
    ]
    marked = [i for i, pair in enumerate(found) if pair in swapped]
    caption = (
        "Whether channels look like the stains they are named after: nuclei, tubulin round them, actin further out"
    )
    return [Text(said), Table(caption, head, rows, marked=marked)]


def doubts(found: Mapping[str, Any] | None) -> list[Block]:
    """Return how many fields have outlines that the stains do not have, and what that means.

    Parameters
    ----------
    found
        ``fields`` of segment.json: how many were examined, and how many are doubtful, by doubt and by plate.
    """
    if not found or not found["examined"]:
        return [Text(f"Fields whose segmentation is doubtful: {NOT_MEASURED}.")]
    examined, doubtful = int(found["examined"]), int(found["doubtful"])
    if not doubtful:
        return [Text(f"The outlines of all {examined:,} fields are where the stains have edges: none is doubtful.")]
    plates = found["plates"]
    most = sorted(plates, key=lambda plate: -plates[plate])[:3]
    said = (
        f"THE SEGMENTATION OF {doubtful:,} OF {examined:,} FIELDS IS DOUBTFUL, most of them on "
        + ", ".join(f"{plate} ({plates[plate]})" for plate in most)
        + ". Their cells were not dropped; data/objects/fields.csv names the fields."
    )
    rows = [[name.replace("_", " "), number(n), _MEANING.get(name, "")] for name, n in found["doubts"].items()]
    return [
        Text(said),
        Table("Doubtful fields; a field may have several doubts", ["doubt", "fields", "what it means"], rows),
    ]
