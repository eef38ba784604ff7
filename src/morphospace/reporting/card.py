"""The model card: what a model is, of which data, how good beside its floors, what it is for and what not."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from morphospace.reporting import scores
from morphospace.reporting.page import Code, Items, Page, Picture, Section, Table, Text, interval, number

Facts = Mapping[str, Any]

_USE = (
    ("dvc artifacts get <git address> {name} -o {name}", "the newest registered version, or --rev v1.2.0"),
    ("dvc get <git address> data/package -o {name}", "that of any commit: --rev <commit>"),
    ("morphospace reconstruct {name} cell.png", "the image as the model draws it, and its score"),
    ("morphospace embed {name} cells/ -o embeddings.csv", "the latent numbers of any number of images"),
)


def card(model: Facts, picture: Path) -> Page:
    """Return the card as a page.

    Parameters
    ----------
    model
        The content of the package's ``model.json``.
    picture
        Reconstructions of test cells.
    """
    facts = model["provenance"]
    found, name = facts["similarity"], model["model"]
    drawn = f"then as {name} draws them, " if _draws(found) else ""
    caption = f"Above as they are, {drawn}then PCA with as many numbers a cell."
    shown = Picture(picture, "Test cells drawn at random", caption)
    summary = [
        f"Model card of {facts['name']}: {name} with z_dim {model['z_dim']}, trained on {facts['dataset']}, "
        f"fingerprint {model['fingerprint']}.",
        *([str(found["verdict"])] if found.get("verdict") and _draws(found) else []),
    ]
    sections = [
        Section("What it is", [_what(model), shown]),
        Section("What an image must be", _image(model)),
        Section("The data", _data(model)),
        Section("How well it reconstructs", _scores(model)),
        Section("Parameters that decide", [_params(model)]),
        Section("What it is for, and what not", [Items(_limits(model))]),
        Section("Licence", [Items(_licence(facts))]),
        Section("How to use it", [Code(_use(facts["name"], _draws(found)))]),
    ]
    footer = (
        f"Written by the stage package of morphospace {model['morphospace']}; model.json has the same for programs."
    )
    return Page(summary[0], f"On {facts['dataset']}: {scores.headline(found, name)}", summary[1:], sections, footer)


def _draws(found: Facts) -> bool:
    """Whether the model reconstructs; scores that do not say so are of one that does."""
    return bool(found.get("reconstructs", True))


_SEEN = {"joint": "all of them at once", "folded": "one at a time"}


def _what(model: Facts) -> Table:
    training = model["provenance"]["training"]
    rows = [
        ("architecture", f"{model['model']}: {_said(model['options'])}"),
        ("weights", f"{number(training.get('parameters'))} numbers in model.safetensors, SHA-256 {model['weights']}"),
        ("latent numbers a cell (z_dim)", number(model["z_dim"])),
        ("tile", f"{model['size']} x {model['size']} px, channels in order: {', '.join(model['channels'])}"),
        ("kept", f"epoch {model['best_epoch']} of {model['epochs']} ({training.get('kept')})"),
        ("channels", f"{model['channel_mode']}: the model sees " + _SEEN[model["channel_mode"]]),
        ("fingerprint of parameters, data and code", model["fingerprint"]),
        ("format of model.json", number(model["format"])),
    ]
    return _table("An embedding is where the model puts a cell: of a variational one, the mean of its posterior", rows)


def _image(model: Facts) -> list[Text | Items]:
    pixels, size = model["provenance"]["pixels"], model["size"]
    what = "A square of a field" if _stride(model) else "One cell in the middle"
    steps = [
        f"{what} of {size} x {size} px, 8 bits a value; a smaller crop is set in the middle, a larger "
        "one is refused. Nothing is resampled: a pixel must be as large as in the data.",
        f"The channels in this order: {', '.join(model['channels'])}. Three are the red, green and blue of a PNG, one "
        "is grey, any other number stands under one another in a grey PNG; or planes (C, H, W) in a TIFF.",
        *([] if _stride(model) else ["0 outside the cell (its outline is that of the segmentation)."]),
        _scaled(pixels),
    ]
    return [
        Items(steps),
        Text("The crops of this pipeline (data/crops) are so; images from elsewhere must be made so."),
    ]


def _stride(model: Facts) -> int:
    """Return the px between the chunks that the model was trained on; 0 for cells."""
    return int(model["provenance"]["cells"].get("stride") or 0)


def _scaled(pixels: Facts) -> str:
    times = f", times {number(pixels['brightness'])}" if pixels["brightness"] != 1 else ""
    if pixels["scaling"] == "positive":
        return (
            "Inside: intensity over its illumination function, 1 at one standard deviation below the mean of its image "
            f"and channel and 255 at one above{times}; what is below or above is 1 or 255."
        )
    if pixels["scaling"] == "bit_depth":
        return (
            "Inside the cell: intensity over its illumination function, as a share of what the file's depth can hold"
            f"{times}, times 255; what is above is 255, and a dark pixel may be 0."
        )
    return (
        "Inside the cell: intensity over its illumination function, 1 at the percentile "
        f"{number(pixels['low'])} and 255 at the percentile {number(pixels['high'])} of all pixels inside the cells of "
        f"its plate and channel{times}; what is below or above is 1 or 255."
    )


def _data(model: Facts) -> list[Table | Text | Items]:
    facts = model["provenance"]
    split, cells = facts["split"], facts["cells"]
    by = split.get("by") or "group"
    rows = [
        (side, number((split["cells"] or {}).get(side)), number((split["groups"] or {}).get(side)))
        for side in ("train", "validation", "test")
    ]
    content = model["data"] or "not recorded: the model was trained before it was"
    found: list[Table | Text | Items] = [
        Table(f"Data set {facts['dataset']}, divided by {by}", ["", "cells", f"groups ({by})"], rows),
        Text(f"Content of the crops, their table and the split: {content}."),
        Text(_kept(cells)),
    ]
    return [*found, *([Items(split["notes"])] if split.get("notes") else [])]


def _kept(cells: Facts) -> str:
    """Say how many cells or chunks the model could be trained on, and why not more."""
    dropped = [f"{number(cells[key])} {key.replace('_', ' ')}" for key in ("too_dark", "too_bright") if cells.get(key)]
    left_out = f" Left out by their mean: {', '.join(dropped)}." if dropped else ""
    if cells.get("stride"):
        made = f"{number(cells['cells'])} squares, one every {cells['stride']} px, {number(cells['kept'])} were kept."
        return f"Of {made}{left_out}"
    return (
        f"Of {number(cells.get('cells'))} cells found, {number(cells.get('kept'))} "
        f"{'were kept' if dropped else 'fit the tile'}; {number(cells.get('too_large'))} are larger and were left out."
        f"{left_out}"
    )


def _scores(model: Facts) -> list[Table | Text]:
    found = model["provenance"]["similarity"]
    names = {"": model["model"]} if _draws(found) else {}
    names |= {"_pca": f"PCA-{found.get('pca_k', '?')}"}
    names |= {f"_{key}": text for key, text in scores.TRIVIAL.items()}
    ranked = sorted(names, key=lambda end: -(found.get(f"S{end}") or 0))
    rows = []
    for end in ranked:
        bounds = [None if end else found.get(f"S_{side}") for side in ("low", "high")]
        rows.append((names[end], *_measured(found, end, bounds)))
    caption = (
        f"{number(found.get('n_cells_test'))} test cells of {number(found.get('n_groups_test'))} wells, best S first"
    )
    marked = [at for at, end in enumerate(ranked) if not end]
    table = Table(caption, ["", "S", "MSE", "S legacy"], rows, marked=marked)
    if not _draws(found):
        return [Text(f"{model['model']} draws nothing; these are the floors of its test cells."), table]
    return [table, *(Text(line) for line in scores.summary(found)[-1:])]


def _measured(found: Facts, end: str, bounds: Sequence[Any]) -> tuple[str, str, str]:
    return (
        interval(found.get(f"S{end}"), *bounds),
        interval(found.get(f"mse{end}"), None, None, 5),
        interval(found.get(f"S_legacy{end}"), None, None),
    )


def _params(model: Facts) -> Table:
    given = model["provenance"]["params"]
    rows = [("model", model["model"]), ("z_dim", number(model["z_dim"])), (model["model"], _said(model["options"]))]
    rows += [(key, _said(value) if isinstance(value, Mapping) else str(value)) for key, value in given.items()]
    return _table("As in params.yaml", rows)


def _limits(model: Facts) -> list[str]:
    facts = model["provenance"]
    draws = _draws(facts["similarity"])
    return [
        "For describing cells by numbers, and comparing treatments, on images of the same stains, magnification, "
        "segmentation and scaling as the data above. On others its numbers mean nothing until "
        f"{'S beside the floors' if draws else 'a score of its embedding'} has been measured there.",
        "Its latent numbers fit this fingerprint alone: those of two trainings have other axes and cannot be compared "
        "cell by cell.",
        "A chunk is no cell: several cells, or parts, lie in it, and its neighbours show much of the same."
        if _stride(model)
        else "Cells larger than the tile were never seen: whatever makes cells large is under-represented.",
        *(_OF_DRAWINGS if draws else []),
        "Not for diagnosis, nor for any decision about a patient.",
        *(["The data are drawn: this model says nothing of real cells."] if facts["dataset"] == "synthetic" else []),
    ]


_OF_DRAWINGS = [
    "A reconstruction is smooth: detail that it lacks may be there in the image. It is no evidence for or against a "
    "structure.",
    "S is that of the test cells named above; what they share with the training cells is said under the data.",
]


def _licence(facts: Facts) -> list[str]:
    licence = facts["licence"]
    code = licence["code"] or (
        "none. The project has no licence file and declares none; without one nobody but its authors may pass on the "
        "code, and whether the weights may be passed on is for them to say"
    )
    return [f"Code: {code}.", f"Data: {licence['data']}."]


def _use(name: str, draws: bool) -> str:
    known = [line for line in _USE if draws or "reconstruct" not in line[0]]
    typed = [(command.format(name=name), why) for command, why in known]
    width = max(len(command) for command, _ in typed)
    return "\n".join(f"{command:{width}}  # {why}" for command, why in typed)


def _table(caption: str, rows: Sequence[tuple[str, str]]) -> Table:
    return Table(caption, ["", ""], rows)


def _said(values: Facts) -> str:
    return ", ".join(f"{key} {_value(key, value)}" for key, value in values.items())


def _value(key: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_said(value)})"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or ("as in the index" if key == "channels" else "none")
    return str(value) if isinstance(value, str | int) else f"{value:g}"
