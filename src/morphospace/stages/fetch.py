"""Bring the images and their metadata as published."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from morphospace import files, params, registry
from morphospace.reporting.clock import clock

logger = logging.getLogger(__name__)


def run(
    raw: Annotated[Path, typer.Argument(help="Folder to fill: images as published, and their tables.")],
    timings: Annotated[Path, typer.Argument(help="JSON of seconds, memory and bytes.")],
) -> None:
    """Bring the images and metadata of the data set named in params.yaml.

    The folder is written whole or not at all: a download that was cut is resumed from the scratch folder. A list in it
    says what was written, and only that is removed by the next run.
    """
    options = params.load()
    dataset = registry.load("datasets", options.dataset)
    with clock("fetch", timings, raw) as tally:
        with files.replacing_folder(raw, listed=True) as aside:
            dataset.fetch(aside, options.seed, **options.dataset_options)
        tally.items = sum(1 for path in raw.rglob("*") if path.is_file() and path.name != files.LIST)
        tally.unit = "files"
    logger.info("%s: %d files in %s", options.dataset, tally.items, raw)
