"""The table of experiments, from what ``dvc exp show --json`` says, and the plot of S against the latent size."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from morphospace import records
from morphospace.errors import InputError
from morphospace.reporting import figures, page, thesis

# Column, and where it stands: the file's name and the key, first found wins.
_PARAMS = {
    "dataset": "dataset",
    "model": "model",
    "z_dim": "z_dim",
    "r_loss_factor": "train.r_loss_factor",
    "epochs": "train.epochs",
}
_METRICS = {
    "epochs_run": "train:epochs",
    "hours": "budget:hours",
    "S": "similarity:S",
    "S_low": "similarity:S_low",
    "S_high": "similarity:S_high",
    "S_legacy": "similarity:S_legacy",
    "S_black": "similarity:S_black",
    "S_constant": "similarity:S_constant",
    "S_mean": "similarity:S_mean",
    "S_median": "similarity:S_median",
    "S_pca": "similarity:S_pca",
    "pca_k": "similarity:pca_k",
    "skill_mae": "similarity:skill_mae",
    "skill_pca": "similarity:skill_pca",
    "skill_pca_low": "similarity:skill_pca_low",
    "skill_pca_high": "similarity:skill_pca_high",
    "cost_spot": "budget:cost_spot",
    "cost_on_demand": "budget:cost_on_demand",
}
COLUMNS = ["experiment", "revision", "state", *_PARAMS, *_METRICS]
_FLOORS = ["S_black", "S_constant", "S_mean", "S_median"]


def table(shown: Any) -> pd.DataFrame:
    """Return a row an experiment, sorted by data set, model, latent size and name.

    Failed, queued and running experiments have a row with their state and no scores; so have those that were only
    trained, such as the trials of a search: what stands in their files was copied from the commit. The workspace has
    one only when it differs from every commit and experiment; so has a commit that was an experiment before.

    Parameters
    ----------
    shown
        The parsed output of ``dvc exp show --json``.

    Raises
    ------
    InputError
        When it is not of that shape.
    """
    try:
        rows = [_row(name, state, experiment) for name, state, experiment in _experiments(shown)]
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"this is not what `dvc exp show --json` of DVC 3 writes ({error!r})") from None
    found = pd.DataFrame(rows, columns=COLUMNS)
    same = [c for c in COLUMNS if c not in ("experiment", "revision")]
    numbers = [*_METRICS, "z_dim"]
    found[numbers] = found[numbers].apply(pd.to_numeric, errors="coerce")
    # Experiments come first, then commits, then the workspace: the first of equals is kept.
    rank = found["revision"].map(lambda r: 1 if r == "workspace" else 0)
    found = found.iloc[np.argsort(rank.to_numpy(), kind="stable")]
    repeated = found.duplicated(same, keep="first") & found["S"].notna()
    idle = (found["revision"] == "workspace") & found["S"].isna()
    found = found[~repeated & ~idle]
    return found.sort_values(["dataset", "model", "z_dim", "experiment"], ignore_index=True, na_position="last")


def _experiments(shown: Any) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield name, state and entry: the experiments of each commit, then the commit itself."""
    if not isinstance(shown, list):
        raise TypeError("a list was expected")
    for commit in shown:
        for group in commit.get("experiments") or []:
            entry = group["revs"][0]
            state = (group.get("executor") or {}).get("state") or "success"
            yield entry.get("name") or group.get("name") or entry["rev"][:7], state, entry
        yield commit.get("name") or commit["rev"][:7], "success", commit


def _row(name: str, state: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    data = entry.get("data") or {}
    if entry.get("error"):
        state = "failed"
    params = _contents(data.get("params") or {}).get("params", {})
    metrics = _contents(data.get("metrics") or {})
    if state == "success" and (_is_stale(data) or _is_of_another(metrics, params)):
        state = "not scored"
    # The scores of an experiment that did not end, or only trained, are those of the commit it began from.
    if state != "success":
        metrics = {}
    found = {column: _inner(params, key) for column, key in _PARAMS.items()}
    found["dataset"] = metrics.get("similarity", {}).get(records.DATASET, found["dataset"])
    for column, place in _METRICS.items():
        file, key = place.split(":")
        found[column] = metrics.get(file, {}).get(key)
    # What the model made of a cell, where it was embedded: cae without a bottleneck does not use z_dim.
    found["z_dim"] = metrics.get("latent", {}).get("z_dim", found["z_dim"])
    return {"experiment": name, "revision": entry["rev"][:7] if entry["rev"] != "workspace" else "workspace",
            "state": state, **found}  # fmt: skip


def _is_stale(data: Mapping[str, Any]) -> bool:
    """Whether a stage read another version of a file than the one that was written: it has not run again since."""
    read, written = data.get("deps") or {}, data.get("outs") or {}
    return any(read[path].get("hash") != written[path].get("hash") for path in read.keys() & written.keys())


def _is_of_another(metrics: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    """Whether some metrics are of another data set than the one that was asked for: a run of that one has not ended."""
    named = {found[records.DATASET] for found in metrics.values() if records.DATASET in found}
    return any(records.kind(name) != params.get("dataset", records.kind(name)) for name in named)


def _contents(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the readable files by the stem of their name."""
    return {
        path.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]: read["data"]
        for path, read in given.items()
        if isinstance(read.get("data"), dict)
    }


def _inner(values: Mapping[str, Any], key: str) -> Any:
    found: Any = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def markdown(found: pd.DataFrame, currency: str) -> str:
    """Return the thesis's table (000-28) of these experiments, and below it the one that was published.

    Parameters
    ----------
    found
        From `table`.
    currency
        Of the cost.
    """
    head = ["experiment", "data", "model", "z_dim", "R", "epochs", "time", "S", "S legacy", "best trivial floor"]
    head += ["S of PCA-k", "skill MAE", "skill PCA", f"cost, {currency}"]
    ours = _lines(head, [_cells(row) for row in found.to_dict("records")])
    published = [
        [m.model, str(m.z_dim), f"{m.r_loss_factor:,}", str(m.epochs), f"{m.hours:.0f} h", f"{m.S:.5f}", f"{cost:.2f}"]
        for m, cost in zip(thesis.MODELS, thesis.table()["cost"], strict=True)
    ]
    theirs = _lines(["model", "z_dim", "R", "epochs", "time", "S, theirs", "cost, EUR"], published)
    return "\n".join(
        [
            f"# Experiments{_on(found)}",
            "",
            "S on test cells, with its interval over wells; PCA has as many components as the model has latent "
            "dimensions. Skill is 1 where perfect, 0 where no better, below 0 where worse.",
            "",
            *(ours if len(found) else ["No experiment was found: `dvc exp run -S z_dim=150` makes one."]),
            "",
            "## Published by the thesis: not comparable",
            "",
            "Its S was computed on training images, after each reconstruction was stretched to its full range, with "
            "another formula, and beside no floor.",
            "",
            *theirs,
            "",
        ]
    )


def _on(found: pd.DataFrame) -> str:
    """Return the data sets of the experiments, for the first line."""
    names = [str(page.escape_markdown(name)) for name in found["dataset"].dropna().unique()]
    return f" on {', '.join(names)}" if names else ""


def _cells(row: Mapping[Any, Any]) -> list[str]:
    ended = row["state"] == "success"
    best = max((float(row[f]) for f in _FLOORS if _is(row[f])), default=float("nan"))
    run = row["epochs_run"]
    epochs = page.number(row["epochs"]) if not _is(run) or run == row["epochs"] else f"{run:.0f} of {row['epochs']}"
    hours = row["hours"]
    taken = page.NOT_MEASURED if not _is(hours) else f"{hours * 60:.1f} min" if hours < 1 else f"{hours:.1f} h"
    return [
        str(row["experiment"]) + ("" if ended else f" ({row['state']})"),
        *(page.number(row[c]) for c in ("dataset", "model")),
        page.number(row["z_dim"]),
        page.number(row["r_loss_factor"]),
        epochs,
        taken,
        page.interval(row["S"], row["S_low"], row["S_high"]),
        page.interval(row["S_legacy"], None, None),
        page.interval(best, None, None),
        page.interval(row["S_pca"], None, None),
        page.interval(row["skill_mae"], None, None, 3),
        page.interval(row["skill_pca"], row["skill_pca_low"], row["skill_pca_high"], 3),
        page.number(row["cost_spot"], 2),
    ]


def _is(value: Any) -> bool:
    return value is not None and value == value


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    escaped = [[str(c) if i == 1 else str(page.escape_markdown(c)) for c in row] for i, row in enumerate(lines)]
    return [f"| {' | '.join(row)} |" for row in escaped]


def plot(found: pd.DataFrame) -> Figure:
    """Return a figure against the latent size: S beside PCA-k and the best trivial floor, and the skill over PCA-k."""
    figure = figures.new(9.6, 4.2)
    scored = found[found["S"].notna() & found["z_dim"].notna()]
    if scored.empty:
        axis = figure.subplots()
        axis.text(0.5, 0.5, "no experiment was scored", ha="center", va="center", transform=axis.transAxes)
        axis.set_axis_off()
        return figure
    similar, skill = figure.subplots(1, 2)
    groups = scored.groupby(["dataset", "model"], sort=True, dropna=False)
    for i, ((dataset, model), group) in enumerate(groups):
        name = str(model) if scored["dataset"].nunique() <= 1 else f"{model}, {dataset}"
        shift = 1 + 0.03 * (i - (len(groups) - 1) / 2)
        colour = figures.COLOURS[(3 * i) % len(figures.COLOURS)]
        _series((similar, skill), group.sort_values("z_dim", kind="stable"), _label(name), shift, colour)
    sizes = sorted(int(z) for z in scored["z_dim"].unique())
    for axis in (similar, skill):
        axis.set_xscale("log")
        axis.set_xticks(sizes, [str(z) for z in sizes])
        axis.minorticks_off()
        axis.set_xlim(sizes[0] / 1.35, sizes[-1] * 1.35)
        axis.set_xlabel("latent size z_dim = k (logarithmic)")
        axis.grid(axis="y", alpha=0.3)
    similar.set_ylabel("S on test cells (does not start at 0)")
    skill.axhline(0, color="black", linewidth=1)
    skill.set_ylabel("skill over PCA-k on test cells; 0 is PCA")
    figure.legend(*similar.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _series(axes: tuple[Any, Any], group: pd.DataFrame, label: str, shift: float, colour: str) -> None:
    """Draw one model: its points with intervals, PCA as a dashed line, the best trivial floor as a dotted one."""
    for axis, score in zip(axes, ("S", "skill_pca"), strict=True):
        value, low, high = (group[c].to_numpy(dtype=float) for c in (score, f"{score}_low", f"{score}_high"))
        ends = [np.nan_to_num(value - low).clip(min=0), np.nan_to_num(high - value).clip(min=0)]
        axis.errorbar(group["z_dim"] * shift, value, yerr=ends, fmt="o", color=colour, capsize=3, label=label)
    axis, pca = axes[0], group.drop_duplicates("z_dim")
    axis.plot(pca["z_dim"] * shift, pca["S_pca"], "s--", color=colour, markerfacecolor="white", label=f"PCA-k, {label}")
    best = pca[_FLOORS].max(axis=1)
    axis.plot(pca["z_dim"] * shift, best, "^:", color=figures.COLOURS[6], label=f"best trivial floor, {label}")


def _label(name: str) -> str:
    """Return a name that matplotlib shows as it is: no mathematics, and not hidden from the legend."""
    return name.replace("$", r"\$").lstrip("_") or "model"
