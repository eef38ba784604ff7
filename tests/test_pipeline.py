"""dvc.yaml, the code and the layers agree."""

import ast
import importlib
import inspect
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from pydantic import BaseModel

from morphospace import cli, params, registry

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
PACKAGE = SRC / "morphospace"
DVC: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES: dict[str, dict[str, Any]] = DVC["stages"]
# Carries values and files but decides nothing: a change here does not make results stale.
PLUMBING = {"__init__", "errors", "options", "params", "registry", "schema", "files", "places", "spending"}
PLUMBING |= {
    "reporting.clock",
    "analyses",
    "spaces",
    "speeds",
    "records",
    "yamls",
    "seals",
}  # of a search, and of machines: neither decides a result
PLUMBING |= {"reasons", "words"}
# Rooms in the order of imports: each may import those before it, and itself.
ROOMS = ["imaging", "datasets", "segmentation", "models", "training", "profiling", "metrics", "search", "reporting"]
APART = {"datasets", "segmentation"}  # these two never meet
FRAME = {"errors", "options", "analyses", "spaces", "schema", "files", "tables", "splitting", "speeds", "spending"}
FRAME |= {"supervision", "tiffs", "wells", "places", "reasons", "words", "records", "yamls", "seals", "registry"}
EDGES = {"stages", "commands", "apps"}  # see params.yaml; each stage, command and app is on its own
# Methods that give libraries several parameters as plain values: who calls one reads them all.
GIVE = [n for n, f in vars(params.Params).items() if inspect.isfunction(f) and not n.startswith(("_", "model_"))]


def _paths(stage: dict[str, Any], key: str) -> list[str]:
    return [next(iter(e)) if isinstance(e, dict) else e for e in stage.get(key, [])]


def _module(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


@cache
def _imports(path: Path) -> frozenset[str]:
    """Names of the morphospace modules that a file imports, below the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{a.name}" for a in node.names} | {node.module}
    files = {".".join(p.relative_to(SRC).with_suffix("").parts) for p in PACKAGE.rglob("*.py")}
    return frozenset(f.removeprefix("morphospace.") for f in found & files)


def _reached(module: str) -> set[str]:
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen and name not in PLUMBING:
            seen.add(name)
            todo += _imports(PACKAGE / (name.replace(".", "/") + ".py"))
    return seen


def _templates(modules: set[str]) -> set[str]:
    """Templates that modules name; they lie beside the module."""
    files = [PACKAGE / (m.replace(".", "/") + ".py") for m in modules]
    found = {(f.parent / name).relative_to(ROOT) for f in files for name in re.findall(r"[\w.]+\.jinja", f.read_text())}
    return {path.as_posix() for path in found}


def _plug_ins(module: str) -> set[str]:
    """Kinds of plug-ins that a stage loads by name."""
    text = (PACKAGE / (module.replace(".", "/") + ".py")).read_text()
    found = set(re.findall(r'registry\.load\(\s*"(\w+)"', text))
    return found | ({"models"} if ".untrained(" in text else set())


def test_every_stage_is_a_command_and_a_module() -> None:
    assert list(STAGES) == list(cli.STAGES)
    assert set(cli.STAGES) == {p.stem for p in (PACKAGE / "stages").glob("[!_]*.py")}


def test_every_command_is_a_module() -> None:
    listed = {command.module for command in cli.COMMANDS.values()}
    files = {*PACKAGE.glob("apps/*/command.py"), *PACKAGE.glob("commands/[!_]*.py")}
    assert {_module(path) for path in files} <= listed
    assert all(callable(command.load()) for command in cli.COMMANDS.values())


@pytest.mark.parametrize("name", STAGES)
def test_a_command_takes_the_declared_paths_in_order(name: str) -> None:
    stage = STAGES[name]
    data = [d for d in _paths(stage, "deps") if not d.startswith("src/")]
    declared = data + _paths(stage, "outs") + _paths(stage, "metrics") + _paths(stage, "plots")
    assert stage["cmd"].split() == ["${stage}", name, *declared]
    run = importlib.import_module(f"morphospace.stages.{name}").run
    assert len(inspect.signature(run).parameters) == len(declared)


@pytest.mark.parametrize("name", STAGES)
def test_the_code_a_stage_depends_on_is_declared(name: str) -> None:
    listed = {d for d in _paths(STAGES[name], "deps") if d.startswith("src/")}
    reached = _reached(f"stages.{name}")
    needed = {f"src/morphospace/{m.replace('.', '/')}.py" for m in reached} | _templates(reached)
    optional: set[str] = set()
    for kind in _plug_ins(f"stages.{name}"):
        plug_ins = registry.names(kind)  # type: ignore[arg-type]
        templated = {"models": "model", "datasets": "dataset"}.get(kind)
        if templated:
            needed.add(f"src/morphospace/{kind}/${{{templated}}}.py")
        else:
            needed |= {f"src/morphospace/{kind}/{p}.py" for p in plug_ins}
        for plug_in in plug_ins:
            paths = {f"src/morphospace/{m.replace('.', '/')}.py" for m in _reached(f"{kind}.{plug_in}")}
            optional |= paths
            needed |= {p for p in paths if Path(p).name.startswith("_") or f"/{kind}/" not in p}
    assert needed - listed == set(), "add these to deps"
    assert listed - needed - optional == set(), "nothing here imports these"


def _room(module: str) -> str:
    """Return the room of a module: a folder, `frame`, `params`, or an edge with what it is for."""
    parts = module.split(".")
    if parts[0] in EDGES:
        return ".".join(parts[:2])
    return "frame" if parts[0] in FRAME else parts[0]


def _may_import(mine: str, theirs: str) -> bool:
    if mine == theirs or theirs == "frame":
        return True
    if mine.split(".")[0] in EDGES:
        kind, other = mine.split(".")[0], theirs.split(".")
        return other[0] not in EDGES or (kind != "apps" and other[0] == kind and other[1].startswith("_"))
    if theirs == "params" or mine in {"frame", "params"} or {mine, theirs} == APART:
        return False
    return ROOMS.index(theirs) < ROOMS.index(mine)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    module = _module(path)
    if module in {"", "cli", "__main__"} or module in EDGES:
        return
    for other in _imports(path):
        if other and not (PACKAGE / other.replace(".", "/")).is_dir():
            assert _may_import(_room(module), _room(other)), f"{module} imports {other}"


def test_only_stages_and_commands_read_the_parameters() -> None:
    for path in PACKAGE.rglob("*.py"):
        if _module(path).split(".")[0] not in EDGES | {"params", "cli"}:
            assert "params" not in _imports(path), path


def _given(method: str) -> str:
    return inspect.getsource(getattr(params.Params, method))


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_the_parameters_it_reads(name: str) -> None:
    text = (PACKAGE / "stages" / f"{name}.py").read_text()
    declared = STAGES[name].get("params", [])
    text += "".join(_given(m).replace("self.", "options.") for m in GIVE if f"options.{m}(" in text)
    read = {f for f in params.Params.model_fields if re.search(rf"\boptions\.{f}\b", text)}
    keys = {
        "data_set": ["dataset"],
        "validate_": ["validate"],
        "dataset_options": ["${dataset}"],
        "model_options": ["${model}"],
    }
    wanted = {k for f in read for k in keys.get(f, [f])}
    roots = {d.split(".")[0] for d in declared}
    assert wanted - roots == set(), "add these to params"


def test_every_parameter_is_used() -> None:
    text = "\n".join(p.read_text() for kind in EDGES for p in (PACKAGE / kind).rglob("*.py"))
    # A recipe takes the section `train` whole, and picks its values by the names of the settings; others do alike.
    whole = ("training/recipe", "training/settings", "profiling/build", "segmentation/_engine")
    text += "".join((PACKAGE / f"{name}.py").read_text() for name in whole) + "".join(_given(m) for m in GIVE)
    for name, field in params.Params.model_fields.items():
        if name.endswith("_options"):
            continue
        kind = field.annotation
        leaves = list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else [name]
        for leaf in leaves:
            assert re.search(rf"\.{leaf}\b|\b{leaf}=|\b{leaf}: |\"{leaf}\"", text), (
                f"{name}.{leaf} is not read by any stage"
            )


def test_the_defaults_of_plug_ins_are_what_params_yaml_says() -> None:
    given = yaml.safe_load((ROOT / "params.yaml").read_text())
    for kind in ("datasets", "models"):
        for name in registry.names(kind):  # type: ignore[arg-type]
            options = registry.load(kind, name).Options()  # type: ignore[arg-type]
            assert options.model_dump() == given[name], name


def test_files_and_functions_are_small() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                doc = node.body[0] if ast.get_docstring(node) else None
                length = (node.end_lineno or 0) - node.lineno + 1
                length -= (doc.end_lineno or 0) - doc.lineno + 1 if doc else 0
                assert length <= 60, f"{path}:{node.lineno} {node.name} has {length} lines"


def test_help_imports_nothing_heavy() -> None:
    out = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "morphospace", "--help"], capture_output=True, text=True, check=True
    )
    assert not re.search(r"\| +(torch|lightning|mlflow|pandas|numpy|dvc)$", out.stderr, re.MULTILINE)


@pytest.mark.slow
def test_dvc_sees_the_models_of_chosen_epochs_and_nothing_else_there() -> None:
    with Repo(str(ROOT)) as repo:
        folder = ROOT / "data/models/epochs"
        names = ("000002/model.json", "000002/model.safetensors", "000002/mine", "mine.txt")
        seen = [name for name in names if not repo.dvcignore.is_ignored_file(str(folder / name))]
        assert not repo.dvcignore.is_ignored_dir(str(folder / "000002"))
    assert seen == ["000002/model.json", "000002/model.safetensors"]


def test_the_lock_is_honest(tmp_path: Path) -> None:
    """A bare clone without data: exits 0 only when lock, code and parameters of the commit agree."""
    if subprocess.run(["git", "cat-file", "-e", "HEAD:dvc.lock"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("no dvc.lock is committed")
    git = shutil.which("git") or "git"
    subprocess.run([git, "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    out = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--dry", "--allow-missing"],
        cwd=tmp_path / "clone",
        capture_output=True,
        text=True,
    )
    assert out.returncode == 0, out.stdout + out.stderr
    assert "Running stage" not in out.stdout, out.stdout
