import pytest

from morphospace.reporting import thesis


def test_the_published_costs_follow_from_the_published_hours() -> None:
    assert list(thesis.table()["cost"]) == pytest.approx([39.60, 10.80, 10.80, 10.80])


def test_the_log_does_not_explain_the_hours() -> None:
    rows = thesis.table().set_index("model")
    assert rows.loc["3", "log_hours"] == pytest.approx(200 * 302 / 3600)
    assert rows.loc["B", "log_hours"] == pytest.approx(4.194, abs=1e-3)
    assert rows.loc["B", "budget_log_hours"] == pytest.approx(1.678, abs=1e-3)
    assert rows.loc["A", "seconds_an_epoch"] == pytest.approx(1080)


def test_every_contradiction_is_said_with_its_numbers() -> None:
    text = "\n".join(thesis.contradictions())
    for part in (
        "20 epochs",
        "4.19 h",
        "1.68 h",
        "1080",
        "26.8 h",
        "13.2 h",
        "72.00 EUR",
        "250,782",
        "7165.2",
        "0.058",
    ):
        assert part in text
