"""The command ``tune``: a search for parameters, each trial a DVC experiment. It is no stage of dvc.yaml."""

import json
import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import optuna
import typer
import yaml
from optuna.trial import Trial

from morphospace import files, params, places, registry, schema, spaces, tables
from morphospace.apps.tune import drawing, experiment, search
from morphospace.apps.tune import study as studies
from morphospace.errors import InputError, ParameterError
from morphospace.imaging import packs
from morphospace.metrics import floors
from morphospace.metrics import similarity as metric
from morphospace.reporting import figures
from morphospace.training import cells
from morphospace.training.recipe import Recipe

TARGET, BEFORE = "train", "split"  # the stage of a trial, and the last one that it needs
_PLANES = 3  # whether a model draws does not depend on how many
logger = logging.getLogger(__name__)


def run(
    spaces: Annotated[
        list[str] | None,
        typer.Option("--space", "-s", help="'z_dim=25,75' or 'train.beta={low: 0.1, high: 4, log: true}'; repeatable."),
    ] = None,
    trials: Annotated[
        int, typer.Option("--trials", "-n", min=1, help="How many trials to end, besides older ones.")
    ] = 20,
    timeout: Annotated[
        float | None, typer.Option(min=0.01, help="Minutes; what runs then is stopped, and goes on another time.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-j", min=1, help="Trials at a time.")] = 1,
    name: Annotated[str, typer.Option("--study", help="Name of the study; by default it names what it searches.")] = "",
    storage: Annotated[
        Path | None, places.STORE, typer.Option(help="SQLite file of the studies; tune.db by default.")
    ] = None,
    prune: Annotated[bool, typer.Option(help="Stop a trial that is worse than the median of the others.")] = True,
    output: Annotated[Path, places.FOLDER, typer.Option(help="Folder for the table and the figure.")] = Path(
        "reports/tune"
    ),
) -> None:
    """Search for better parameters: each trial is a DVC experiment that trains the model with values of its own.

    The space is the section `tune` of params.yaml, or what --space says. The lowest mean squared error on the cells of
    the validation wells wins: it can be compared whatever z_dim, the loss factor and beta are, which the loss cannot.
    Test wells are never looked at. Run the command again to go on, also after a kill, and in two terminals at once to
    share the work. At the end stands the line that brings the best trial into the workspace.
    """
    options = params.load()
    space = _space(options, spaces)
    distributions = _checked(options, space)
    _require_drawing(options)
    stage, database = _stage(options.model), storage or files.repository() / "tune.db"
    studies.check_file(database)
    if name and not files.is_safe_name(name):
        raise ParameterError(f"--study {name!r} may have letters, digits, '.', '_' and '-' only")
    experiment.bring(BEFORE)
    identity = studies.Identity(space, _base(options, space, stage))
    name = name or f"{options.model}-{files.fingerprint(identity._asdict())[:8]}"
    floor = _floor(*stage.data)
    study = studies.connect(database, name, identity, options.train.epochs // 4, prune)
    for number in studies.reap(study):
        logger.info("trial %d was interrupted; it goes on from its last epoch", number)

    def start(trial: Trial) -> experiment.Experiment:
        folder, jobs = files.scratch("tune", name), max(1, files.jobs() // workers)
        return experiment.Experiment(f"tune-{name}-{trial.number}", trial.params, TARGET, folder, jobs)

    def result(of: str) -> tuple[float, dict[str, Any]]:
        found = experiment.measured(of, stage.metrics)
        noted = {studies.KL: found["validation_kl"], studies.EPOCHS: found["epochs"]}
        return found["validation_mse"], noted

    plan = search.Plan(distributions, options.seed, trials, 60 * (timeout or math.inf), workers)
    calls = search.Callbacks(start, result, lambda line: logger.info("%s", line))
    ended = "it was interrupted"
    try:
        ended = search.Search(study, plan, calls).run()
    finally:
        _write(study, space, floor, output)
        logger.info("study %s: %s", name, ended)
    _say(study, floor, output)


class Stage(NamedTuple):
    """What dvc.yaml says of the stage of a trial."""

    data: list[Path]  # crops, their table, the split, the metrics of synthesize
    code: list[Path]
    metrics: str


class Floor(NamedTuple):
    """The best picture that knows nothing of the cell, by its mean squared error on the validation cells."""

    name: str
    mse: float


def _space(options: params.Params, given: list[str] | None) -> dict[str, Any]:
    """Return the space of the command line, or else of params.yaml, as plain JSON."""
    text: Mapping[str, Any] = dict(_option(entry) for entry in given or []) or options.tune
    if not text:
        raise ParameterError("there is nothing to search: fill the section tune of params.yaml, or give --space")
    return {
        key: values.model_dump() if isinstance(values, spaces.Range) else values
        for key, values in spaces.space(text).items()
    }


def _option(entry: str) -> tuple[str, Any]:
    """Return key and values of ``--space``: YAML, or choices with commas as `dvc exp run` takes them."""
    key, found, text = entry.partition("=")
    try:
        values = yaml.safe_load(text)
        values = yaml.safe_load(f"[{text}]") if isinstance(values, str) or np.isscalar(values) else values
    except yaml.YAMLError:
        found = ""
    if not found:
        raise ParameterError(f"--space {entry!r} is not KEY=[1, 2] or 'KEY={{low: 1, high: 2}}'")
    return key.strip(), _numbers(values)


def _numbers(values: Any) -> Any:
    """Read 1e-4 as the number that it is everywhere but in YAML."""
    if isinstance(values, dict):
        return {k: _numbers(v) for k, v in values.items()}
    if isinstance(values, list):
        return [_numbers(v) for v in values]
    return (
        float(values) if isinstance(values, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", values) else values
    )


def _checked(options: params.Params, space: Mapping[str, Any]) -> dict[str, Any]:
    """Return Optuna's distributions, each end and each choice validated as a value of params.yaml."""
    current = {"z_dim": options.z_dim} | {f"train.{k}": v for k, v in options.train.model_dump().items()}
    current |= {f"{options.model}.{k}": v for k, v in options.model_options.items()}
    found = {}
    for key, values in space.items():
        if key not in current:
            raise ParameterError(
                f"the space names {key!r}, which is not searched{registry.nearest(key, list(current))}"
            )
        ranged = isinstance(values, dict)
        if ranged and (isinstance(current[key], bool) or not isinstance(current[key], int | float)):
            raise ParameterError(f"{key} is {current[key]!r}, no number: give a list of choices")
        whole = ranged and isinstance(current[key], int)
        for value in (values["low"], values["high"]) if ranged else values:
            if whole and value != int(value):
                raise ParameterError(f"{key} is a whole number; {value:g} is none")
            params.load(changes={key: int(value) if whole else value})
        found[key] = studies.distribution(values, whole)
    return found


def _require_drawing(options: params.Params) -> None:
    """Refuse a model without a squared error to compare trials by."""
    if not Recipe(**options.training()).untrained(_PLANES, options.synthesize.size).reconstructs:
        raise ParameterError(
            f"{options.model} draws nothing, so its trials have no squared error to be compared by; "
            "compare its embeddings instead: `dvc exp run -S ...` for each, and `morphospace score`"
        )


def _stage(model: str) -> Stage:
    """Return what dvc.yaml says of the stage that a trial runs."""
    path = Path("dvc.yaml")
    try:
        stage = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"][TARGET]
        deps = [Path(str(d).replace("${model}", model)) for d in stage["deps"]]
        metrics = next(iter(stage["metrics"][0]))
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise InputError(f"{path} has no stage {TARGET} with deps and metrics ({error!r})") from None
    code = [d for d in deps if d.parts[0] == "src"]
    return Stage([d for d in deps if d not in code], code, metrics)


def _base(options: params.Params, space: Mapping[str, Any], stage: Stage) -> str:
    """Return the fingerprint of all that decides a value and is not searched."""
    fixed: dict[str, Any] = {"model": options.model, "z_dim": options.z_dim, "seed": options.seed}
    fixed |= {f"train.{k}": v for k, v in options.train.model_dump().items()}
    fixed |= {f"{options.model}.{k}": v for k, v in options.model_options.items()}
    return files.fingerprint({k: v for k, v in fixed.items() if k not in space}, *stage.data, *stage.code)


def _floor(crops: Path, crops_table: Path, splits: Path, synthesis: Path) -> Floor:
    """Fit the trivial pictures on the training cells, as the stage similarity does, and score the validation cells."""
    table = cells.read(crops_table, splits)
    channels, size = cells.form(synthesis)
    tiles = packs.tiles(crops, table, len(channels), size, files.scratch("tiles", "decoded"))
    train, validation = (np.flatnonzero(table[schema.SPLIT] == s) for s in (schema.TRAIN, schema.VALIDATION))
    if not len(validation):
        raise ParameterError("there are no validation cells to compare trials on; raise split.validation")
    errors = {
        name: float(metric.evaluate(tiles, validation, _always(picture), name).mse[:, 0].mean())
        for name, picture in floors.trivial(tiles, train).items()
    }
    return Floor(*min(errors.items(), key=lambda item: item[1]))


def _always(picture: metric.Floats) -> metric.Reconstruct:
    """Return the predictor that draws one picture (C, H, W) for every cell."""
    return lambda originals: np.broadcast_to(picture, originals.shape)


def _write(study: optuna.Study, space: Mapping[str, Any], floor: Floor, output: Path) -> None:
    """Write the table, as CSV and Markdown, and the figure."""
    keys, logs = list(space), [key for key, values in space.items() if isinstance(values, dict) and values["log"]]
    found = studies.table(study, keys, floor.mse)
    with files.replacing_folder(output, listed=True) as folder:
        tables.write_csv(found, folder / "trials.csv")
        (folder / "trials.md").write_text(drawing.markdown(found, keys, floor.name, floor.mse), encoding="utf-8")
        figure = drawing.figure(found, keys, floor.name, floor.mse, studies.importances(study), logs)
        figures.save(figure, folder / "trials.png")


def _say(study: optuna.Study, floor: Floor, output: Path) -> None:
    """Name the best trial and the command that brings it."""
    typer.echo(f"All trials: {output / 'trials.md'}")
    best = studies.best(study)
    if best is None or best.value is None:
        typer.echo("No trial is complete yet; run the command again to go on.")
        return
    name, skill = best.user_attrs[studies.EXPERIMENT], 1 - best.value / floor.mse
    typer.echo(f"Best: trial {best.number}, {json.dumps(best.params)}")
    typer.echo(f"Validation MSE {best.value:.5g}; skill over the {floor.name} picture ({floor.mse:.5g}): {skill:.3f}")
    typer.echo(f"To bring it here, and score it on the test wells: dvc exp apply {name} && dvc repro")
