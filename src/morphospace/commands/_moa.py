"""What both ways of the command ``moa`` share: its settings, its table on the terminal, its folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column, Table

from morphospace import files, params, registry, tables
from morphospace.errors import InputError
from morphospace.metrics import moa, nearest
from morphospace.metrics.bootstrap import Estimate
from morphospace.metrics.moa import EMBEDDING, Card
from morphospace.reporting import figures, mechanisms
from morphospace.reporting.moa_names import FLOORS, SHORT

RECORD = "moa.json"
_METRICS = ("cosine", "correlation")


def settings(options: params.Params, metric: str, rule: str) -> moa.Settings:
    """Return how mechanisms are scored: as params.yaml says, and what was typed.

    Raises
    ------
    InputError
        When a metric or a rule is unknown.
    """
    for option, value, known in (("--metric", metric, _METRICS), ("--rule", rule, get_args(nearest.Rule))):
        if value and value not in known:
            raise InputError(f"{option} {value!r} is none of {', '.join(known)}{registry.nearest(value, list(known))}")
    return moa.Settings(**options.mechanisms() | {k: v for k, v in (("metric", metric), ("rule", rule)) if v})


def show(cards: Mapping[str, Card]) -> None:
    """Show scores and floors on the terminal, a row a method, intervals below; then what was not scored."""
    console = Console()
    first = next(iter(cards.values()))
    rule = first.settings.rule
    console.print(
        f"{first.settings.metric}; another batch: {nearest.RULES[rule]} (rule {rule}); intervals over compounds"
    )
    first_column = Column("", overflow="fold", min_width=12)
    names = (SHORT.get(n, n) for n in first.scores)
    shown = Table(first_column, *names, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name, card in cards.items():
        shown.add_row(name, *(_stacked(score.estimate()) for score in card.scores.values()))
    for floor, label in FLOORS.items():
        shown.add_row(label, *(_stacked(score.estimate(floor)) for score in first.scores.values()))
    shown.add_row("scored, not scored", *(f"{len(s.values)}, {s.left}" for s in first.scores.values()))
    console.print(shown)
    for name, card in cards.items():
        for score in card.scores.values():
            said = "" if name == EMBEDDING else f"{name}: "
            console.print(f"{said}{score.verdict()}", highlight=False, markup=False)
    for line in first.not_scored():
        console.print(f"not scored: {line}", highlight=False, markup=False)


def _stacked(e: Estimate) -> str:
    if e.value != e.value:
        return "-"
    return f"{e.value:.3f}\n{e.low:.3f} {e.high:.3f}" if e.low == e.low else f"{e.value:.3f}"


def write(folder: Path, cards: Mapping[str, Card], record: Mapping[str, Any], features: moa.Features) -> None:
    """Write the numbers, the nearest of each treatment, and the figures; floors are those of the first card."""
    first = next(iter(cards.values()))
    files.write_json(folder / RECORD, record)
    found = [card.table().assign(embedding=name) for name, card in cards.items()]
    tables.write_csv(pd.concat(found, ignore_index=True), folder / "moa.csv")
    scores: dict[str, Any] = {name: dict(rows) for name, rows in first.rows().items()}
    for method, card in cards.items():
        for name, rows in card.rows().items():
            scores[name][method] = rows[EMBEDDING]
    labels = {name: name.replace("_", " ") for name in cards}
    width = features[moa.TREATMENTS].shape[1]
    for name, figure in mechanisms.draw(scores, first.counts(), first.matrices(), labels, width).items():
        figures.save(figure, folder / f"{name}.png")
