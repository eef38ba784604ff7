"""Measure each well's distance from the negative controls, and whether it rises with dose."""

import logging
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure
from scipy.stats import false_discovery_control

from morphospace import files, params, records, schema, tables
from morphospace.analyses import Resampling
from morphospace.errors import InputError
from morphospace.metrics import dose as metric
from morphospace.profiling.features import feature_columns
from morphospace.reasons import explained
from morphospace.reporting import dose as drawing
from morphospace.reporting import figures
from morphospace.reporting.clock import clock
from morphospace.words import count

logger = logging.getLogger(__name__)

WELLS = "wells.parquet"
COUNT_DISTANCE = "Distance_CellCount"
_FLOOR, _OF = "cell_count_", ("rho", "low", "high", "reason")  # columns of the correlation by the number of cells alone
_PLATES, _PANELS = 8, 12  # that are drawn
_RESPONSES, _CONTROLS, _JITTER = 0, 1, 2  # streams of random numbers
_KEPT = [schema.PLATE, schema.WELL, schema.COMPOUND, schema.CONCENTRATION, schema.PERT_TYPE]
COMPARED = (
    "compounds",
    "with_doses",
    "rising",
    "rho_median",
    "rho_median_of_cell_count",
    "z_prime",
    "z_prime_low",
    "z_prime_high",
    "ssmd",
)  # by `dvc metrics diff`


def run(
    profiles: Annotated[Path, typer.Argument(help="Folder with the profiles; wells.parquet is read.")],
    table: Annotated[Path, typer.Argument(help="Table to write: a row a compound, its correlation with dose.")],
    distances: Annotated[Path, typer.Argument(help="Table to write: a row a well, its distance from the controls.")],
    timings: Annotated[Path, typer.Argument(help="What the stage cost, to write.")],
    metrics: Annotated[Path, typer.Argument(help="The numbers of record, to write.")],
    record: Annotated[Path, typer.Argument(help="Record to write: all that was found, for the report.")],
    pictures: Annotated[Path, typer.Argument(help="Folder for the figures.")],
) -> None:
    """Measure each well's distance from the negative controls, and whether it rises with dose.

    For each compound the rank correlation of dose and distance, with its interval and p-value, beside that of the cell
    count alone; Z' and SSMD of positive against negative controls. Data with one dose a compound, or without positive
    controls, have none, and the metrics say so.
    """
    options = params.load()
    with clock("dose", timings, table, distances) as tally:
        wells = _wells(profiles / WELLS)
        lacking = _measure(wells)
        responses = _responses(wells, lacking, options.dose, options.seed)
        apart = separation(wells, options.dose, options.seed)
        tables.write_csv(responses, table)
        measured = wells[[*_KEPT, drawing.DISTANCE, COUNT_DISTANCE]]
        tables.write_csv(measured.assign(Reason=lacking[drawing.DISTANCE]), distances)
        whole = _record(wells, responses, apart, lacking)
        records.write(metrics, record, options.data_set, whole, COMPARED)
        with files.replacing_folder(pictures) as aside:
            for name, figure in _figures(wells, responses, whole, options).items():
                figures.save(figure, aside / f"{name}.png")
        logger.info("%s", whole["verdict"])
        tally.items, tally.unit = len(wells), "wells"


def _wells(path: Path) -> pd.DataFrame:
    """Return the profiles of the wells, sorted, with their number of cells."""
    found = tables.read_parquet(path, "profile")
    schema.check(found, [*_KEPT, schema.OBJECT_COUNT], str(path), [schema.PLATE, schema.WELL])
    return found.sort_values([schema.PLATE, schema.WELL], ignore_index=True)


def _measure(wells: pd.DataFrame) -> dict[str, str]:
    """Write the distances by the profile, and by the number of cells alone, into the table; return why one has none."""
    controls = (wells[schema.PERT_TYPE] == schema.NEGCON).to_numpy()
    lacking = {}
    counts = np.log1p(wells[[schema.OBJECT_COUNT]].to_numpy(dtype=np.float64))
    features = wells[feature_columns(wells)].to_numpy(dtype=np.float64)
    for name, values in ((drawing.DISTANCE, features), (COUNT_DISTANCE, counts)):
        try:
            wells[name] = metric.distances(values, controls)
            lacking[name] = ""
        except InputError as error:
            wells[name] = np.nan
            lacking[name] = str(error)
    return lacking


def _responses(wells: pd.DataFrame, lacking: dict[str, str], options: Resampling, seed: int) -> pd.DataFrame:
    """Return a row a compound, those with the highest correlation first."""
    treated = wells[(wells[schema.PERT_TYPE] != schema.NEGCON) & schema.is_named(wells[schema.COMPOUND])]
    rows: list[dict[str, Any]] = []
    for i, (compound, mine) in enumerate(treated.groupby(schema.COMPOUND, sort=True)):
        both = []
        for k, name in enumerate((drawing.DISTANCE, COUNT_DISTANCE)):
            rng = np.random.default_rng([seed, _RESPONSES, i, k])
            doses, values = mine[schema.CONCENTRATION], mine[name]
            found = metric.response(doses, values, options.bootstrap, options.confidence, rng)
            both.append(found._replace(reason=lacking[name]) if lacking[name] else found)
        rows.append({"compound": str(compound), **both[0]._asdict()} | {_FLOOR + k: getattr(both[1], k) for k in _OF})
    names = ["compound", *metric.Response._fields, *(_FLOOR + k for k in _OF)]
    table = pd.DataFrame(rows, columns=names)
    tested = table["p"].notna()
    adjusted = np.full(len(table), np.nan)
    if tested.any():
        adjusted[tested] = false_discovery_control(table.loc[tested, "p"])
    table.insert(names.index("p") + 1, "q", adjusted)
    return table.sort_values(["rho", "compound"], ascending=[False, True], ignore_index=True)


def separation(wells: pd.DataFrame, options: Resampling, seed: int) -> metric.Separation:
    """Return how far the positive controls stand from the negative ones, on their distances."""
    negative, positive = (
        wells.loc[wells[schema.PERT_TYPE] == kind, drawing.DISTANCE] for kind in (schema.NEGCON, schema.POSCON)
    )
    rng = np.random.default_rng([seed, _CONTROLS])
    return metric.separation(negative, positive, options.bootstrap, options.confidence, rng)


def _record(
    wells: pd.DataFrame, responses: pd.DataFrame, apart: metric.Separation, lacking: dict[str, str]
) -> dict[str, Any]:
    """Return the numbers of record, flat, each that is missing with its reason."""
    scored = responses[responses["rho"].notna()]
    rising = int((scored["low"] > 0).sum())
    said = f"the distance from the negative controls rises with dose in {rising} of {count(len(scored), 'compound')}"
    why = lacking[drawing.DISTANCE] or "; ".join(sorted(set(responses["reason"]) - {""})) or "no treated well"
    floor = responses[_FLOOR + "rho"].notna()
    record = {
        "verdict": said if len(scored) else f"no compound has a dose-response: {why}",
        "wells": len(wells),
        "wells_without_compound": int((~schema.is_named(wells[schema.COMPOUND])).sum()),
        "negative_controls": apart.negative,
        "positive_controls": apart.positive,
        "compounds": len(responses),
        "with_doses": len(scored),
        "rising": rising,
        "rho_median": scored["rho"].median(),
        "rho_min": scored["rho"].min(),
        "rho_median_of_cell_count": scored.loc[floor, _FLOOR + "rho"].median(),
        "controls": apart.reason or "two of each kind or more",
    }
    floors = lacking[COUNT_DISTANCE] or "; ".join(sorted(set(responses[_FLOOR + "reason"]) - {""})) or why
    reasons = {"rho_median": why, "rho_min": why, "rho_median_of_cell_count": floors if len(scored) else why}
    for name, value in apart.values.items():
        low, high, reason = apart.intervals[name]
        record |= {name: value, f"{name}_low": low, f"{name}_high": high}
        reasons |= dict.fromkeys((name, f"{name}_low", f"{name}_high"), lacking[drawing.DISTANCE] or reason)
    return explained(record, reasons)


def _figures(
    wells: pd.DataFrame, responses: pd.DataFrame, record: dict[str, Any], options: params.Params
) -> dict[str, Figure]:
    """Return the figures by name; the controls are always drawn."""
    said = record["controls"]
    if np.isfinite(record["z_prime"]):
        said = "; ".join(_estimate(title, record, name) for title, name in (("Z'", "z_prime"), ("SSMD", "ssmd")))
    drawn = {"controls": drawing.controls(wells, said, options.seed + _JITTER)}
    for name, of_plate in list(wells.groupby(schema.PLATE, sort=True))[:_PLATES]:
        if figure := drawing.plate(of_plate, str(name)):
            drawn[f"plate_{name}"] = figure
    scored = responses[responses["rho"].notna()].head(_PANELS)
    if len(scored):
        panels = [drawing.Response(str(r["compound"]), _estimate("rho", r, "rho", "")) for _, r in scored.iterrows()]
        drawn["curves"] = drawing.curves(wells, panels, options.dose.confidence)
    return drawn


def _estimate(title: str, values: Any, name: str, prefix: str | None = None) -> str:
    before = f"{name}_" if prefix is None else prefix
    return f"{title} {values[name]:.2f} [{values[f'{before}low']:.2f}, {values[f'{before}high']:.2f}]"
