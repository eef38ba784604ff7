from pathlib import Path
from typing import Any

import pandas as pd

from morphospace.reporting import contents, page
from morphospace.reporting.contents import Inputs
from morphospace.reporting.page import Table

METRICS: dict[str, Any] = {
    "index": {"fields_found": 12, "image_sets": 10, "dropped_by_reason": {"truncated": 2}, "not_used": {}},
    "segment": {"image_sets": 10, "failed": 1, "cells": 90, "cells_per_field": {"median": 9.0}},
    "validate": {"fields": 3, "scores": {"native": {"nuclei": {"f1_50": 0.98}}, "plain": {"nuclei": {"f1_50": 0.9}}}},
    "synthesize": {"kept": 80, "too_large": 10, "empty": 0},
    "split": {
        "by": "well",
        "groups": {"train": 3, "test": 2},
        "cells": {"train": 50, "test": 30},
        "levels": {"well": {"disjoint": True, "shared": 0}, "plate": {"disjoint": False, "shared": 1}},
        "notes": ["two groups only <b>"],
    },
    "train": {"epochs": 3, "best_epoch": 2},
    "latent": {"active_units": 5, "kl": [1.0, None]},
    "budget": {"hours": 0.5, "cost_spot": 0.9, "thesis_20_epochs_hours": 12.0, "thesis_20_epochs_cost_spot": 21.6},
}


def test_a_report_of_nothing_says_that_nothing_was_measured(tmp_path: Path) -> None:
    found = contents.build(Inputs(), "synthetic", "conv_vae")
    assert found.verdict.startswith("On synthetic: The similarity of conv_vae was not measured")
    text = page.to_markdown(found, tmp_path)
    assert text.count("not measured") >= 10
    assert "39.60" in text  # the thesis's table needs no run
    assert "<html" in page.to_html(found)


def test_every_step_from_images_to_cells_is_counted() -> None:
    funnel = contents._funnel(Inputs(metrics=METRICS))
    steps, reasons = funnel[0], funnel[1]
    assert isinstance(steps, Table)
    assert [row[1] for row in steps.rows] == ["12", "10", "9", "90", "80", "50", "30"]
    assert max(steps.bars) == 1
    assert isinstance(reasons, Table)
    assert [list(row) for row in reasons.rows] == [
        ["image set: truncated", "2"],
        ["image set: the engine failed", "1"],
        ["cell: larger than the tile", "10"],
    ]


def test_the_first_dropped_rows_are_shown_and_long_ones_are_cut(tmp_path: Path) -> None:
    dropped = pd.DataFrame({"Source": [f"s{i}" for i in range(30)], "Reason": "r", "Detail": ["x" * 999] * 30})
    found = contents.build(Inputs(metrics=METRICS, tables={"dropped": dropped}), "d", "m")
    text = page.to_markdown(found, tmp_path)
    assert "The first 12 of 30 rows" in text
    assert "s11 " in text
    assert "s12 " not in text
    assert "x" * 301 not in text


def test_the_certificate_tells_which_levels_are_apart(tmp_path: Path) -> None:
    text = page.to_html(contents.build(Inputs(metrics=METRICS), "d", "m"))
    assert '<th scope="row">plate</th><td>no</td><td>1</td>' in text
    assert "two groups only &lt;b&gt;" in text


def test_a_long_history_is_thinned_and_keeps_both_ends() -> None:
    history = pd.DataFrame({"epoch": range(1, 201), "train_loss": 1.0})
    table = contents._training(Inputs(tables={"history": history}))[-1]
    assert isinstance(table, Table)
    assert "12 of 200" in table.caption
    assert [table.rows[0][0], table.rows[-1][0]] == ["1", "200"]


def test_nested_numbers_become_names_in_words() -> None:
    assert contents.flat({"a_b": {"c": 1, "d": {}}, "e": [1.5, None]}) == [
        ("a b, c", 1),
        ("a b, d", "none"),
        ("e", "1.5, not measured"),
    ]


def test_the_cost_of_this_run_stands_beside_the_size_of_the_thesis(tmp_path: Path) -> None:
    text = page.to_markdown(contents.build(Inputs(metrics=METRICS), "d", "m"), tmp_path)
    assert "| this run | 0.5 | 0.90 |" in text
    assert "| the thesis's size, 20 epochs | 12 | 21.60 |" in text


def test_numbers_and_pictures_of_a_stage_that_is_new_are_shown_all_the_same() -> None:
    inputs = Inputs(metrics={"novel": {"nsc": 0.9}}, pictures={"novel": [Path("novel/confusion.png")]})
    found = contents.build(inputs, "d", "m").sections[-2]
    assert found.title == "Other results"
    assert len(found.blocks) == 2
    assert "Other results" not in [s.title for s in contents.build(Inputs(), "d", "m").sections]


def test_the_engines_stand_beside_each_other_against_the_truth(tmp_path: Path) -> None:
    text = page.to_markdown(contents.build(Inputs(metrics=METRICS), "d", "m"), tmp_path)
    assert "|  | F1 50 |\n| --- | --- |\n| native, nuclei | 0.98 |\n| plain, nuclei | 0.9 |\n" in text


def test_a_long_list_of_numbers_is_cut_and_says_so(tmp_path: Path) -> None:
    metrics = {"segment": {"plates": {f"P{i}": i for i in range(55)}}}
    text = page.to_markdown(contents.build(Inputs(metrics=metrics), "d", "m"), tmp_path)
    assert "the first 40 of 55, all are in segment.json" in text


def test_the_funnel_of_chunks_counts_chunks_and_why_they_were_dropped() -> None:
    synthesize = {"cells": 90, "kept": 70, "too_large": 0, "empty": 0, "too_dark": 5, "too_bright": 14, "stride": 8}
    changed = {"segment": {"image_sets": 10, "failed": 0, "cells": 10}, "synthesize": synthesize | {"too_small": 1}}
    steps, reasons, *_ = contents._funnel(Inputs(metrics=METRICS | changed))
    assert isinstance(steps, Table)
    assert [list(row) for row in steps.rows][3:5] == [["chunks found", "90"], ["chunks kept", "70"]]
    assert max(steps.bars) == 1
    assert isinstance(reasons, Table)
    assert [list(row) for row in reasons.rows][1:] == [
        ["field: smaller than the tile", "1"],
        ["tile: too dark", "5"],
        ["tile: too bright", "14"],
    ]
