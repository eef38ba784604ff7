import re
from typing import Any

import pytest

from morphospace.errors import InputError
from morphospace.reporting import comparison, figures


def entry(rev: str, name: str | None, z: int, s: float | None, **more: Any) -> dict[str, Any]:
    scores = {"S": s, "S_low": s and s - 0.01, "S_high": s and s + 0.01, "S_legacy": 0.8, "S_pca": 0.95, "pca_k": z}
    scores |= {"S_mean": 0.7, "S_black": 0.6, "skill_mae": 0.3, "skill_pca": -0.2}
    params = {"dataset": "synthetic", "model": more.pop("model", "conv_vae"), "z_dim": z}
    params |= {"train": {"epochs": 12, "r_loss_factor": 10000.0}}
    metrics = {
        "reports/metrics/similarity.json": {"data": scores} if s is not None else {"error": {"type": "FileNotFound"}},
        "reports/metrics/budget.json": {"data": {"hours": 0.25, "cost_spot": 0.45}},
        "reports/metrics/train.json": {"data": {"epochs": 9}},
    }
    data = {"rev": rev, "params": {"params.yaml": {"data": params}}, "metrics": metrics}
    return {"rev": rev, "name": name, "data": data, "error": None, "experiments": None} | more


def group(state: str | None, one: dict[str, Any]) -> dict[str, Any]:
    return {"revs": [one], "executor": {"state": state} if state else None, "name": one["name"]}


SHOWN = [
    entry("workspace", None, 75, 0.90),
    entry("a" * 40, "main", 75, 0.90)
    | {
        "experiments": [
            group("success", entry("b" * 40, "wide", 300, 0.92)),
            group(None, entry("c" * 40, "mid|dle", 150, 0.91)),
            group("failed", entry("d" * 40, "broken", 13, 0.90, error={"msg": "Experiment run failed", "type": ""})),
            group("queued", entry("e" * 40, None, 600, 0.90)),
        ]
    },
]


def test_experiments_are_sorted_by_latent_size_and_the_workspace_is_not_said_twice() -> None:
    found = comparison.table(SHOWN)
    assert list(found["experiment"]) == ["broken", "main", "mid|dle", "wide", "eeeeeee"]
    assert list(found["z_dim"]) == [13, 75, 150, 300, 600]


def test_a_workspace_that_differs_has_its_row() -> None:
    found = comparison.table([entry("workspace", None, 20, 0.5), *SHOWN[1:]])
    assert "workspace" in set(found["revision"])


def test_what_did_not_end_has_a_state_and_no_scores() -> None:
    found = comparison.table(SHOWN).set_index("experiment")
    assert found.loc["broken", "state"] == "failed"
    assert found.loc["eeeeeee", "state"] == "queued"
    assert found.loc[["broken", "eeeeeee"], ["S", "hours", "cost_spot"]].isna().all().all()
    text = comparison.markdown(comparison.table(SHOWN), "EUR")
    assert "| broken (failed) |" in text


def test_an_experiment_that_was_only_trained_does_not_show_the_scores_of_its_commit() -> None:
    trained = entry("f" * 40, "trial", 20, 0.9)
    trained["data"] |= {"deps": {"data/models": {"hash": "old"}}, "outs": {"data/models": {"hash": "new"}}}
    scored = entry("9" * 40, "scored", 30, 0.9)
    scored["data"] |= {"deps": {"data/models": {"hash": "new"}}, "outs": {"data/models": {"hash": "new"}}}
    shown = [SHOWN[1] | {"experiments": [group(None, trained), group(None, scored)]}]
    found = comparison.table(shown).set_index("experiment")
    assert found.loc["trial", "state"] == "not scored"
    assert found.loc["trial", ["S", "epochs_run"]].isna().all()
    assert (found.loc["scored", "state"], found.loc["scored", "S"]) == ("success", 0.9)
    assert "| trial (not scored) |" in comparison.markdown(comparison.table(shown), "EUR")


def test_a_missing_metric_is_not_measured() -> None:
    found = comparison.table([entry("a" * 40, "main", 75, None)])
    assert found["S"].isna().all()
    assert "not measured" in comparison.markdown(found, "EUR")


def test_the_table_has_a_line_for_each_experiment_and_a_name_cannot_break_it() -> None:
    text = comparison.markdown(comparison.table(SHOWN), "EUR")
    ours, theirs = text.split("## Published")
    rows = [line for line in ours.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 5
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {15}
    assert "mid\\|dle" in text
    assert "| 9 of 12 | 15.0 min | 0.9200 [0.9100, 0.9300] |".replace("[", "\\[").replace("]", "\\]") in text
    assert "0.91598" in theirs
    assert "not comparable" in theirs


def test_no_experiment_gives_a_hint() -> None:
    assert "No experiment was found" in comparison.markdown(comparison.table([]), "EUR")


@pytest.mark.parametrize("shown", [{}, None, [1], [{"rev": 3, "experiments": [{}]}], "x"])
def test_another_json_is_refused(shown: Any) -> None:
    with pytest.raises(InputError, match="not what `dvc exp show --json`"):
        comparison.table(shown)


def test_the_plot_is_drawn_with_any_models_and_without_any(tmp_path: Any) -> None:
    other = [entry("f" * 40, "other", 75, 0.89, model="$odd_$")]
    for name, shown in (("a", SHOWN + other), ("b", []), ("c", SHOWN[:1])):
        figures.save(comparison.plot(comparison.table(shown)), tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 2000


def test_the_plot_shows_the_skill_of_each_latent_size_beside_s() -> None:
    """Only experiments that were scored are drawn: 75, 150 and 300 of those shown."""
    similar, skill = comparison.plot(comparison.table(SHOWN)).axes
    heights = {axis: [float(y) for y in axis.lines[0].get_ydata()] for axis in (similar, skill)}
    assert heights == {similar: [0.90, 0.91, 0.92], skill: [-0.2, -0.2, -0.2]}
    assert [t.get_text() for t in skill.get_xticklabels()] == ["75", "150", "300"]


def test_a_latent_that_is_wider_than_z_dim_stands_at_its_width() -> None:
    wide = entry("a" * 40, "map", 75, 0.9, model="cae")
    wide["data"]["metrics"]["reports/metrics/latent.json"] = {"data": {"z_dim": 512}}
    assert list(comparison.table([wide])["z_dim"]) == [512]


def test_the_scores_of_another_data_set_are_not_those_of_an_experiment_that_failed() -> None:
    """The metrics that lie about when a run on a folder failed are those of the run before it."""
    stale = entry("workspace", None, 75, 0.9)
    stale["data"]["metrics"]["reports/metrics/similarity.json"]["data"]["dataset"] = "synthetic"
    stale["data"]["params"]["params.yaml"]["data"]["dataset"] = "folder"
    ended = entry("a" * 40, "ended", 75, 0.8)
    ended["data"]["metrics"]["reports/metrics/similarity.json"]["data"]["dataset"] = "folder: may/images"
    ended["data"]["params"]["params.yaml"]["data"]["dataset"] = "folder"
    found = comparison.table([stale | {"rev": "b" * 40, "name": "stale"}, ended]).set_index("experiment")
    assert list(found.loc["stale", ["dataset", "state"]]) == ["folder", "not scored"]
    assert found["S"].isna().to_dict() == {"ended": False, "stale": True}
    assert list(found.loc["ended", ["dataset", "state"]]) == ["folder: may/images", "success"]
    assert comparison.markdown(found.reset_index(), "EUR").startswith("# Experiments on folder, folder: may/images\n")
