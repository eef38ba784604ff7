"""The cards of profiles, dose-response and latent meaning for the report: what was found, beside what chance gives."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from morphospace import reasons, schema
from morphospace.reporting.meaning import SYMBOLS, short
from morphospace.reporting.page import NOT_MEASURED, Block, Items, Table, Text, interval, number
from morphospace.words import count

SHOWN_COMPOUNDS = 20
SHOWN_PLATES = 20
_CONTROLS = {  # of dose.json: name and what it says
    "z_prime": "Z'",
    "z_prime_robust": "Z', of medians",
    "ssmd": "SSMD",
    "ssmd_robust": "SSMD, of medians",
}


def profiles(found: Mapping[str, Any] | None) -> list[Block]:
    """Return how many profiles there are, whether replicates are alike, and the plates that have few controls.

    Parameters
    ----------
    found
        ``profile.json``.
    """
    if not found:
        return [Text(f"Profiles: {NOT_MEASURED}.")]
    sizes = ", ".join(f"{number(found[name])} {name}" for name in ("sites", "wells", "treatments"))
    lines: list[Block] = [
        Text(
            f"{sizes} of {number(found['cells'])} cells, {number(found['features'])} features each; {_measured(found)}."
        ),
        Text(_replicates(found)),
    ]
    controls = found.get("control_wells") or {}
    if not controls:
        return [*lines, Text("No well is a negative control.")]
    few = sorted(controls.items(), key=lambda pair: (pair[1], pair[0]))[:SHOWN_PLATES]
    caption = "Wells of negative controls on each plate"
    if len(controls) > len(few):
        caption += f": the {len(few)} of {count(len(controls), 'plate')} with the fewest"
    return [*lines, Table(caption, ["plate", "wells"], [[plate, number(n)] for plate, n in few])]


def _measured(found: Mapping[str, Any]) -> str:
    steps = []
    if found["normalize"] != "none":
        steps.append(f"measured from the negative controls of each plate ({found['normalize']})")
    if found.get("sphere", "none") != "none":
        steps.append(f"sphered on the negative controls ({found['sphere']})")
    if found.get("align", "none") != "none":
        steps.append(f"aligned between batches ({found['align']})")
    return ", ".join(steps) or "taken as they are: neither normalised, nor sphered, nor aligned"


def _replicates(whole: Mapping[str, Any]) -> str:
    found = whole.get("replicates") or {}
    share = found.get("share_above_random")
    if share is None:
        why = reasons.of(whole, "replicates.share_above_random") or "no reason given"
        return f"Whether replicates are alike: {NOT_MEASURED}: {why}."
    said = interval(share, found.get("low"), found.get("high"), 3)
    return (
        f"Wells of one treatment are more alike than wells of other compounds on the same plates in {said} of "
        f"comparisons, where {found['floor']:g} is chance ({count(found['treatments'], 'treatment')} of "
        f"{count(found['compounds'], 'compound')}; the interval is over compounds)."
    )


def dose(found: Mapping[str, Any] | None, compounds: pd.DataFrame | None) -> list[Block]:
    """Return whether distance rises with dose, for each compound beside its cell count, and how far the controls part.

    Parameters
    ----------
    found
        ``dose.json``.
    compounds
        ``dose.csv``: a row a compound.
    """
    if not found:
        return [Text(f"Dose-response: {NOT_MEASURED}.")]
    lines: list[Block] = [Text(_sentence(found["verdict"]))]
    rows = [
        [name, interval(found[key], found[f"{key}_low"], found[f"{key}_high"], 2)]
        for key, name in _CONTROLS.items()
        if found.get(key) is not None
    ]
    if rows:
        caption = (
            f"{count(found['positive_controls'], 'well')} of positive against {number(found['negative_controls'])} of "
            "negative controls; brackets are intervals over wells. Z' above 0.5 is an excellent assay, below 0 the "
            "controls overlap"
        )
        lines.append(Table(caption, ["on the distance", "value"], rows))
    else:
        lines.append(Text(f"Positive against negative controls: {NOT_MEASURED}: {found['controls']}."))
    return [*lines, *_compounds(compounds)]


def _compounds(table: pd.DataFrame | None) -> list[Block]:
    """Return a row a compound with doses; those without are counted by their reason."""
    if table is None or table.empty:
        return []
    scored, others = table[table["rho"].notna()], table[table["rho"].isna()]
    lines: list[Block] = []
    if len(scored):
        shown = scored.head(SHOWN_COMPOUNDS)
        caption = (
            "Rank correlation of dose and distance from the negative controls, with its interval over wells; q is the "
            "p-value of no rise, adjusted for the number of compounds. By cell count alone stands beside it"
        )
        if len(scored) > len(shown):
            caption += f". The first {len(shown)} of {count(len(scored), 'compound')}, all are in dose.csv"
        rows = [
            [
                str(row["compound"]),
                f"{row['wells']:.0f}, {row['doses']:.0f}",
                interval(row["rho"], row["low"], row["high"], 2),
                number(float(row["q"]), 2),
                interval(row["cell_count_rho"], row["cell_count_low"], row["cell_count_high"], 2),
            ]
            for row in shown.to_dict("records")
        ]
        lines.append(Table(caption, ["compound", "wells, doses", "rho", "q", "rho of cell count"], rows))
    why_not = others["reason"].replace("", "no reason given").fillna("no reason given").value_counts()
    if len(why_not):
        lines.append(Items([f"{count(int(n), 'compound')} without: {why}" for why, n in why_not.items()]))
    return lines


def meaning(found: Mapping[str, Any] | None) -> list[Block]:
    """Return what the latents move with, a row a property.

    Parameters
    ----------
    found
        ``interpret.json``.
    """
    if not found:
        return [Text(f"What the latents move with: {NOT_MEASURED}.")]
    known = [name for name, of in found.items() if isinstance(of, Mapping) and "measure" in of]
    rows = [_property(name, found[name], reasons.of(found, f"{name}.latents")) for name in known]
    strips = found["strips"]
    lines: list[Block] = [
        Text(
            f"{_sentence(found['verdict'])} {number(found['active'])} of {number(found['z_dim'])} latents are active; "
            f"{number(found['tests'])} tests on {number(found['cells'])} cells of {found['cells_of']}."
        ),
        Table(
            "Dose, mechanism and plate are tested on means of wells, the others within wells. rho is a rank "
            "correlation, ε² the share of the variance of ranks between classes. At most "
            f"{found['fdr']:.0%} of the latents counted are expected to be chance",
            ["property", "latents", "wells", "moves most", "its effect", "by chance", "why not"],
            rows,
        ),
    ]
    return lines if isinstance(strips, int) else [*lines, Text(f"Strips: {strips}.")]


def _property(name: str, of: Mapping[str, Any], why: str) -> list[str]:
    effect, chance = of["top_effect"], of["chance"]
    top = str(of["top"])
    return [
        name.replace("_", " "),
        NOT_MEASURED if why else number(of["latents"]),
        number(of["wells"]),
        short(top) if top.startswith(schema.LATENT_PREFIX) else top,
        "–" if effect is None else f"{SYMBOLS[of['measure']]} {effect:.2f}",
        "–" if chance is None else f"{chance:.2f}",
        why,
    ]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
