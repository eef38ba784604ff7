"""The command ``score``: how well classifiers tell a column apart from an embedding, beside its floors."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from morphospace import files, params, places, registry, schema, splitting, tables, wells
from morphospace.commands import _cells
from morphospace.errors import InputError, SchemaError
from morphospace.imaging import packs
from morphospace.metrics import classification, folds, scorecard
from morphospace.metrics.bootstrap import Estimate
from morphospace.metrics.classification import Scores
from morphospace.metrics.folds import Task
from morphospace.reporting import classification as drawing
from morphospace.reporting import figures, maps
from morphospace.words import count

MAP_CELLS = 20_000  # on a map, at most
HIDE = 0.3  # share of the groups of each class whose labels a supervised map must not see (002-18)
RECORD = "scores.json"
MISSING = "not measured: mean intensity, random projection and PCA of the pixels; give --crops and --crops-table"
_HIDING, _MAPPED = 4, 5  # streams of random numbers
_LOOK: dict[str, Any] = {"box": SIMPLE_HEAD, "padding": (0, 1, 0, 0)}  # fits a terminal of 80 columns
Floats = NDArray[np.floating[Any]]


def run(
    embeddings: Annotated[Path, typer.Argument(help="Parquet or CSV: one row a cell, metadata and features.")],
    by: Annotated[str, typer.Option(help="Column with the class of each cell.")] = schema.MOA,
    group: Annotated[
        str, typer.Option(help="Column; no value of it is both trained on and held out. A well counts by plate.")
    ] = schema.WELL,
    prefix: Annotated[list[str] | None, typer.Option(help="Of feature columns; again for another.")] = None,
    split: Annotated[list[str] | None, typer.Option(help="Score cells of this split only; again for another.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="Class to leave out; again for another.")] = None,
    crops: Annotated[Path | None, typer.Option(help="Folder of the crops, for the floors of the pixels.")] = None,
    crops_table: Annotated[Path | None, typer.Option(help="Table of the crops.")] = None,
    number: Annotated[int, typer.Option("--folds", min=2, help="Parts, each held out once.")] = 5,
    colour: Annotated[list[str] | None, typer.Option(help="Column to colour a UMAP by; again for another.")] = None,
    supervised: Annotated[bool, typer.Option(help="Draw a UMAP that knows about 70 % of each class's groups.")] = False,
    output: Annotated[Path, places.FOLDER, typer.Option(help="Folder to write.")] = Path("reports/score"),
) -> None:
    """Score an embedding: a random forest and a logistic regression predict a column of cells in groups they never saw.

    Accuracy, balanced accuracy, precision, recall and F1 have intervals over groups, and stand beside what costs no
    model: the majority class always; mean intensity, random projection and PCA of the pixels with --crops and
    --crops-table. The features are Cells_Latent_… unless --prefix says otherwise. A model that was trained with the
    classes (a contrastive one, say) must be scored with --split test.
    """
    options = params.load()
    table = _rest(_read(embeddings, [by, *_level(group)], colour or [], split or []), by, without or [])
    features = _features(table, tuple(prefix or [schema.LATENT_PREFIX]), {by, group}, embeddings)
    task = folds.prepare(_cells.labels(table, by), _groups(table, group).to_list(), number, options.seed)
    tiles = _tiles(table, crops, crops_table)
    scores = _scores(task, features, tiles, options)
    missing = MISSING if tiles is None else ""
    many = count(int(task.groups.max()) + 1, "group")
    what = f"{by} of {count(len(task.rows), 'cell')} in {many} ({group}), {count(len(task.parts()), 'fold')}"
    _show(task, scores, what, missing)
    record = {"embeddings": str(embeddings), "by": by, "group": group, "seed": options.seed, "missing": missing}
    record |= {"split": split or [], "without": without or [], "prefix": prefix or [schema.LATENT_PREFIX]}
    if supervised:
        hiding = _hiding(task, options.seed)
        record |= {"hidden_of_the_supervised_map": hiding}
        for label, of in hiding.items():
            typer.echo(f"the map hides {of['groups_hidden']} of {count(of['groups'], 'group')} of {label}")
    record |= {"confidence": options.similarity.confidence, "split_of_the_model": _splits(table.iloc[task.rows])}
    with files.replacing_folder(output, listed=True) as folder:
        _write(folder, task, scores, record)
        if colour or supervised:
            _maps(folder, table, features, task, colour or [], by if supervised else "", options.seed)
    typer.echo(f"all of it: {output}")


def _read(path: Path, names: Sequence[str], colours: Sequence[str], splits: Sequence[str]) -> pd.DataFrame:
    """Return the rows of some splits of a Parquet or CSV table; `names` are text, so that plate 0012 stays 0012."""
    text = {*names} - {schema.CONCENTRATION}
    table = tables.read(path, lambda name: name in text or schema.is_text(name), "" if tables.is_csv(path) else "embed")
    for column in dict.fromkeys([*names, *colours, *([schema.SPLIT] if splits else [])]):
        if column not in table.columns:
            known = [c for c in map(str, table.columns) if not c.startswith(schema.LATENT_PREFIX)]
            raise SchemaError(f"{path} lacks {column}{registry.nearest(column, known[:40])}")
    table = wells.named(table, str(path))
    there = set(table[schema.SPLIT]) if splits else set()
    if unknown := [s for s in splits if s not in there]:
        raise InputError(f"{path} has no cell of split {unknown[0]!r}{registry.nearest(unknown[0], sorted(there))}")
    return table[table[schema.SPLIT].isin(splits)].reset_index(drop=True) if splits else table


def _features(table: pd.DataFrame, prefixes: tuple[str, ...], never: set[str], path: Path) -> Floats:
    """Return the feature columns (n, k); what is no measurement of a cell is refused, not silently learned from."""
    names = [c for c in table.columns if str(c).startswith(prefixes)]
    if not names:
        raise SchemaError(f"{path} has no column that starts with {' or '.join(prefixes)}; name another --prefix")
    never = never | {schema.OBJECT, schema.SPLIT}
    for name in names:
        if name in never or name.startswith("Metadata_"):
            raise InputError(f"--prefix takes {name} for a feature, and it is none; give a longer --prefix")
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise InputError(f"{path}: feature {name} is not a number; give a --prefix that leaves it out")
    return table[names].to_numpy(np.float64)


def _rest(table: pd.DataFrame, by: str, without: Sequence[str]) -> pd.DataFrame:
    """Return the rows of the other classes."""
    labels = table[by].astype("string")
    known = sorted(set(labels.dropna()))
    if absent := sorted(set(without) - set(known)):
        raise InputError(f"--without: {by} has no {absent[0]!r}{registry.nearest(absent[0], known)}")
    return table[~labels.isin(without)].reset_index(drop=True)


def _level(group: str) -> list[str]:
    """Columns that name a group: a well is one of its plate, for every plate has an A01."""
    return next((columns for columns in splitting.LEVELS.values() if columns[-1] == group), [group])


def _groups(table: pd.DataFrame, group: str) -> "pd.Series[str]":
    """Return the group of each row, empty where a part of its name is."""
    parts = table[_level(group)].astype("string").fillna("")
    return parts.agg("/".join, axis="columns").mask((parts == "").any(axis="columns"), "")


def _tiles(table: pd.DataFrame, crops: Path | None, crops_table: Path | None) -> NDArray[Any] | None:
    """Return the tiles (n, C, H, W) of the rows of the table, or none where no crops are named."""
    if crops is None or crops_table is None:
        if crops or crops_table:
            raise InputError("the floors of the pixels need both --crops and --crops-table")
        return None
    key = schema.OBJECT_KEY
    found = tables.read_parquet(crops_table, "synthesize")
    schema.check(found, [schema.CROP_FILE, schema.CROP_STATUS], str(crops_table), key)
    schema.check(table, [], "the embedding", key)
    kept = found.loc[found[schema.CROP_STATUS] == schema.KEPT, [*key, schema.CROP_FILE]]
    joined = table[key].astype({schema.OBJECT: kept[schema.OBJECT].dtype}).merge(kept, on=key, how="left")
    lost = joined[joined[schema.CROP_FILE].isna()]
    if len(lost):
        which = ", ".join(str(v) for v in lost[key].iloc[0])
        raise InputError(
            f"{crops_table} has no kept crop for {count(len(lost), 'row')} of the embedding, the first is {which}"
        )
    channels, size = _cells.shape(crops, joined)
    return packs.tiles(crops, joined, channels, size, files.scratch("tiles", "decoded"))


def _scores(task: Task, features: Floats, tiles: NDArray[Any] | None, options: params.Params) -> list[Scores]:
    """Score the embedding and its floors, under a progress bar."""
    settings, floors = options.similarity, {}
    if tiles is not None:
        floors = classification.pixel_floors(tiles, features.shape[1], settings.pca_cells, options.seed)

    def shown(done: Iterable[Any], total: int) -> Iterable[Any]:
        console = Console(stderr=True)
        return track(done, "score", total, console=console, transient=True, disable=not console.is_terminal)

    return classification.score(
        task, features, floors, options.seed, settings.bootstrap, settings.confidence, files.jobs(), shown
    )


def _splits(table: pd.DataFrame) -> dict[str, int]:
    """Cells of each split of the model that made the embedding."""
    counts = table[schema.SPLIT].value_counts() if schema.SPLIT in table.columns else pd.Series(dtype=int)
    return {str(k): int(v) for k, v in counts.sort_index().items()}


def _show(task: Task, scores: list[Scores], title: str, missing: str) -> None:
    """Show the scores on the terminal: all classes together, then each, then what is not in them."""
    console = Console()
    console.print(f"{title}; intervals below; lead of the embedding", highlight=False)
    columns = (
        "accuracy",
        "balanced\naccuracy",
        "macro F1",
        "lead in\naccuracy",
        "lead in\nmacro F1",
    )
    for name in classification.CLASSIFIERS:
        whole = Table(name.replace("_", "\n"), *columns, **_LOOK)
        for s in (s for s in scores if s.classifier == name):
            values = [_stacked(s.overall[n]) for n in ("accuracy", "balanced_accuracy", "macro_f1")]
            leads = [_stacked(s.difference[n], "+") for n in ("accuracy", "macro_f1") if s.difference]
            whole.add_row(drawing.label(s.method, s.width), *values, *leads)
        console.print(whole)
    heads = [f"{c}\n{n}" for c in ("RF", "LR") for n in ("prec.", "rec.", "F1")]
    each = Table(Column("class of the\nembedding", no_wrap=True), "cells", "groups", *heads, **_LOOK)
    mine = [s for s in scores if s.method == classification.EMBEDDING]
    for label in mine[0].classes:
        found = [s.classes[label][n] for s in mine for n in ("precision", "recall", "f1")]
        shown = ("-" if np.isnan(e.value) else f"{e.value:.2f}" for e in found)
        each.add_row(label or "(none)", f"{found[0].cells:,}", f"{found[0].groups:,}", *shown)
    console.print(each)
    for x in task.left:
        console.print(f"left out: {count(x.cells, 'cell')} of {x.label or 'no class'}: {x.reason}", highlight=False)
    for y in task.unseen:
        console.print(
            f"fold {y.fold} trains without {y.label}: {count(y.cells, 'cell')} counted as missed", highlight=False
        )
    if missing:
        console.print(missing, style="red", highlight=False)


def _said(e: Estimate) -> str:
    return f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})"


def _stacked(e: Estimate, sign: str = "") -> str:
    return f"{e.value:{sign}.3f}\n{e.low:.3f} {e.high:.3f}"


def _write(folder: Path, task: Task, scores: list[Scores], record: dict[str, Any]) -> None:
    """Write the numbers and the pictures that need no map."""
    files.write_json(folder / RECORD, {**record, **scorecard.summary(task, scores)})
    found = scorecard.table(scores)
    tables.write_csv(found, folder / "scores.csv")
    (folder / "scores.tex").write_text(scorecard.latex(found), encoding="utf-8")
    tables.write_csv(scorecard.predictions(task, scores), folder / "predictions.csv")
    figures.save(drawing.bars(found, str(record["missing"])), folder / "floors.png")
    for s in (s for s in scores if s.method == classification.EMBEDDING):
        floor = next(o for o in scores if (o.classifier, o.method) == (s.classifier, classification.MAJORITY))
        title = f"{s.classifier.replace('_', ' ')}: accuracy {_said(s.overall['accuracy'])}"
        title += f", majority {floor.overall['accuracy'].value:.3f}"
        figures.save(drawing.confusion(s.matrix, task.classes, title), folder / f"confusion_{s.classifier}.png")


def _maps(
    folder: Path, table: pd.DataFrame, features: Floats, task: Task, colours: list[str], supervised: str, seed: int
) -> None:
    """Draw the maps of at most `MAP_CELLS` of the scored cells."""
    from morphospace.metrics import layout  # UMAP takes seconds to import: only for who wants a map

    rng = np.random.default_rng([seed, _MAPPED])
    some = np.sort(rng.choice(len(task.rows), min(MAP_CELLS, len(task.rows)), replace=False))
    rows = task.rows[some]
    if colours:
        points = layout.layout(features[rows], seed)
        for column in colours:
            drawn = maps.draw(points, table[column].iloc[rows].to_list(), column)
            figures.save(drawn, folder / f"map_{_file_name(column)}.png")
    if supervised:
        hidden = hidden_groups(task, seed)[task.groups][some]
        codes = np.where(hidden, layout.HIDDEN, task.labels[some])
        points = layout.layout(features[rows], seed, labels=codes)
        names = [task.classes[c] for c in task.labels[some]]
        figures.save(maps.draw_halves(points, names, hidden, supervised), folder / "map_supervised.png")


def hidden_groups(task: Task, seed: int) -> NDArray[np.bool_]:
    """Return which groups (G,) hide their labels: of each class about `HIDE` of its groups, at least one, never all.

    Rare classes choose first. A group that holds several classes hides or shows them all, so that the shares of the
    others can differ then; `_hiding` says what they are.
    """
    rng = np.random.default_rng([seed, _HIDING])
    held = [np.unique(task.groups[task.labels == c]) for c in range(len(task.classes))]
    decided = np.zeros(int(task.groups.max()) + 1, dtype=np.intp)  # 1 hidden, -1 shown
    for groups in sorted(held, key=len):
        wanted = min(max(1, round(HIDE * len(groups))), len(groups) - 1)
        free = rng.permutation(groups[decided[groups] == 0])
        more = max(0, wanted - int((decided[groups] == 1).sum()))
        decided[free[:more]], decided[free[more:]] = 1, -1
    found: NDArray[np.bool_] = decided == 1
    return found


def _hiding(task: Task, seed: int) -> dict[str, dict[str, int]]:
    """Return how many groups and cells of each class hide their labels, of how many."""
    hidden = hidden_groups(task, seed)
    found = {}
    for code, label in enumerate(task.classes):
        groups = task.groups[task.labels == code]
        found[label] = {
            "groups": len(np.unique(groups)),
            "groups_hidden": int(hidden[np.unique(groups)].sum()),
            "cells": len(groups),
            "cells_hidden": int(hidden[groups].sum()),
        }
    return found


def _file_name(column: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in column)
