"""The command line: one command a stage of ``dvc.yaml``, its module imported only when it runs."""

import logging
import sys
from typing import Any

import typer
import typer.core
from rich.console import Console
from rich.logging import RichHandler

from morphospace.errors import MorphospaceError

COMMANDS = {
    "fetch": "Bring the images and their metadata as published.",
    "index": "List the image sets, joined with compound, concentration and mechanism; drop what cannot be read.",
    "illuminate": "Estimate the illumination function of each plate and channel.",
    "segment": "Find nuclei, cells and cytoplasm in every image set.",
    "validate": "Compare the segmentation engines with each other and with the truth, where there is one.",
    "synthesize": "Cut one PNG a cell, packed in a ZIP a plate.",
    "split": "Divide the cells into train, validation and test, group by group, with a certificate.",
    "train": "Train the model named in params.yaml.",
    "embed": "Write the latent mean of every cell, and what the latent space looks like.",
    "similarity": "Score the reconstructions, beside their floors, with intervals.",
    "budget": "Add up hours, money and storage, for this run and for the thesis's.",
    "report": "Write report.html and report.md.",
    "compare": "Compare the experiments of `dvc exp run`: a table and a plot of S against z_dim.",
    "nuclei": "Score the engines' nuclei on a folder of images with label images.",
}


class LazyGroup(typer.core.TyperGroup):
    """Lists every command, but imports a command's module only when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the pipeline."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a stand-in with the one-line help; `resolve_command` returns the command itself."""
        if cmd_name not in COMMANDS:
            return None
        return typer.core.TyperCommand(cmd_name, help=COMMANDS[cmd_name])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the stage that was asked for and make a command of its ``run``."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            command = _command(name)
        return name, command, rest


def _command(name: str) -> Any:
    from morphospace import registry

    stage = typer.Typer(add_completion=False, rich_markup_mode=None)
    stage.command(name)(registry.load("stages", name).run)
    return typer.main.get_command(stage)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From microscope plates to a latent space of cell morphology. `dvc repro` runs the stages in order.",
)


@app.callback()
def _main() -> None:
    """Set up logging once, for every command."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False, show_time=False)],
    )


def main() -> None:
    """Run the command line; a user's mistake is one red line and exit code 1."""
    try:
        app()
    except MorphospaceError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {type(error).__name__}: ", end="", soft_wrap=True)
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
