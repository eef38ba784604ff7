"""Divide the cells into train, validation and test, group by group, with a certificate (001-03)."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from morphospace import params, records, schema, splitting, tables
from morphospace.errors import InputError
from morphospace.imaging import chunks
from morphospace.reporting.clock import clock

logger = logging.getLogger(__name__)

_COLUMNS = {"moa": schema.MOA, "compound": schema.COMPOUND}
COMPARED = ("groups.*", "cells.*")  # by `dvc metrics diff`


def run(
    crops: Annotated[Path, typer.Argument(help="Table of the crops.")],
    identical: Annotated[Path, typer.Argument(help="Table of images that are there more than once.")],
    splits: Annotated[Path, typer.Argument(help="Table to write: the split of each image set.")],
    timings: Annotated[Path, typer.Argument(help="What the stage cost, to write.")],
    metrics: Annotated[Path, typer.Argument(help="Groups and cells of each split, to write.")],
    certificate: Annotated[Path, typer.Argument(help="Record to write: what is disjoint and what is not.")],
) -> None:
    """Divide the cells into train, validation and test, group by group, with a certificate.

    No group (a well, unless params.yaml says otherwise) has cells in two splits, and no image stands on two sides under
    two names. Adding plates leaves the division of
    the others as it is. Only image sets with a kept crop take part. Where chunks of an image overlap, the certificate
    says how far.
    """
    options = params.load()
    chosen = options.split
    with clock("split", timings, splits) as tally:
        cells = tables.read_parquet(crops, "synthesize")
        schema.check(cells, [*schema.METADATA, schema.CROP_STATUS], str(crops), key=schema.OBJECT_KEY)
        kept = cells[cells[schema.CROP_STATUS] == schema.KEPT]
        if not len(kept):
            raise InputError(f"{crops} has no kept crop; see reports/records/synthesize.json")
        fractions = {schema.TRAIN: chosen.train, schema.VALIDATION: chosen.validation, schema.TEST: chosen.test}
        sets = kept.drop_duplicates(schema.IMAGE_SET_KEY)
        table, notes = splitting.assign(sets, chosen.by, _COLUMNS[chosen.stratify], fractions, options.seed)
        found = splitting.verify(table, kept, chosen.by)
        found["identical_pictures"] = splitting.refuse_identical(table, tables.read_identical(identical))
        overlap = chunks.overlap(kept)
        found["notes"] = [*notes, *found["notes"], *_overlap_notes(overlap)]
        found |= {"overlap": overlap} if overlap else {}
        tables.write_csv(table, splits)
        proved = {"by": chosen.by, "stratify": chosen.stratify, "asked": fractions, **found}
        records.write(metrics, certificate, options.data_set, proved, COMPARED)
        tally.items, tally.unit = len(table), "image sets"


def _overlap_notes(overlap: dict[str, Any]) -> list[str]:
    """Say, in the log too, what a split finer than the image would do where its chunks overlap."""
    if not overlap:
        return []
    note = (
        f"chunks of an image overlap: a chunk shares up to {overlap['with_neighbour']:.1%} of its area with another, "
        f"{overlap['shared_area']:.1%} of the area is in two or more; a split finer than the image would test "
        "on pixels seen in training, so by site is the finest allowed"
    )
    logger.warning("split: %s", note)
    return [note]
