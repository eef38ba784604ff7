import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils import hydra

from morphospace import params, registry
from morphospace.errors import ParameterError

GIVEN = Path(__file__).resolve().parent.parent / "params.yaml"


def _load(tmp_path: Path, **changes: Any) -> params.Params:
    values = yaml.safe_load(GIVEN.read_text())
    for key, value in changes.items():
        *path, last = key.split("__")
        section = values
        for step in path:
            section = section[step]
        section[last] = value
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(values))
    return params.load(file)


def test_the_committed_parameters_are_valid(tmp_path: Path) -> None:
    options = _load(tmp_path)
    assert {"band", "copies", "refine"} <= options.model_options.keys()
    assert set(options.dataset_options) >= {"plates", "wells"}


def test_what_is_auto_is_what_the_model_recommends_and_a_number_stands_above_it(tmp_path: Path) -> None:
    ours, usual = _load(tmp_path).train, _load(tmp_path, model="conv_vae").train
    recommended = registry.load("models", "canonical_vae").TRAINING
    assert {key: getattr(ours, key) for key in recommended} == recommended
    assert {key: getattr(usual, key) for key in params.USUAL} == params.USUAL
    assert _load(tmp_path, train__epochs=3).train.epochs == 3
    with pytest.raises(ParameterError, match="lr_decay is 'auto'"):  # no model recommends one
        _load(tmp_path, train__lr_decay="auto")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z_dim": 0}, "z_dim is 0, should be greater than or equal to 1"),
        ({"z_dimm": 75}, "unknown key z_dimm; did you mean 'z_dim'"),
        ({"model": "conv_vea"}, "did you mean 'conv_vae'"),
        ({"dataset": "bbc021"}, "did you mean 'bbbc021'"),
        ({"train__learning_rate": -1e-3}, "train.learning_rate is -0.001, should be greater than 0"),
        ({"train__learning_rat": 1.0}, "unknown key train.learning_rat; did you mean 'learning_rate'"),
        ({"train__epochs": -1}, "train.epochs is -1"),
        ({"train__minibatch": 0}, "train.minibatch is 0"),
        ({"train__learning_rate": 1e9}, "train.learning_rate is 1000000000.0"),
        ({"train__r_loss_factor": float("nan")}, "train.r_loss_factor is nan"),
        ({"train__r_loss_factor": "elbow"}, "train.r_loss_factor is 'elbow'"),
        ({"canonical_vae__dropuot": 0.1}, "unknown key canonical_vae.dropuot; did you mean 'dropout'"),
        ({"canonical_vae__dropout": 7}, "canonical_vae.dropout is 7"),
        ({"synthetic__plates": 0}, "synthetic.plates is 0"),
        ({"split__train": 0.9}, r"train \+ validation \+ test is 1.3, not 1"),
        ({"split__by": "cell"}, "split.by is 'cell', should be 'site', 'well'"),
        ({"segment__engine": "cellprofilr"}, "did you mean 'cellprofiler'"),
        ({"segment__min_diameter": 200}, "min_diameter 200 is not below max_diameter"),
        ({"synthesize__stride": 16}, "stride 16 cuts whole fields.*needs segment.engine field, not cellprofiler"),
        ({"synthesize__min_mean": 0.9, "synthesize__max_mean": 0.9}, "min_mean 0.9 is not below max_mean 0.9"),
        ({"synthesize__low": 99.9}, "low 99.9 is not below high"),
        ({"synthesize__size": 100}, "synthesize.size is 100, should be a multiple of 8"),
        ({"budget__machine": "p3.2xlarg"}, "did you mean 'p3.2xlarge'"),
        ({"seed": "many"}, "seed is 'many', should be a valid integer"),
        ({"index": None}, "index is None"),
        ({"tune__z_dim": {"low": 9, "high": 3}}, "tune.z_dim.*low 9 is not below high 3"),
        ({"tune__z_dim": []}, "tune.z_dim"),
    ],
)
def test_a_mistake_is_refused_with_what_is_allowed(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        _load(tmp_path, **change)


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"z_dim.*train\.epochs"):
        _load(tmp_path, z_dim=0, train__epochs=0)


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("seed: 1\ndataset: synthetic\nmodel: conv_vae\n")
    with pytest.raises(ParameterError, match="z_dim is missing"):
        params.load(file)


HEAD = "seed: 1\nmodel: conv_vae\n"  # two lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty; bring it back with `git checkout"),
        ("# nothing\n", "is empty"),
        ("---\n", "is empty"),
        ("- 1\n", "line 1: a list, and not the names of sections"),
        ("75\n", "line 1: a int, and not"),
        (f"{HEAD}z_dim: 75\nseed: 2\n", "lines 1 and 4 both set seed: keep one of them"),
        (
            f"{HEAD}train: {{epochs: 1, epochs: 2}}\nseed: 1\n",
            "lines 3 and 3 both set train.epochs.*lines 1 and 4 both",
        ),
        (f"{HEAD}mae:\n  patch: 8\n  patch: 8\n", "lines 4 and 5 both set mae.patch"),
        (f"{HEAD}tune:\n- {{a: 1}}\n- a: 1\n  a: 2\n", "lines 5 and 6 both set tune.a"),
        (f"{HEAD}train:\n\tepochs: 1\n", "line 4: a tab; indent with spaces"),
        (f"{HEAD}folder: {{pattern: *x}}\n", r"line 3: a value that starts with '\*'; put it in quotes"),
        (f"{HEAD}z_dim: @x\n", "line 3: a value that starts with a sign of YAML's own"),
        (f"{HEAD}folder:\n  root: a: b\n", r"line 4: ': ' inside a value \(put it in quotes\), or"),
        (f"{HEAD}z_dim: !x 3\n", "line 3: '!' begins a tag"),
        (f"{HEAD}---\nz_dim: 3\n", "line 3: '---' begins a second document"),
        (f"{HEAD}z_dim: [1, 2\nmodel: x\n", "line 4: not YAML: .*; what is not ended begins on line 3"),
        (f"{HEAD}z_dim: 'a\n\n", "line 5: not YAML: .*begins on line 3"),
        (f"{HEAD}z_dim: 2020-99-99\n", "params.yaml is not YAML: month must be in 1..12"),
        (f"{HEAD}z_dim: {'[' * 3000}\n", "is not YAML: it is nested too deeply"),
        (f"{HEAD}z_dim: \x01\n", "is not YAML: unacceptable character"),
        (f"{HEAD}# \xe4\n".encode("latin-1"), "line 3: it is not UTF-8; save the file as UTF-8"),
        ("seed: 1\n".encode("utf-16"), "line 1: it is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line_that_names_the_line(
    tmp_path: Path, content: str | bytes, message: str
) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ParameterError, match=message) as caught:
        params.load(file)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def _edited(tmp_path: Path, old: str, new: str) -> Path:
    text = GIVEN.read_text()
    assert text.count(old) == 1
    file = tmp_path / "params.yaml"
    file.write_text(text.replace(old, new))
    return file


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\nz_dim: 75 ", "\nz_dim: 0 ", "line {}: z_dim is 0, should be greater"),
        ("\nz_dim: 75 ", "\nz_dimm: 75 ", "line {}: unknown key z_dimm; did you mean 'z_dim'"),
        ("\nconv_vae: ", "\nconv_vea: ", "line {}: unknown key conv_vea; did you mean 'conv_vae'"),
        ("\nseed: 2020 ", "\nmodel_options: {}\nseed: 2020 ", "line {}: unknown key model_options"),
        ("\nseed: 2020 ", "\n1: 2\nseed: 2020 ", "line {}: unknown key 1"),
        (
            "\nmodel: canonical_vae ",
            "\nmodel: conv_vea ",
            "line {}: no models plug-in is called 'conv_vea'; did you mean",
        ),
        ("\nmodel: canonical_vae ", "\nmodel: ", "line {}: model is missing"),
        ("\n  fields: 24 ", "\n  # ", "line {}: validate is None, should be a section: its keys below it"),
        ("\n  epochs: auto ", "\n  epochs: 8 8 ", "line {}: train.epochs is '8 8', should be a valid integer"),
        ("\n  date: '2020'", "\n  date: 2020", "line {}: budget.machines.p3.2xlarge.date is 2020, .*put it in quotes"),
        ("\n  currency: EUR", "\n  currency: 2020-01-01", "line {}: budget.currency is datetime.*; put it in quotes"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = _edited(tmp_path, old.replace("\n  date", "      date"), new.replace("\n  date", "      date"))
    changed = zip(GIVEN.read_text().splitlines(), file.read_text().splitlines(), strict=False)
    number = next(i for i, (before, after) in enumerate(changed, start=1) if before != after)
    number -= "validate" in message  # the section itself
    with pytest.raises(ParameterError, match=message.format(number)):
        params.load(file)


@pytest.mark.parametrize(
    ("old", "new", "key", "value"),
    [
        ("  learning_rate: auto", "  learning_rate: 2e-3 ", "train.learning_rate", 0.002),
        ("  turns: false ", "  turns: yes ", "", None),
        ("  plate: '' ", "  plate: no ", "dataset_options.plate", "no"),
        ("  plate: '' ", "  plate: 12:30 ", "dataset_options.plate", "12:30"),
        ("seed: 2020 ", "seed: &s 7 # ", "seed", 7),
        ("  min_delta: 0.0 ", "  min_delta: 010 ", "train.min_delta", 10.0),
    ],
)
def test_values_are_read_as_dvc_reads_them(tmp_path: Path, old: str, new: str, key: str, value: Any) -> None:
    file = _edited(tmp_path, old, new)
    found: Any = params.load(file, {"dataset": "folder"}).model_dump()
    for part in filter(None, key.split(".")):
        found = found[part]
    assert value is None or found == value


def test_anchors_and_merged_sections_are_read(tmp_path: Path) -> None:
    text = GIVEN.read_text().replace("\ndose:  ", "\ndose: &d ").replace("\ndose:\n", "\ndose: &d\n")
    i, j = text.index("\nsimilarity:"), text.index("\ndose:")
    file = tmp_path / "params.yaml"
    file.write_text(f"{text[:i]}{text[j:]}\nsimilarity:\n  <<: *d\n  pca_cells: 70\n")
    found = params.load(file)
    assert (found.similarity.pca_cells, found.similarity.bootstrap) == (70, found.dose.bootstrap)


def test_a_change_inside_a_value_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"z_dim\.x: z_dim is a value of .*params\.yaml, and no section"):
        params.load(GIVEN, {"z_dim.x": 1})


def _after(tmp_path: Path, *settings: str) -> list[str]:
    """Return what `dvc exp run -S` does to the file, as the lines that ``diff`` shows."""
    file = tmp_path / "params.yaml"
    file.write_text(GIVEN.read_text())
    hydra.apply_overrides(file, list(settings))
    before, after = GIVEN.read_text().splitlines(), file.read_text().splitlines()
    return [line for line in difflib.ndiff(before, after) if line.startswith(("- ", "+ "))]


def _leaves(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if "." in key:
            continue  # hydra takes a dot for a section
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def test_dvc_writes_the_file_as_it_is(tmp_path: Path) -> None:
    """Every value set to what it is: nothing changes. One value changed: nothing else does."""
    scalars = [f"{k}={json.dumps(v)}" for k, v in _leaves(yaml.safe_load(GIVEN.read_text()))]
    assert len(scalars) > 140
    assert _after(tmp_path, *(s for s in scalars if "(?P<" not in s)) == []
    (before, after) = _after(tmp_path, "z_dim=150")
    assert (before.split()[1:3], after.split()[1:3]) == (["z_dim:", "75"], ["z_dim:", "150"])
    assert before.split("#")[1] == after.split("#")[1]
    lists = ["cae.filters=[8,16,64]", "budget.epochs=[20,50,100]", "bbbc021.plates=[all]", "tune.z_dim=[25,75,300]"]
    changed = _after(tmp_path, "folder.root=/data/my images", "train.learning_rate=1e-3", *lists)
    assert len(changed) == 2 * 6, changed


def test_a_missing_file_says_where_to_stand(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="run from the root of the repository"):
        params.load(tmp_path / "params.yaml")


def test_changes_replace_values_as_dvc_would(tmp_path: Path) -> None:
    assert params.load(GIVEN, {"z_dim": 7, "train.epochs": 3, "canonical_vae.dropout": 0.5}).z_dim == 7
    assert params.load(GIVEN, {"train.epochs": 3}).train.epochs == 3
    assert params.load(GIVEN, {"canonical_vae.dropout": 0.5}).model_options["dropout"] == 0.5
    with pytest.raises(ParameterError, match=r"canonical_vae\.dropout is 7"):
        params.load(GIVEN, {"canonical_vae.dropout": 7})
