"""BBBC021v1 as the Broad publishes it (Caie 2010, Ljosa 2012; 000-01): 55 plates, 13,200 fields of 3 channels."""

import difflib
import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field

from morphospace import files, options, places, schema
from morphospace.datasets import _archive, _broad, _download, _metadata
from morphospace.errors import InputError

logger = logging.getLogger(__name__)

LICENCE = (
    "as the Broad Bioimage Benchmark Collection states it on the page of BBBC021, which also says what to cite; "
    "morphospace does not copy the terms"
)
CHECKSUMS = "SHA256SUMS"
_ALL = "all"
_CSVS = (_broad.IMAGE_CSV, _broad.COMPOUND_CSV, _broad.MOA_CSV)
Plate = Annotated[str, Field(pattern=r"^(all|Week\d{1,2}_\d{5})$")]


class Options(options.Options):
    """Which part to bring, and from where."""

    plates: Annotated[list[Plate], Field(min_length=1)] = Field(default_factory=lambda: ["Week1_22123"])
    wells: Literal["all", "negcon"] = "all"
    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] = "https://data.broadinstitute.org/bbbc/BBBC021"
    checksums: options.UserPath = ""

    @property
    def part(self) -> str:
        """The plates, and whether their controls alone; nothing for all."""
        some = [] if _ALL in self.plates else self.plates if len(self.plates) < 3 else [f"{len(self.plates)} plates"]
        return ", ".join([*some, *(["negcon"] if self.wells == "negcon" else [])])


def fetch(target: Path, seed: int, **values: Any) -> None:
    """Download the tables and the archives of the chosen plates, and unpack their images into an empty folder.

    Archives stay in the scratch folder: a cut download is resumed there, and another choice of plates or wells
    brings only what is new. ``SHA256SUMS`` beside the images says what was downloaded.

    Parameters
    ----------
    target
        Becomes the three CSVs and ``<plate>/*.tif``.
    seed
        Not used: nothing is left to chance.
    **values
        Of `Options`.

    Raises
    ------
    InputError
        When a plate is unknown, the server is out of reach or answers nonsense, an archive is damaged or hostile, a
        checksum is not the listed one, or the disk is too small.
    """
    chosen = Options(**values)
    expected = _checksums(places.of_user(chosen.checksums)) if chosen.checksums else {}
    scratch = files.scratch("bbbc021", files.fingerprint(chosen.url))
    sums: dict[str, str] = {}

    def bring(name: str, check: Any) -> Path:
        path = scratch / name
        sums[name] = _download.download(f"{chosen.url.rstrip('/')}/{name}", path, check, expected.get(name, ""))
        return path

    for name in _CSVS:
        (target / name).write_bytes(bring(name, _check_csv).read_bytes())
    wanted = _chosen(_broad.image_sets(target / _broad.IMAGE_CSV, target / _broad.MOA_CSV), chosen)
    for plate, rows in wanted.groupby(schema.PLATE, sort=True):
        names = {name for channel in schema.channels(rows) for name in rows[schema.FILE_PREFIX + channel]}
        archive = bring(f"BBBC021_v1_images_{plate}.zip", _check_archive)
        count = _archive.extract_images(archive, target / str(plate), names.__contains__)
        logger.info("%s: %d of %d images", plate, count, len(names))
    lines = [f"{digest}  {name}\n" for name, digest in sorted(sums.items())]
    (target / CHECKSUMS).write_text("".join(lines), encoding="utf-8")
    logger.info("the archives stay in %s; delete it when no other plates or wells are wanted", scratch)


def index(raw: Path, **values: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the image sets of the chosen plates and wells, and an empty table of what was dropped.

    Raises
    ------
    InputError
        When the tables in `raw` are missing or damaged, or a plate is not in them.
    """
    table = _broad.image_sets(raw / _broad.IMAGE_CSV, raw / _broad.MOA_CSV)
    return _chosen(table, Options(**values)), _metadata.dropped([])


def _chosen(table: pd.DataFrame, chosen: Options) -> pd.DataFrame:
    """Return the image sets of the chosen plates; ``negcon`` keeps the DMSO wells, six a plate (000-02)."""
    known = sorted(table[schema.PLATE].unique())
    for plate in chosen.plates:
        if plate not in (_ALL, *known):
            close = difflib.get_close_matches(plate, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {known[0]} to {known[-1]}"
            raise InputError(f"bbbc021.plates names {plate}, which is not in {_broad.IMAGE_CSV}{hint}")
    plates = known if _ALL in chosen.plates else chosen.plates
    table = table[table[schema.PLATE].isin(plates)]
    return table[table[schema.PERT_TYPE] == schema.NEGCON] if chosen.wells == "negcon" else table


def _check_archive(path: Path) -> None:
    _archive.check(path)  # first: reading a bomb to its end takes for ever
    _download.check_zip(path)


def _check_csv(path: Path) -> None:
    if len(_metadata.read_table(path).columns) < 2:
        raise InputError(f"{path.name.removesuffix('.part')} from the server is not a table; correct bbbc021.url")


def _checksums(path: Path) -> dict[str, str]:
    """Read lines of ``<sha256>  <name>``, as `sha256sum` writes them."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"bbbc021.checksums {path} cannot be read: {error.strerror}") from None
    found = [line.split(maxsplit=1) for line in lines if line.strip()]
    wrong = [n for n, pair in enumerate(found, start=1) if len(pair) != 2 or len(pair[0]) != 64]
    if wrong:
        raise InputError(f"{path}, line {wrong[0]} is not '<sha256>  <name>'")
    return {name.lstrip("*"): digest.lower() for digest, name in found}
