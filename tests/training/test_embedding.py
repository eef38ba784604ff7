"""A model folder is loaded when its two files fit each other, and refused with the reason otherwise."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from morphospace import registry
from morphospace.errors import InputError, TrainingError
from morphospace.models import conv_vae, mae
from morphospace.training import embedding


def _card(**changes: Any) -> embedding.Card:
    given = {
        "model": "conv_vae",
        "channels": ["A", "B"],
        "size": 16,
        "z_dim": 3,
        "channel_mode": "joint",
        "options": conv_vae.Options().model_dump(),
        "r_loss_factor": 1.0,
        "best_epoch": 1,
        "epochs": 2,
        "fingerprint": "f",
    }
    return embedding.Card(**{**given, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    card = _card()
    torch.manual_seed(0)
    embedding.save_model(tmp_path, embedding.build(card).state_dict(), card)
    return tmp_path


def _rewrite(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / embedding.CARD).read_text())
    (folder / embedding.CARD).write_text(json.dumps({**card, **changes}))


def _tiles(n: int = 7) -> Any:
    return np.random.default_rng(0).integers(0, 256, (n, 2, 16, 16), dtype=np.uint8)


def test_the_minibatch_does_not_change_the_result(folder: Path) -> None:
    model, card = embedding.load_model(folder)
    assert card["channels"] == ["A", "B"]
    tiles = _tiles()
    whole, parts = (embedding.encode(model, tiles, n) for n in (7, 3))
    for a, b in zip(whole, parts, strict=True):
        assert a.shape == (7, 3)
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    drawn = embedding.reconstruct(model, tiles, 3)
    assert drawn.shape == tiles.shape
    np.testing.assert_allclose(drawn, embedding.decode(model, whole[0]), rtol=1e-4, atol=1e-5)


def test_what_a_model_masks_is_shown(folder: Path) -> None:
    tiles = _tiles()
    shown = embedding.masked(mae.build(2, 16, 3, patch=4), tiles)
    assert shown is not None
    for drawn in shown:
        assert drawn.shape == tiles.shape
        assert drawn.dtype == np.float32
        assert 0.25 <= (drawn == np.float32(tiles) / 255).mean() < 0.3
    assert embedding.masked(embedding.load_model(folder)[0], tiles) is None


def test_a_model_in_training_is_put_in_evaluation(folder: Path) -> None:
    model, _ = embedding.load_model(folder)
    expected = embedding.reconstruct(model, _tiles(), 7)
    np.testing.assert_array_equal(embedding.reconstruct(model.train(), _tiles(), 7), expected)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"colour": 1},
            r"model\.json: colour: Extra inputs.*is not what morphospace \S+ writes: fetch both files again",
        ),
        ({"format": 9, "morphospace": "9.0"}, r"has format 9, .* reads 3; written by morphospace 9\.0, this is"),
        ({"format": 2, "morphospace": "0.0"}, "use that version, or run `dvc repro -f train`"),
        ({"format": "new"}, r"has format new, this version reads 3"),
        ({"morphospace": "9.0", "model": "diffusion"}, "no model 'diffusion'; written by morphospace 9.0, this is"),
        ({"morphospace": "9.0", "options": {"width": 3}}, r"options of conv_vae: width: Extra.*by morphospace 9\.0"),
        ({"size": "large"}, r"model\.json: size: Input should be a valid integer"),
        ({"model": "../evil"}, r"model\.json: model: String should match"),
        ({"model": "no_such_model"}, "has no model 'no_such_model'"),
        ({"options": {"width": 3}}, r"width: Extra inputs"),
        ({"z_dim": 4}, r"mean\.weight is \(3, 256\), model\.json wants \(4, 256\)|is \(256, 3\).*wants \(256, 4\)"),
        ({"options": {"batch_norm": True}}, "lacks tensor"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(folder: Path, changes: dict[str, Any], match: str) -> None:
    _rewrite(folder, **changes)
    with pytest.raises(InputError, match=match):
        embedding.load_model(folder)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"z_dim": 10**9}, r"decoder.*is \(256, 3\), model\.json wants \(256, 1000000000\)|wants \(1000000000, 256\)"),
        ({"z_dim": 10**17}, r"model\.json wants a network that cannot be|wants \(100000000000000000, 256\)"),
        ({"z_dim": 10**30}, r"model\.json"),
        ({"size": 4096}, r"model\.json wants \("),
        ({"channels": ["A"] * 100_000}, r"model\.json wants \("),
        ({"model": "mae", "size": 4096, "options": {"patch": 2, "width": 2048}}, r"lacks tensor"),
        ({"model": "cae", "options": {"filters": [4096] * 4}}, r"lacks tensor|wants \("),
        ({"size": 4097}, r"model\.json: size"),
        ({"size": 15}, r"model\.json: .*not 15; .*fetch both files again"),
    ],
)
def test_a_card_of_a_network_of_any_size_takes_no_memory_before_its_weights_are_compared(
    folder: Path, changes: dict[str, Any], match: str
) -> None:
    _rewrite(folder, **changes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=match):
        embedding.load_model(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("name", registry.names("models"))
def test_every_model_is_laid_out_without_memory_as_it_is_built(name: str) -> None:
    options = registry.load("models", name).Options().model_dump()
    card = _card(model=name, size=64, z_dim=12, options=options)
    built = {key: tuple(t.shape) for key, t in embedding.build(card).state_dict().items()}
    assert embedding._shapes_wanted(card) == built
    with torch.device("meta"):
        assert {t.device.type for t in embedding.build(card).state_dict().values()} == {"meta"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(folder: Path, value: float) -> None:
    card, weights = embedding.read_card(folder), load_file(folder / embedding.WEIGHTS)
    weights["mean.bias"][1] = value
    embedding.save_model(folder, weights, card)
    with pytest.raises(InputError, match=r"model\.safetensors: mean\.bias has values that are not finite numbers"):
        embedding.load_model(folder)


def test_latents_that_are_not_finite_are_refused_with_their_number(folder: Path) -> None:
    model, _ = embedding.load_model(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e30)  # finite, and what comes of it is not
    tiles = _tiles()
    with pytest.raises(TrainingError, match=r"puts 7 of 7 tiles nowhere: their latents are not finite"):
        embedding.encode(model, tiles, 3)


def test_a_card_that_is_newer_is_not_read_further(folder: Path) -> None:
    (folder / embedding.CARD).write_text('{"format": 7}')
    with pytest.raises(InputError, match=r"has format 7, .*written by another version of morphospace, this is"):
        embedding.load_model(folder)


def test_a_card_without_a_format_is_of_the_first_and_not_read(folder: Path) -> None:
    card = json.loads((folder / embedding.CARD).read_text())
    assert card.pop("format") == embedding.FORMAT
    (folder / embedding.CARD).write_text(json.dumps(card))
    with pytest.raises(InputError, match="has format 1, this version reads 3"):
        embedding.load_model(folder)


def test_the_card_has_the_sum_that_sha256sum_gives(folder: Path) -> None:
    out = subprocess.run(["sha256sum", folder / embedding.WEIGHTS], capture_output=True, text=True, check=True)
    assert embedding.read_card(folder).weights == out.stdout.split()[0]


def test_weights_of_another_training_are_refused(folder: Path) -> None:
    path = folder / embedding.WEIGHTS
    save_file({name: tensor + 1 for name, tensor in load_file(path).items()}, path)
    with pytest.raises(InputError, match=r"model\.safetensors is not the file that model\.json was written with"):
        embedding.load_model(folder)


@pytest.mark.parametrize("content", ["[]", "3", '"model"'])
def test_a_card_that_is_no_object_is_refused(folder: Path, content: str) -> None:
    (folder / embedding.CARD).write_text(content)
    with pytest.raises(InputError, match="is no card of a model"):
        embedding.load_model(folder)


def test_a_folder_without_a_card_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "away", Path(__file__)):
        with pytest.raises(InputError, match=f"{path.name} is no folder of a model: it has no model.json"):
            embedding.load_model(path)


def test_a_pickle_is_never_opened(folder: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (folder.joinpath("opened").touch, ())

    torch.save({"mean.bias": Trap()}, folder / embedding.WEIGHTS)
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        embedding.load_model(folder)
    assert not (folder / "opened").exists()
    torch.load((folder / embedding.WEIGHTS).rename(folder / "model.pt"), weights_only=False)
    assert (folder / "opened").exists(), "the trap is no trap"


def test_missing_weights_are_named(folder: Path) -> None:
    path = folder / embedding.WEIGHTS
    weights = load_file(path)
    del weights["mean.bias"]
    save_file(weights, path)
    with pytest.raises(InputError, match=r"lacks tensor mean\.bias"):
        embedding.load_model(folder)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        embedding.load_model(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read"):
        embedding.load_model(folder)


@pytest.mark.parametrize("name", ["conv_vae", "canonical_vae"])
def test_no_bit_depends_on_how_many_processors_there_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At this size a product of matrices in two threads sums in another order than in one."""
    from morphospace.models import _build

    torch.manual_seed(0)
    model = _build.build(name, 3, 64, 75, registry.load("models", name).Options().model_dump())
    tiles = np.random.default_rng(0).integers(0, 255, (64, 3, 64, 64), dtype=np.uint8)
    found = []
    for jobs, threads in ((1, 1), (2, 2), (3, 3)):
        monkeypatch.setenv("MORPHOSPACE_JOBS", str(jobs))
        torch.set_num_threads(threads)
        mean, logvar = embedding.encode(model, tiles, 16)
        drawn = embedding.predict(model, tiles, 16, 255.0, np.random.default_rng(0))
        found.append((mean, logvar, embedding.reconstruct(model, tiles, 16), drawn, embedding.decode(model, mean)))
        assert torch.get_num_threads() == threads
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


SUMS = """
import hashlib, os
import numpy as np, torch
from morphospace.models import canonical_vae
from morphospace.training import embedding

torch.manual_seed(0)
model = canonical_vae.build(3, 64, 75)
tiles = np.random.default_rng(0).integers(0, 255, (64, 3, 64, 64), dtype=np.uint8)
for jobs in ("1", "2", "3"):
    os.environ["MORPHOSPACE_JOBS"] = jobs
    drawn = embedding.predict(model, tiles, 16, 255.0, np.random.default_rng(0))
    print(hashlib.sha256(drawn.tobytes()).hexdigest())
"""


def test_new_threads_of_a_process_that_may_use_several_use_one_each() -> None:
    """What a thread of a pool starts with comes from the environment, not from what torch was told before."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    out = subprocess.run([sys.executable, "-c", SUMS], env=environment, check=True, capture_output=True, text=True)
    first, *others = out.stdout.split()
    assert others == [first, first]
