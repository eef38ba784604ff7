"""What the stage ``synthesize`` tells of its tiles: counts, and pictures."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphospace import files, params, schema
from morphospace.imaging import chunks, codec, composite, crops, nuclei, packs
from morphospace.reporting import crops as drawing
from morphospace.reporting import figures

logger = logging.getLogger(__name__)

TOO_DARK, TOO_BRIGHT = "too_dark", "too_bright"  # a tile whose mean is beyond synthesize.min_mean, max_mean
_ROWS, _COLUMNS = 14, 10  # of the contact sheet


def metrics(
    cells: pd.DataFrame,
    options: params.Synthesize,
    channels: list[str],
    scaling: dict[str, list[composite.Scale]],
    pixels: NDArray[np.int64],
) -> dict[str, Any]:
    """Return the counts of cells, and per channel the range of the scales (shares of full scale) and the saturation."""
    status = cells[schema.CROP_STATUS]
    longest = crops.sides(crops.boxes(cells[status != crops.EMPTY])).max(axis=1)
    of = "images" if options.scaling in ("positive", "log_flat") else "plates"
    per_channel = {}
    for i, name in enumerate(channels):
        facts = composite.summary([scales[i] for scales in scaling.values()], of)
        per_channel[name] = facts | {"saturated_share": round(float(pixels[i, 0] / pixels[i, 1]), 6)}
    reasons = [nuclei.NEAR_EDGE if options.center == "nucleus" else crops.TOO_LARGE, crops.EMPTY]
    reasons += [TOO_DARK, TOO_BRIGHT] * (schema.CROP_MEAN in cells)
    return {
        "cells": len(cells),
        "kept": int((status == schema.KEPT).sum()),
        **{reason: int((status == reason).sum()) for reason in reasons},
        "kept_share": round(float((status == schema.KEPT).mean()), 6),
        "size": options.size,
        "scaling": options.scaling,
        "longest_side": {"median": float(np.median(longest)), "p99": float(np.percentile(longest, 99))},
        "channels": per_channel,
    }


def chunked(cells: pd.DataFrame, stride: int, margin: float) -> dict[str, Any]:
    """Return what is true of chunks only: how dense the grid is, and what of the fields is in no chunk."""
    fields = len(cells[schema.IMAGE_SET_KEY].drop_duplicates())
    too_small = int((cells[schema.CROP_STATUS] == chunks.TOO_SMALL).sum())
    logger.info(
        "synthesize: %d chunks of %d fields, one every %d px; %.1f %% of the pixels, at the right and at the bottom, "
        "are in none; %d fields are too small",
        *(len(cells) - too_small, fields, stride, 100 * margin, too_small),
    )
    return {"stride": stride, "fields": fields, chunks.TOO_SMALL: too_small, "margin_share": round(margin, 6)}


def draw(cells: pd.DataFrame, options: params.Synthesize, channels: list[str], folder: Path, pictures: Path) -> None:
    """Draw the histograms of sizes and of means, where there are such, and the contact sheet."""
    noun = "chunks" if options.stride else "cells"
    kept = cells[cells[schema.CROP_STATUS] == schema.KEPT]
    by = schema.MOA if kept[schema.MOA].nunique() > 2 else schema.COMPOUND
    if kept[by].nunique() < 2:
        by = "field"
        kept = kept.assign(field=[" ".join(dict.fromkeys(key)) for key in kept[schema.IMAGE_SET_KEY].to_numpy()])
    # Negative controls first, then by name.
    order = kept.groupby(by)[schema.PERT_TYPE].agg(lambda t: bool((t != schema.NEGCON).all())).reset_index()
    names = order.sort_values([schema.PERT_TYPE, by])[by].tolist()
    rows = []
    for name in names[:_ROWS]:
        of_name = kept[kept[by] == name]
        spread = of_name.iloc[np.unique(np.linspace(0, len(of_name) - 1, _COLUMNS).round().astype(int))]
        tiles = [
            codec.decode_tile(packs.read(folder / f"{plate}.zip", [member])[0], len(channels))
            for plate, member in zip(spread[schema.PLATE], spread[schema.CROP_FILE], strict=True)
        ]
        rows.append((f"{name} ({len(of_name):,})", tiles))
    title = f"{noun} by {by.removeprefix('Metadata_')}, evenly spaced through the table"
    if len(names) > _ROWS:
        title += f"; {_ROWS} of {len(names)} shown"
    with files.replacing_folder(pictures) as aside:
        if not options.stride and options.center == "cell":
            sides = crops.sides(crops.boxes(cells[cells[schema.CROP_STATUS] != crops.EMPTY]))
            figures.save(drawing.size_histogram(sides, options.size), aside / "size_histogram.png")
        if schema.CROP_MEAN in cells:
            means = cells[schema.CROP_MEAN].dropna().to_numpy()
            figures.save(
                drawing.mean_histogram(means, options.min_mean, options.max_mean, noun), aside / "mean_histogram.png"
            )
        figures.save(drawing.contact_sheet(rows, title, channels), aside / "contact_sheet.png")
