"""The command line: `morphospace NAME` for people, `morphospace stage NAME` for ``dvc.yaml``; imports on use."""

import importlib
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer
import typer.core
from rich.console import Console
from rich.logging import RichHandler

from morphospace.errors import MorphospaceError


class Command(NamedTuple):
    """Where it stands in the help, the module below `morphospace` whose ``run`` it is, and its line in the help."""

    group: str
    module: str
    help: str

    def load(self) -> Callable[..., Any]:
        """Import its module and return what it runs."""
        run: Callable[..., Any] = importlib.import_module(f"morphospace.{self.module}").run
        return run


LOOK, COMPARE, SHARE, ELSEWHERE = "Look", "Compare", "Share", "Run elsewhere"
COMMANDS = {
    "serve": Command(
        LOOK,
        "apps.serve.command",
        "Show the cells on a page in the browser: map, crops, neighbours, walks through the latent space.",
    ),
    "search": Command(
        LOOK, "apps.search.command", "Find the cells, wells or treatments nearest to a crop or a cell, by tags."
    ),
    "reconstruct": Command(
        LOOK, "commands.reconstruct", "Draw any crops as a trained model does, with the score of each."
    ),
    "embed": Command(LOOK, "commands.embed", "Write the latent mean of any crops, from a trained model alone."),
    "profile": Command(
        LOOK,
        "commands.profile",
        "Make profiles of sites, wells and treatments from any table: ours, CellProfiler's, pycytominer's.",
    ),
    "compare": Command(
        COMPARE,
        "commands.compare",
        "Compare the experiments of `dvc exp run`, or (--models) train and compare every model.",
    ),
    "tune": Command(
        COMPARE,
        "apps.tune.command",
        "Search for better parameters: each trial is a DVC experiment, compared on the validation wells.",
    ),
    "score": Command(
        COMPARE, "commands.score", "Score an embedding: classifiers on held-out groups, beside their floors; UMAPs."
    ),
    "moa": Command(
        COMPARE,
        "commands.moa",
        "Score mechanisms of action from any profiles, or on a folder of raw cells, beside their floors.",
    ),
    "cross": Command(
        COMPARE, "commands.cross", "Train one model a class, and score each on the held-out cells of every class."
    ),
    "shapes": Command(
        COMPARE, "apps.shapes.command", "Embed the outlines of objects, and score them beside older descriptors."
    ),
    "nuclei": Command(COMPARE, "commands.nuclei", "Score the engines' nuclei on a folder of images with label images."),
    "changes": Command(
        SHARE,
        "apps.pull_request.command",
        "Show what a branch changes, for a pull request: S with its interval, parameters, metrics, pictures.",
    ),
    "doctor": Command(
        SHARE, "apps.cloud.doctor", "Ask the bucket, and look at disk, git and environments, before a long push or run."
    ),
    "s3": Command(SHARE, "apps.cloud.s3", "Serve a bucket from this machine, for those without one, until Ctrl-C."),
    "tracking": Command(
        SHARE, "commands.tracking", "Print where MLflow's record of the runs lies; `make mlflow` opens it."
    ),
    "budget": Command(
        ELSEWHERE,
        "apps.budget.command",
        "Show what the last run cost; predict what a grid will cost; cap what may be spent.",
    ),
    "rent": Command(
        ELSEWHERE, "apps.cloud.rent", "Train one experiment on a rented spot GPU that always ends, and bring it back."
    ),
}
STAGES = {
    "fetch": "Bring the images and their metadata as published.",
    "index": "List the image sets, joined with compound, concentration and mechanism; drop what cannot be read.",
    "illuminate": "Estimate the illumination function of each plate and channel.",
    "segment": "Find nuclei, cells and cytoplasm in every image set.",
    "validate": "Compare the segmentation engines with each other and with the truth, where there is one.",
    "synthesize": "Cut one PNG a cell, packed in a ZIP a plate.",
    "split": "Divide the cells into train, validation and test, group by group, with a certificate.",
    "train": "Train the model named in params.yaml.",
    "embed": "Write the latent mean of every cell, and what the latent space looks like.",
    "profile": "Write the profiles of sites, wells and treatments, each plate measured from its negative controls.",
    "moa": "Score mechanisms of action, beside everything that must be beaten.",
    "similarity": "Score the reconstructions, beside their floors, with intervals.",
    "dose": "Measure each well's distance from the negative controls, and whether it rises with dose.",
    "interpret": "Say which latents move with dose, mechanism, plate, cell size and intensity.",
    "package": "Put the model into a folder with its card: data, parameters, scores, limits, licence.",
    "budget": "Add up hours, money and storage, for this run and for the thesis's.",
    "report": "Write report.html and report.md.",
}


class LazyGroup(typer.core.TyperGroup):
    """Lists commands by group, but imports the module of a command only when it is called."""

    known: Mapping[str, Command] = COMMANDS
    guarded = True  # whether the places that a command writes to are checked before it begins

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table, then what was added by hand."""
        return [*self.known, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a stand-in with the one-line help; `resolve_command` returns the command itself."""
        if cmd_name in self.known:
            command = self.known[cmd_name]
            return typer.core.TyperCommand(cmd_name, help=command.help, rich_help_panel=command.group)
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the module that was asked for and make a command of its ``run``."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.known:
            command = self._command(str(name))
        return name, command, rest

    def _command(self, name: str) -> Any:
        from morphospace import places

        run = self.known[name].load()
        made = typer.Typer(add_completion=False, rich_markup_mode=None)
        made.command(name)(places.guarded(run) if self.guarded else run)
        return typer.main.get_command(made)


class StageGroup(LazyGroup):
    """The stages of ``dvc.yaml``, which names their places."""

    known: Mapping[str, Command] = {
        name: Command("In the order of dvc.yaml", f"stages.{name}", text) for name, text in STAGES.items()
    }
    guarded = False


_SETTINGS: dict[str, Any] = {
    "no_args_is_help": True,
    "add_completion": False,
    "pretty_exceptions_enable": False,
}
app = typer.Typer(
    cls=LazyGroup,
    help="From microscope plates to a latent space of cell morphology. `dvc repro` runs the stages in order; the "
    "commands below are for what comes before and after.",
    **_SETTINGS,
)
stages = typer.Typer(cls=StageGroup, **_SETTINGS)
app.add_typer(stages, name="stage", help="One stage of dvc.yaml, with its paths, as `dvc repro` calls it.")


@stages.callback()
def _stages(
    context: typer.Context,
    report: Annotated[
        Path | None, typer.Option(help="The last report: where it is of another data set, it gives way to a note.")
    ] = None,
) -> None:
    """One stage of dvc.yaml, with its paths in the order declared there; `dvc repro NAME` types them for you."""
    if report and not {"-h", "--help"} & set(sys.argv):
        from morphospace import params
        from morphospace.reporting import stale

        options = params.load()
        if before := stale.give_way(report, options.model, options.data_set, str(context.invoked_subcommand)):
            logging.getLogger(__name__).warning(
                "%s was the report of %s: it gave way to a note until the run on %s ends",
                report, before, options.data_set,
            )  # fmt: skip


@app.callback()
def _main() -> None:
    """Set up logging once, for every command."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False, show_time=False)],
    )


def main() -> None:
    """Run the command line; a user's mistake, or a disk that refuses, is one red line and exit code 1."""
    try:
        app()
    except MorphospaceError as error:
        _end(error)
    except Exception as error:
        from morphospace import files

        if said := files.disk_error(error):
            _end(said)
        raise


def _end(error: MorphospaceError) -> NoReturn:
    Console(stderr=True).print(f"[bold red]error:[/] {type(error).__name__}: ", end="", soft_wrap=True)
    Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
    sys.exit(1)
