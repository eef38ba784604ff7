"""Where a person may point: every path parameter, and every place that any command writes to."""

import inspect
import os
import shutil
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.testing import CliRunner

from morphospace import cli, options, places, registry
from morphospace.commands import profile
from morphospace.datasets import bbbc021, folder
from morphospace.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
# What each command reads. A new parameter that is a path is named here, or marked in its annotation as written to.
READ = {
    ("budget", "prices"),
    ("compare", "json_file"),
    *((c, name) for c in ("compare", "moa", "score", "search", "serve", "cross") for name in ("crops", "crops_table")),
    *((c, "embeddings") for c in ("score", "search", "serve")),
    *((c, "model") for c in ("embed", "reconstruct", "search", "serve")),
    *((c, "images") for c in ("embed", "reconstruct")),
    *((c, "cells") for c in ("compare", "moa")),
    *((c, "splits") for c in ("compare", "cross")),
    *(("nuclei", name) for name in ("folder", "pipeline")),
    *(("shapes", name) for name in ("masks", "labels")),
    *(("profile", name) for name in ("table", "metadata")),
    ("moa", "profiles"),
}
NOT_PATHS = {"pattern", "plate", "url", "wells"}  # options of data sets that are texts of other kinds


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with our pipeline, and a scratch folder elsewhere."""
    root = tmp_path / "home" / "repository"
    (root / ".dvc").mkdir(parents=True)
    (root / ".git").mkdir()
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy2(ROOT / name, root / name)
    monkeypatch.chdir(root)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MORPHOSPACE_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return root


def _is_path(hint: Any) -> bool:
    return hint is Path or any(_is_path(part) for part in get_args(hint) if not isinstance(part, places.Target))


def _marked() -> list[tuple[str, str]]:
    found = []
    for command in cli.COMMANDS:
        hints = get_type_hints(cli.COMMANDS[command].load(), include_extras=True)
        found += [(command, name) for name, hint in hints.items() if places.mark_of(hint)]
    return found


def _call(command: str, name: str, place: Path) -> None:
    """Call a command as the command line does, with nothing real but the place that it is to write to."""
    run = cli.COMMANDS[command].load()
    parameters = inspect.signature(run).parameters
    given = {p.name: Path("x") for p in parameters.values() if p.default is p.empty}
    places.guarded(run)(**(given | {name: place}))


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_path_of_a_command_is_known_as_read_or_marked_as_written(command: str) -> None:
    hints = get_type_hints(cli.COMMANDS[command].load(), include_extras=True)
    unknown = [n for n, h in hints.items() if _is_path(h) and not places.mark_of(h) and (command, n) not in READ]
    assert unknown == [], "mark it with places.FOLDER, FILE or STORE when it is written to; else name it in READ"


@pytest.mark.parametrize(("command", "name"), _marked())
def test_no_command_writes_where_something_is_removed(here: Path, command: str, name: str) -> None:
    (here / "link").symlink_to(here / "data" / "crops")
    inside = ["data/crops", "data/crops/a", "data/raw/folder/fetched/a", "data/raw/folder", "link", "link/a"]
    inside += ["reports/metrics/dose.json", "reports/figures/dose/a.png", ".git/a", ".dvc/a", "src/a", ".venv/a"]
    for place in [*inside, "data", "reports", ".", "..", str(here), str(here.parent.parent / "scratch" / "a")]:
        with pytest.raises(InputError, match="name another place to write to"):
            _call(command, name, Path(place))


@pytest.mark.parametrize(("command", "name"), [m for m in _marked() if m[0] != "s3"])
def test_no_command_writes_over_what_a_person_keeps(here: Path, command: str, name: str) -> None:
    mine = here / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years")
    mark = places.mark_of(get_type_hints(cli.COMMANDS[command].load(), include_extras=True)[name])
    if mark is not places.STORE:
        with pytest.raises(InputError, match=r"did not write there \(first: thesis\.tex\)|is there already"):
            _call(command, name, mine if mark is places.FOLDER else mine / "thesis.tex")
    assert (mine / "thesis.tex").read_text() == "years"


def test_the_command_line_looks_before_the_command_begins(here: Path) -> None:
    for line in ("embed model a.png -o data/crops", "score table.csv --output reports", "s3 --folder .git"):
        out = CliRunner().invoke(cli.app, line.split())
        assert isinstance(out.exception, InputError), line


def test_nothing_is_written_over_what_is_read(here: Path) -> None:
    (here / "cells").mkdir()
    (here / "cells" / "a.png").touch()
    (here / "again").symlink_to(here / "cells")
    for output in ("cells/a.png", "cells", "again/a.png"):
        with pytest.raises(InputError, match="which is read"):
            places.require_target(Path(output), places.FILE, [here / "cells" / "a.png"])
    places.require_target(Path("cells/b.csv"), places.FILE, [here / "cells"])


def test_what_may_never_end_is_not_read(here: Path) -> None:
    os.mkfifo(here / "pipe.csv")
    (here / "link.csv").symlink_to(here / "pipe.csv")
    for place in ("pipe.csv", "link.csv", "/dev/zero"):
        with pytest.raises(InputError, match=f"{place} is not a file but a named pipe"):
            places.guarded(profile.run)(Path(place), Path("out"), controls="a=b")
        for section, key in (("folder", "root"), ("folder", "metadata"), ("bbbc021", "checksums")):
            with pytest.raises(ValueError, match=f"{place} is not a file but a named pipe"):
                registry.load("datasets", section).Options(**{key: place})


@pytest.mark.parametrize("place", ["reports/score", "mine", "mine/deep", "data/mine", "../plates", "a.csv"])
def test_other_places_are_free(here: Path, place: str) -> None:
    for mark in places.Target:
        places.require_target(Path(place), mark)
    assert folder.Options(root=place, metadata=place).root == place


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("data/raw/folder", r"holds data/raw/\$\{dataset\}/fetched, an output of the pipeline"),
        ("data/raw/folder/fetched", "is data/raw/.*, an output of the pipeline"),
        ("data/raw/folder/fetched/P1", "lies in data/raw/.*, an output of the pipeline"),
        ("data/crops/mine", "lies in data/crops, an output of the pipeline"),
        ("data", "holds data/raw/"),
        (".", "holds data/raw/"),
        ("~", "holds data/raw/"),
        ("/", "holds data/raw/"),
        ("plates/../data/models", "is data/models"),
        ("reports/figures/latent", "is reports/figures/latent"),
        (".venv/a", "lies in .venv, which `make clean` deletes"),
        ("../../scratch/train", "lies in the scratch folder"),
        (".git/a", "lies in .git"),
    ],
)
def test_a_folder_of_images_that_something_removes_is_refused(here: Path, root: str, said: str) -> None:
    for section, key in (("folder", "root"), ("folder", "metadata"), ("bbbc021", "checksums")):
        with pytest.raises(ValueError, match=said):
            registry.load("datasets", section).Options(**{key: root})


def test_a_link_to_an_output_is_that_output(here: Path) -> None:
    (here.parent / "plates").symlink_to(here / "data" / "crops")
    with pytest.raises(ValueError, match="is data/crops"):
        folder.Options(root="../plates")


def test_the_place_that_an_output_links_to_is_that_output(here: Path) -> None:
    (here.parent / "large").mkdir()
    (here / "data").symlink_to(here.parent / "large")
    with pytest.raises(ValueError, match="is data/crops"):
        folder.Options(root="../large/crops")


def test_every_text_of_a_data_set_that_may_be_a_path_is_checked_as_one() -> None:
    for name in registry.names("datasets"):
        fields = registry.load("datasets", name).Options.model_fields
        paths = {n for n, f in fields.items() if any(getattr(m, "func", None) is places.checked for m in f.metadata)}
        texts = {n for n, f in fields.items() if f.annotation is str}
        assert texts - paths <= NOT_PATHS, name
    assert options.UserPath  # what such a field is annotated with
    assert bbbc021.Options().checksums == ""


def test_a_relative_path_counts_from_the_users_repository_also_in_a_clone(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = here / ".dvc" / "tmp" / "exps" / "standalone" / "tmpx"
    clone.mkdir(parents=True)
    monkeypatch.chdir(clone)
    monkeypatch.setenv("DVC_ROOT", str(here))
    assert places.of_user("../plates").resolve() == here.parent / "plates"
    assert places.of_user("/a") == Path("/a")
    assert places.of_user("~/a") == here.parent / "a"
    assert places.of_user("~nobody-here/a") == here / "~nobody-here/a"
    with pytest.raises(ValueError, match="is data/crops"):
        folder.Options(root="data/crops")


def test_without_a_pipeline_only_the_scratch_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("MORPHOSPACE_SCRATCH", str(tmp_path / "scratch"))
    places.require_target(Path("data/crops"), places.FOLDER)
    with pytest.raises(InputError, match="lies in the scratch folder"):
        places.require_target(Path("scratch/a"), places.FOLDER)
