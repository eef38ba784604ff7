"""The command ``shapes``: embed the outlines of objects, and see whether that tells more than older descriptors."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from morphospace import files, params, places, schema, splitting, tables
from morphospace.apps.shapes import autoencoder, contour, descriptors, distances, drawing, train
from morphospace.apps.shapes import folder as pictures
from morphospace.apps.shapes.compare import Floats, Learned, Rows, Trainer
from morphospace.apps.shapes.distances import Scale
from morphospace.apps.shapes.masks import Mask, Parts, RefusedError, Whole, objects, whole
from morphospace.errors import InputError
from morphospace.imaging import packs
from morphospace.metrics import forest, representations
from morphospace.metrics.forest import Method, Scored
from morphospace.reporting import figures
from morphospace.training.data import Minibatches
from morphospace.training.embedding import device
from morphospace.words import count

RECORD, OBJECTS = "shapes.json", "objects.parquet"  # what this command wrote, and the stage segment
MINIBATCH, SHOWN = 32, 8  # shapes a step, and in the picture
PREFIX, LABEL, GROUP = "Shape_Latent_", "label", "group"
GROUPED, TORN, ALONE = "groups kept together", "groups torn apart", "every shape its own group"
REFERENCE = "region properties, shape"
Learn = Literal["folds", "all", "both"]

log = logging.getLogger(__name__)


class Source(NamedTuple):
    """A mask, what names it in a table, its class and its group; an empty text is none."""

    key: dict[str, Any]
    mask: Mask
    label: str
    group: str


class Shapes(NamedTuple):
    """Usable objects: a row of `table`, a mask, a contour (n, 2) and properties each; and what was not usable."""

    table: pd.DataFrame
    wholes: list[Whole]
    lines: NDArray[np.float64]
    regions: pd.DataFrame
    skipped: pd.DataFrame
    mended: Counter[str]


def run(
    masks: Annotated[Path, typer.Argument(help="Folder of masks (X.png) or label images (X_labels.png), or of packs.")],
    labels: Annotated[Path | None, typer.Option(help="CSV with `file` and the columns of --by and --group.")] = None,
    by: Annotated[str, typer.Option(help="Column with the class of each object.")] = schema.MOA,
    group: Annotated[str | None, typer.Option(help="Column; rows of one value depend on each other.")] = None,
    compartment: Annotated[str, typer.Option(help="Of packs: Nuclei, Cells or Cytoplasm.")] = "Cells",
    kind: Annotated[list[str] | None, typer.Option(help="circular or residual; again for both.")] = None,
    learn: Annotated[Learn, typer.Option(help="What networks learn from: training folds, all masks, both.")] = "both",
    scale: Annotated[Scale, typer.Option(help="window keeps size in the shape, frobenius takes it out.")] = "window",
    window: Annotated[float, typer.Option(min=1, help="px that are 1 in a distance matrix.")] = 64,
    points: Annotated[int, typer.Option(min=16, help="Of a contour; a multiple of 8.")] = 64,
    latent: Annotated[int, typer.Option(min=1, help="Numbers a shape.")] = 16,
    epochs: Annotated[int, typer.Option(min=1, help="Of each autoencoder.")] = 40,
    learning_rate: Annotated[float, typer.Option(min=1e-8, help="At its highest.")] = 5e-3,
    number: Annotated[int, typer.Option("--folds", min=2, help="Parts, each held out once.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Divisions into folds; one for networks in folds.")] = 3,
    parts: Annotated[Parts, typer.Option(help="Of a mask with several: the largest, or refuse it.")] = "largest",
    keep_border: Annotated[bool, typer.Option(help="Use masks that touch the border, too.")] = False,
    output: Annotated[Path, places.FOLDER, typer.Option(help="Folder to write.")] = Path("reports/shapes"),
) -> None:
    """Embed the outlines of objects by an autoencoder of distance matrices, and score it beside older descriptors.

    Mask, contour, spline, D (the distances between all pairs of its points), autoencoder. embeddings.parquet has a row
    an object; skipped.csv says what was left out and why; reconstructions.png goes there and back. MASKS may be
    data/objects, whose classes and groups are those of objects.parquet. With classes, a random forest is scored in
    stratified k-fold twice, with groups kept together and torn apart: on the embedding, on region properties, on
    elliptic Fourier descriptors and on PCA of D.
    """
    started, options = time.perf_counter(), params.load()
    shapes = _load(_sources(masks, labels, by, group, compartment), points, parts, keep_border)
    matrices, units = _matrices(shapes.lines, scale, window)
    trainer = Trainer(matrices, units, _minibatches, device(), lambda epochs: _bar(epochs, len(epochs), "train"))
    kinds = autoencoder.kinds(kind or ["circular"])
    settings = [train.Settings(k, latent, epochs, options.seed, learning_rate=learning_rate) for k in kinds]
    learned = _learned(trainer, settings, learn)
    scores = _score(shapes, learned, number, repeats, options) if shapes.table[LABEL].any() else {}
    name, shown = next((name, of) for name, of in learned.items() if not of.in_folds)
    latents, drawn = shown.everything()
    record = {
        "masks": str(masks),
        "settings": {"points": points, "scale": scale, "window": window, **settings[0]._asdict(), "kind": kinds},
        "error_px": {n: of.error() for n, of in learned.items()},
        **_numbers(shapes, scores),
        "seconds": time.perf_counter() - started,
    }
    with files.replacing_folder(output, listed=True) as aside:
        _write(aside, shapes, latents, scores)
        tables.write_csv(pd.DataFrame(trainer.history), aside / "history.csv")
        title = f"{name}: {latent} numbers a shape, error {shown.error():.2f} px (RMS); best to worst"
        there = _there(shapes, matrices, drawn, units, shown.errors)
        figures.save(drawing.reconstructions(there, title), aside / "reconstructions.png")
        files.write_json(aside / RECORD, record)
    _say(shapes, scores, output)


def _sources(masks: Path, labels: Path | None, by: str, group: str | None, compartment: str) -> Iterator[Source]:
    """Yield the objects of a folder of packs or of pictures, with class and group where there are any."""
    if (masks / OBJECTS).is_file():
        return _packed(masks, labels, by, group or schema.WELL, compartment)
    return _pictures(masks, labels, by, group)


def _packed(folder: Path, labels: Path | None, by: str, group: str, compartment: str) -> Iterator[Source]:
    """Yield the objects of the stage segment; a mechanism that is not annotated is no class."""
    if labels:
        raise InputError(f"{folder} holds packs, whose classes are in {OBJECTS}; leave --labels out")
    if compartment not in packs.COMPARTMENTS:
        raise InputError(f"there is no compartment {compartment!r} (there are: {', '.join(packs.COMPARTMENTS)})")
    level = next((columns for columns in splitting.LEVELS.values() if columns[-1] == group), [group])
    table = tables.read_parquet(folder / OBJECTS, "segment")
    schema.check(table, [by, *level], str(folder / OBJECTS), key=schema.OBJECT_KEY)
    text = table[[by, *level]].astype("string").fillna("")
    label = text[by].mask(text[by] == schema.UNKNOWN, "")
    classes = zip(label, text[level].agg("/".join, axis=1), strict=True)
    rows = dict(zip(table[schema.OBJECT_KEY].itertuples(index=False, name=None), classes, strict=True))
    image_sets = table[schema.IMAGE_SET_KEY].drop_duplicates().astype(str)
    for plate, well, site in _bar(image_sets.itertuples(index=False), len(image_sets), "masks"):
        for number, mask in objects(packs.read_labels(folder / f"{plate}.zip", well, site)[compartment]):
            of = (plate, well, site, number)
            if of in rows:
                yield Source(dict(zip(schema.OBJECT_KEY, of, strict=True)), mask, *rows[of])


def _pictures(folder: Path, labels: Path | None, by: str, group: str | None) -> Iterator[Source]:
    """Yield the masks of a folder of PNGs, and say how many labels have no mask."""
    paths = sorted(folder.glob("*.png"))
    if not paths:
        raise InputError(f"{folder} has no PNG and no {OBJECTS}; give a folder of masks, or data/objects")
    rows: dict[str, list[str]] = {}
    if labels:
        columns = [by, group] if group else [by, pictures.FILE]
        table = pictures.labels(labels, columns)
        rows = dict(zip(table[pictures.FILE], table[columns].to_numpy().tolist(), strict=True))
    without = set(rows)
    for name, mask in pictures.masks(_bar(paths, len(paths), "masks")):
        without.discard(name)
        yield Source({pictures.FILE: name}, mask, *rows.get(name, ["", name]))
    if without:
        log.warning("%d labels without a mask, the first is %s", len(without), min(without))


def _load(sources: Iterable[Source], points: int, parts: Parts, keep_border: bool) -> Shapes:
    """Return the usable objects; the others are counted, by reason."""
    rows, wholes, lines, regions, skipped = [], [], [], [], []
    mended: Counter[str] = Counter()
    for key, mask, label, group in sources:
        try:
            found = whole(mask, parts, keep_border)
            line = contour.contour(found.mask, points)
        except RefusedError as error:
            skipped.append({**key, "reason": error.reason, "detail": str(error)})
            continue
        rows.append({**key, LABEL: label, GROUP: group})
        wholes.append(found)
        lines.append(line)
        regions.append(descriptors.region(found.part, found.origin))
        mended.update(found.notes)
    lost = pd.DataFrame(skipped, columns=None if skipped else ["reason", "detail"])
    if len(rows) < 2:
        why = ", ".join(f"{n} {reason}" for reason, n in lost["reason"].value_counts().items())
        raise InputError(f"{len(rows)} usable mask(s), {len(lost)} skipped ({why}); an embedding needs two or more")
    return Shapes(pd.DataFrame(rows), wholes, np.array(lines), pd.DataFrame(regions), lost, mended)


def _matrices(lines: NDArray[np.float64], scale: Scale, window: float) -> tuple[Floats, NDArray[np.float64]]:
    """Return the distance matrices (N, n, n) and the px that are 1 in each (N,)."""
    raw = [distances.distances(line) for line in lines]
    units = np.array([distances.unit(d, scale, window) for d in raw])
    return np.stack([d / u for d, u in zip(raw, units, strict=True)]).astype(np.float32), units


def _minibatches(rows: Rows, seed: int, epoch: int) -> Minibatches:
    return Minibatches(rows, MINIBATCH, seed, lambda: epoch)


def _learned(trainer: Trainer, settings: Sequence[train.Settings], learn: Learn) -> dict[str, Learned]:
    """Return what learns from distance matrices, by name; the first network learns from all, for the embedding."""
    found = {f"PCA-{settings[0].latent} of D": trainer.linear(settings[0].latent, settings[0].seed)}
    for i, of in enumerate(settings):
        if learn != "folds" or not i:
            found[f"{of.kind}, learned from all"] = trainer.network(of, in_folds=False)
        if learn != "all":
            found[f"{of.kind}, learned in folds"] = trainer.network(of, in_folds=True)
    return found


def _score(
    shapes: Shapes, learned: Mapping[str, Learned], number: int, repeats: int, options: params.Params
) -> dict[str, list[Scored]]:
    """Return the scores by division into folds. Networks in folds are trained for the strictest division alone."""
    fixed = {
        "region properties, published": shapes.regions[list(descriptors.PUBLISHED)].to_numpy(),
        REFERENCE: shapes.regions[list(descriptors.SHAPE)].to_numpy(),
        f"elliptic Fourier, order {descriptors.ORDER}": np.array([descriptors.fourier(x) for x in shapes.lines]),
    }
    methods = {name: Method(representations.fixed(x), repeats) for name, x in fixed.items()}
    costly = {name for name, of in learned.items() if of.in_folds and not name.startswith("PCA")}
    methods |= {name: Method(of, 1 if name in costly else repeats) for name, of in learned.items()}
    whole_groups = forest.tasks(
        shapes.table[LABEL].tolist(), shapes.table[GROUP].tolist(), number, repeats, options.seed
    )
    cheap = {name: of for name, of in methods.items() if name not in costly}
    if shapes.table[GROUP].is_unique:
        plans = {ALONE: (whole_groups, methods)}
    else:
        plans = {GROUPED: (whole_groups, methods), TORN: (forest.torn(whole_groups, options.seed), cheap)}
    of = options.similarity
    return {
        split: forest.score(divisions, by, REFERENCE, options.seed, of.bootstrap, of.confidence, files.jobs(), _bar)
        for split, (divisions, by) in plans.items()
    }


def _there(
    shapes: Shapes, matrices: Floats, drawn: Floats, units: NDArray[np.float64], errors: NDArray[np.float64]
) -> list[drawing.There]:
    """Return shapes from the best reconstructed to the worst, there and back."""
    found = []
    keys = shapes.table.drop(columns=[LABEL, GROUP]).astype(str).agg("/".join, axis=1)
    for row in np.argsort(errors)[np.unique(np.linspace(0, len(errors) - 1, SHOWN).round().astype(int))]:
        line, mine = shapes.lines[row], drawn[row] * units[row]
        back, order = distances.matched(distances.to_contour(mine), line)
        title = f"{keys.iloc[row].removesuffix('.png')[:22]}\n{errors[row]:.2f} px"
        there = drawing.There(
            title, shapes.wholes[row].mask, line, matrices[row] * units[row], mine[np.ix_(order, order)], back
        )
        found.append(there)
    return found


def _numbers(shapes: Shapes, scores: Mapping[str, Sequence[Scored]]) -> dict[str, Any]:
    """Return counts and scores as plain numbers."""
    groups = shapes.table.loc[shapes.table[LABEL] != "", GROUP]
    return {
        "shapes": len(shapes.table),
        "without_label": int((shapes.table[LABEL] == "").sum()),
        "classes": shapes.table.loc[shapes.table[LABEL] != "", LABEL].value_counts().to_dict(),
        "groups": int(groups.nunique()),
        "skipped": shapes.skipped["reason"].value_counts().to_dict(),
        "mended": dict(shapes.mended),
        "scores": {split: forest.summary(of) for split, of in scores.items()},
    }


def _write(folder: Path, shapes: Shapes, latents: Floats, scores: Mapping[str, Sequence[Scored]]) -> None:
    names = [f"{PREFIX}{i}" for i in range(latents.shape[1])]
    table = pd.concat([shapes.table, pd.DataFrame(latents, columns=names)], axis=1)
    table.to_parquet(folder / "embeddings.parquet", index=False)
    tables.write_csv(shapes.skipped, folder / "skipped.csv")
    if scores:
        found = forest.table(scores)
        tables.write_csv(found, folder / "scores.csv")
        (folder / "scores.md").write_text(drawing.markdown(found), encoding="utf-8")
        figures.save(drawing.bars(found), folder / "scores.png")


def _say(shapes: Shapes, scores: Mapping[str, Sequence[Scored]], output: Path) -> None:
    for split, of in scores.items():
        table = Table("method", *drawing.SCORES, title=split)
        for s in of:
            table.add_row(s.method, *(f"{s.scores[k].value:.3f}" for k in drawing.SCORES))
        Console().print(table)
    typer.echo(f"{count(len(shapes.table), 'shape')}, {len(shapes.skipped)} skipped: {output}")


def _bar(items: Iterable[Any], total: int, what: str = "forests") -> Iterable[Any]:
    """Wrap what takes long in a progress bar, on a terminal."""
    console = Console(stderr=True)
    return track(items, what, total, console=console, transient=True, disable=not console.is_terminal)
