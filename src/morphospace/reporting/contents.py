"""The sections of the report, from metrics and tables; whatever was not measured is said to be so."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from morphospace.reporting import captions, costs, moa_scores, profile_cards, quality_cards, scores, stale
from morphospace.reporting.page import NOT_MEASURED, Block, Code, Items, Page, Section, Table, Text, number
from morphospace.words import count

SHOWN_DROPPED = 12  # rows of dropped.csv
SHOWN_EPOCHS = 12
SHOWN_NUMBERS = 40
_BOTH = {"latent", "similarity", "budget", "profile", "moa", "dose", "interpret"}
_METRICS = {"index", "segment", "validate", "synthesize", "split", "train"} | _BOTH
_FOLDERS = {"illumination", "segmentation", "crops", "training"} | _BOTH


@dataclass(frozen=True)
class Inputs:
    """All that the report is made of.

    Attributes
    ----------
    metrics
        JSON files by name: ``index``, ``segment``, ``similarity``, ...
    tables
        CSV files by name: ``dropped``, ``similarity``, ``budget``, ``dose``, ``history``.
    pictures
        PNG files by the name of their folder.
    facts
        What was run: name and value.
    commands
        How to do it again.
    currency
        Of the prices.
    """

    metrics: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    pictures: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    facts: Sequence[tuple[str, Any]] = ()
    commands: str = ""
    currency: str = "EUR"


def build(inputs: Inputs, dataset: str, model: str) -> Page:
    """Return the report: the verdict, what was run, the pictures and numbers in the order of the pipeline, the cost."""
    similarity = inputs.metrics.get("similarity")
    sections = [
        Section("Similarity", _similarity(inputs, model)),
        Section("What was run", [_facts("Data, model and machine", inputs.facts)]),
        Section("From images to cells", _funnel(inputs)),
        Section("Illumination", _shown(inputs, "illumination")),
        Section("Segmentation", _segmentation(inputs)),
        Section("Cells", [*_measured(inputs, "synthesize"), *_shown(inputs, "crops")]),
        Section("Split", _split(inputs.metrics.get("split"))),
        Section("Training", _training(inputs)),
        Section("Latent space", [*_measured(inputs, "latent"), *_shown(inputs, "latent")]),
        *_asked(inputs),
        Section(
            "Cost",
            costs.blocks(
                inputs.metrics.get("budget"), inputs.tables.get("budget"), inputs.currency, _shown(inputs, "budget")
            ),
        ),
        *_others(inputs),
        Section("How to do it again", [Code(inputs.commands or f"# {NOT_MEASURED}")]),
    ]
    return Page(
        title=stale.title(model, dataset),
        verdict=f"On {dataset}: {scores.headline(similarity, model)}",
        summary=scores.summary(similarity),
        sections=sections,
        footer="Made by morphospace from the files of this run alone; equal files give an equal page.",
    )


def _similarity(inputs: Inputs, model: str) -> list[Block]:
    """Return the fair picture first, then the scores beside their floors, then the other pictures."""
    pictures = _shown(inputs, "similarity")
    scored = scores.blocks(inputs.metrics.get("similarity"), inputs.tables.get("similarity"), model)
    return [*pictures[:1], *scored, *pictures[1:]]


def _asked(inputs: Inputs) -> list[Section]:
    """Return what the embedding and its profiles were asked."""
    meaning, profile, moa, dose = (inputs.metrics.get(n) for n in ("interpret", "profile", "moa", "dose"))
    cards = [
        ("What the latents mean", profile_cards.meaning(meaning), "interpret"),
        ("Profiles", profile_cards.profiles(profile), "profile"),
        ("Mechanisms of action", moa_scores.blocks(moa), "moa"),
        ("Dose and response", profile_cards.dose(dose, inputs.tables.get("dose")), "dose"),
    ]
    return [Section(title, [*card, *_shown(inputs, folder)]) for title, card, folder in cards]


def _others(inputs: Inputs) -> list[Section]:
    """Return what no other section shows, so that a new stage is seen before this file knows it."""
    found: list[Block] = []
    for name in sorted(set(inputs.metrics) - _METRICS):
        found += _measured(inputs, name)
    for folder in sorted(set(inputs.pictures) - _FOLDERS):
        found += _shown(inputs, folder)
    return [Section("Other results", found)] if found else []


def _facts(caption: str, facts: Sequence[tuple[str, Any]]) -> Table:
    return Table(caption, ["", "value"], [[name, number(value)] for name, value in facts])


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested metrics as names in words and values; a list becomes one value.

    Names of our own are lower case; others, of plates and channels, are left as they are.
    """
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = prefix + (str(key).replace("_", " ") if str(key).islower() else str(key))
        if isinstance(value, Mapping):
            found += flat(value, f"{name}, ") if value else [(name, "none")]
        elif isinstance(value, list):
            found.append((name, ", ".join(map(number, value)) or "none"))
        else:
            found.append((name, value))
    return found


def _measured(inputs: Inputs, name: str, elsewhere: Collection[str] = ()) -> list[Block]:
    """Return the numbers of a metrics file as a table, without those that are shown elsewhere."""
    values = {key: value for key, value in (inputs.metrics.get(name) or {}).items() if key not in elsewhere}
    if not values:
        return [Text(f"{name.capitalize()}: {NOT_MEASURED}.")]
    rows = flat(values)
    caption = f"Numbers of the stage {name}"
    if len(rows) > SHOWN_NUMBERS:
        caption += f": the first {SHOWN_NUMBERS} of {len(rows)}, all are in {name}.json"
    return [_facts(caption, rows[:SHOWN_NUMBERS])]


def _shown(inputs: Inputs, folder: str) -> list[Block]:
    paths = inputs.pictures.get(folder, ())
    if not paths:
        return [Text(f"Pictures of {folder}: none was made.")]
    found: list[Block] = [*captions.pictures(paths)]
    if len(paths) > len(found):
        found.append(Text(f"{len(paths) - len(found)} more are in the folder {folder}."))
    return found


def _funnel(inputs: Inputs) -> list[Block]:
    """Return how many image sets and cells each step kept, and what was dropped and why."""
    index, segment, synthesize, split = (
        inputs.metrics.get(n) or {} for n in ("index", "segment", "synthesize", "split")
    )
    cells = split.get("cells") or {}
    chunked = "stride" in synthesize
    noun = "chunks" if chunked else "cells"
    steps = [
        ("image sets found", index.get("fields_found")),
        ("image sets usable", index.get("image_sets")),
        ("image sets segmented", _difference(segment.get("image_sets"), segment.get("failed"))),
        (f"{noun} found", (synthesize if chunked else segment).get("cells")),
        (f"{noun} kept" if chunked else "cells that fit the tile", synthesize.get("kept")),
        *((f"{noun} for {name}", count) for name, count in cells.items()),
    ]
    most = {"image": _most(steps, "image"), noun: _most(steps, noun)}
    bars = [float(value or 0) / most[name.split()[0]] for name, value in steps]
    found: list[Block] = [Table("What each step kept", ["step", "count"], [[n, number(v)] for n, v in steps], bars)]
    reasons = {
        **{f"image set: {k}": v for k, v in (index.get("dropped_by_reason") or {}).items()},
        **{f"not used: {k}": v for k, v in (index.get("not_used") or {}).items()},
        "image set: the engine failed": segment.get("failed"),
        "cell: larger than the tile": synthesize.get("too_large", 0 if "near_edge" in synthesize else None),
        "cell: nucleus near the edge": synthesize.get("near_edge", 0),
        "cell: empty": synthesize.get("empty"),
        "field: smaller than the tile": synthesize.get("too_small", 0),
        **{f"tile: too {end}": synthesize.get(f"too_{end}", 0) for end in ("dark", "bright")},
    }
    counted = [[name, number(value)] for name, value in reasons.items() if value != 0]
    found.append(
        Table("What was dropped, and why", ["reason", "count"], counted) if counted else Text("Nothing was dropped.")
    )
    return [*found, *_dropped(inputs.tables.get("dropped"))]


def _difference(whole: Any, part: Any) -> Any:
    return None if whole is None or part is None else whole - part


def _most(steps: Sequence[tuple[str, Any]], kind: str) -> float:
    return float(max([value or 0 for name, value in steps if name.startswith(kind)] + [1]))


def _dropped(table: pd.DataFrame | None) -> list[Block]:
    if table is None or table.empty:
        return []
    shown = table.head(SHOWN_DROPPED)
    caption = f"The first {len(shown)} of {count(len(table), 'row')} of dropped.csv"
    return [Table(caption, [str(c) for c in table.columns], [[_cell(v) for v in row] for row in shown.to_numpy()])]


def _cell(value: Any) -> str:
    text = number(value) if not isinstance(value, str) else value
    return text if len(text) <= 300 else text[:299] + "…"


def _segmentation(inputs: Inputs) -> list[Block]:
    segment = inputs.metrics.get("segment") or {}
    found = [*quality_cards.stains(segment.get("stains")), *quality_cards.doubts(segment.get("fields"))]
    found += _measured(inputs, "segment", {"stains", "fields"})
    values = inputs.metrics.get("validate")
    if values:
        plain = {key: value for key, value in values.items() if key != "scores"}
        found.append(_facts("Agreement of the engines on the same fields", flat(plain)))
        found += _against_truth(values.get("scores") or {})
    else:
        found.append(Text(f"Agreement of the engines, and with the truth: {NOT_MEASURED}."))
    return [*found, *_shown(inputs, "segmentation")]


def _against_truth(scores: Mapping[str, Any]) -> list[Block]:
    """Return precision, recall and F1 of each engine, a row an engine and kind of object."""
    rows = {f"{engine}, {kind}": found for engine, kinds in scores.items() for kind, found in kinds.items()}
    if not rows:
        return [Text(f"Agreement with the truth: {NOT_MEASURED}; there is none for these images.")]
    names = list(dict.fromkeys(name for found in rows.values() for name in found))
    caption = (
        "Against the truth: an object is found when it overlaps its partner by at least this IoU, in per cent. The "
        "engine `plain` is the baseline that the others should beat"
    )
    head = ["", *(name.replace("_", " ").capitalize() for name in names)]
    return [Table(caption, head, [[row, *(number(found.get(n), 3) for n in names)] for row, found in rows.items()])]


def _split(certificate: Mapping[str, Any] | None) -> list[Block]:
    """Return the certificate: which groups stand on one side only (001-03)."""
    if not certificate:
        return [Text(f"Certificate of the split: {NOT_MEASURED}.")]
    rows = [
        [name, number(level.get("disjoint")), number(level.get("shared"))]
        for name, level in (certificate.get("levels") or {}).items()
    ]
    by = certificate.get("by")
    found: list[Block] = [
        Text(
            f"Cells were divided by {by}: no {by} has cells on two sides. Where a level below is not apart, train and "
            "test share some of its groups, so the result says nothing about new ones."
        ),
        Table("Certificate of the split", ["level", "apart", "groups on two sides"], rows),
    ]
    counts = [
        (f"{kind}, {side}", n) for kind in ("groups", "cells") for side, n in (certificate.get(kind) or {}).items()
    ]
    found.append(_facts("Groups and cells on each side", counts))
    notes = [str(note) for note in certificate.get("notes") or ()]
    return [*found, Items(notes)] if notes else found


def _training(inputs: Inputs) -> list[Block]:
    found = [*_measured(inputs, "train"), *_shown(inputs, "training")]
    history = inputs.tables.get("history")
    if history is None or history.empty:
        return [*found, Text(f"Loss by epoch: {NOT_MEASURED}.")]
    picked = sorted({round(i * (len(history) - 1) / (SHOWN_EPOCHS - 1)) for i in range(SHOWN_EPOCHS)})
    rows = [[_cell(v) for v in history.iloc[i]] for i in picked]
    caption = (
        "Loss by epoch" if len(picked) == len(history) else f"Loss by epoch, {len(picked)} of {len(history)} shown"
    )
    return [*found, Table(caption, [str(c).replace("_", " ") for c in history.columns], rows)]
