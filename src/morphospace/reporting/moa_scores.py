"""The card of mechanisms of action for the report: every score beside its floors."""

from collections.abc import Mapping
from typing import Any

from morphospace import reasons
from morphospace.reporting.moa_names import FLOORS, SCORES, SHORT
from morphospace.reporting.page import NOT_MEASURED, Block, Items, Table, Text, interval, number

_MOST = 20  # sentences of what was not scored


def blocks(found: Mapping[str, Any] | None) -> list[Block]:
    """Return the card of mechanisms for the report: verdicts, scores beside their floors, what could not be scored.

    Parameters
    ----------
    found
        ``moa.json``.
    """
    if not found:
        return [Text(f"Mechanisms of action: {NOT_MEASURED}.")]
    lines: list[Block] = [Text(found["verdict"])]
    names = [n for n in SCORES if n in found]
    head = ["", *(SHORT.get(n, n) for n in names)]
    rows = [["embedding", *(interval(found[n], found[f"{n}_low"], found[f"{n}_high"], 3) for n in names)]]
    rows += [
        [label, *(interval(found[f"{n}_{floor}"], None, None, 3) for n in names)] for floor, label in FLOORS.items()
    ]
    rows += [
        ["lead over the best floor", *(_lead(found, n) for n in names)],
        ["scored", *(number(found[f"{n}_n"]) for n in names)],
        ["not scored", *(number(found[f"{n}_left"]) for n in names)],
    ]
    caption = (
        f"Mechanisms of action beside what must be beaten; nearness is {found['metric']}; another batch means: "
        f"{found['batch_rule_meaning']} (rule {found['batch_rule']}). Brackets are intervals over compounds. mAP has a "
        "floor of its own: its random neighbour is a random order"
    )
    lines += [Table(caption, head, rows, marked=[0]), Items([f"{SCORES[n]}." for n in names]), _batch(found)]
    if left := list(found.get("not_scored") or ()):
        more = [f"and {len(left) - _MOST} more, all in moa.csv"] if len(left) > _MOST else []
        lines += [Text("Not scored, since no neighbour could be right:"), Items([*left[:_MOST], *more])]
    return lines


def _lead(found: Mapping[str, Any], name: str) -> str:
    lead = interval(found[f"{name}_lead"], found[f"{name}_lead_low"], found[f"{name}_lead_high"], 3)
    return f"{lead} ({FLOORS[found[f'{name}_best_floor']]})" if found[f"{name}_lead"] is not None else lead


def _batch(found: Mapping[str, Any]) -> Block:
    """Say how well the batch is predicted from the negative controls."""
    name = "batch_from_controls"
    value, low, high = (found.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return Text(f"Batch from negative controls: {NOT_MEASURED}: {reasons.of(found, name) or 'no reason given'}.")
    return Text(
        f"The batch of negative controls is predicted from their profiles in {interval(value, low, high, 3)} of "
        f"{found[f'{name}_n']} rows ({found[f'{name}_batches']} batches, whole {found[f'{name}_held_out']}s held out); "
        f"the most frequent batch would be right in {found[f'{name}_majority']:.3f}. What is above that the embedding "
        "knows of the day, not of the drug."
    )
