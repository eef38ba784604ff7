"""The command serve: what it refuses, what it leaves out, and how it starts and ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pages
import pandas as pd
import pytest
import requests
from rich.console import Console
from typer.testing import CliRunner

from morphospace import cli, schema, seals
from morphospace.apps.serve import command, maps, page
from morphospace.errors import InputError
from morphospace.imaging import codec

ROOT = Path(__file__).resolve().parents[3]
QUIET = Console(quiet=True)


@pytest.fixture
def run(tmp_path: Path) -> page.Paths:
    paths = pages.write(tmp_path / "run")
    pages.place_on_a_circle(paths)
    return paths


def _change(path: Path, **columns: object) -> None:
    pd.read_parquet(path).assign(**columns).to_parquet(path)


def test_embeddings_of_another_model_are_refused(run: page.Paths, tmp_path: Path) -> None:
    table = pd.read_parquet(run.embeddings)
    names = schema.latent_columns(table)
    moved = table[names].to_numpy() + table[names].to_numpy().std()
    _change(run.embeddings, **dict(zip(names, moved.T, strict=True)))
    with pytest.raises(
        InputError, match=r"is not what the model of .*model makes of .*crops: they are of different runs"
    ):
        page.Page(run, QUIET)
    table.drop(columns=names[-1]).to_parquet(run.embeddings)
    with pytest.raises(InputError, match=r"has 7 latents a cell, the model of .* makes 8"):
        page.Page(run, QUIET)


def test_a_latent_that_is_no_number_is_named(run: page.Paths) -> None:
    latent = np.zeros(60)
    latent[[3, 9]] = np.nan, np.inf
    _change(run.embeddings, Cells_Latent_002=latent)
    with pytest.raises(InputError, match=r"2 of 60 cells with a latent that is not finite, the first is P1, A01, 1, 4"):
        page.read(run)


def test_a_cell_without_a_crop_and_an_empty_table_are_refused(run: page.Paths) -> None:
    _change(run.crops_table, **{schema.CROP_STATUS: ["too_large"] * 2 + [schema.KEPT] * 58})
    with pytest.raises(InputError, match="has no kept crop of 2 of 60 cells of"):
        page.read(run)
    table = pd.read_parquet(run.embeddings)
    table.iloc[:0].to_parquet(run.embeddings)
    with pytest.raises(InputError, match="has no cell; run"):
        page.read(run)
    table.drop(columns=schema.latent_columns(table)).to_parquet(run.embeddings)
    with pytest.raises(InputError, match="has no latent column; run"):
        page.read(run)


def test_a_database_of_other_tables_is_refused(run: page.Paths, tmp_path: Path) -> None:
    place = str(tmp_path / "database")
    page.Page(run._replace(database=place), QUIET)
    _change(run.embeddings, **{schema.BATCH: "another"})
    with pytest.raises(InputError, match="was built of other tables"):
        page.Page(run._replace(database=place), QUIET)


def test_a_model_that_draws_nothing_has_neither_reconstructions_nor_walks(tmp_path: Path) -> None:
    paths = pages.write(tmp_path / "run", "metric_net")
    pages.place_on_a_circle(paths)
    shown = page.Page(paths, QUIET)
    assert not shown.reconstructs
    assert shown.sliders == []
    with pages.served(shown) as address:
        assert requests.get(f"{address}api/page", timeout=20).json()["reconstructs"] is False
        assert requests.get(f"{address}api/cells/0/crop.png", timeout=20).status_code == 200
        assert requests.get(f"{address}api/cells/0/reconstruction.png", timeout=20).status_code == 404
        assert requests.post(f"{address}api/walk", json={"moves": {}}, timeout=20).status_code == 404
        content = codec.encode_tile(pages.tiles()[3])
        found = requests.post(f"{address}api/search", content, headers={"Content-Type": "image/png"}, timeout=20).json()
        assert found["reconstruction"] is None
        assert found["hits"][0]["item"] == 3


def test_a_model_without_a_posterior_orders_its_dimensions_by_variance(tmp_path: Path) -> None:
    paths = pages.write(tmp_path / "run", "autoencoder", channels=2)
    pages.place_on_a_circle(paths)
    shown = page.Page(paths, QUIET)
    assert {s.by for s in shown.sliders} == {"variance"}
    amounts = [s.amount for s in shown.sliders]
    assert amounts == sorted(amounts, reverse=True)
    two = codec.decode_tile(shown.crop(7), 1)
    np.testing.assert_array_equal(two[0], np.concatenate(list(pages.tiles(2)[7]), axis=1))


def test_few_wells_have_no_map_and_lead_nowhere(run: page.Paths) -> None:
    table, _ = page.read(run)
    few = table[table[schema.WELL].isin(["A01", "A02"])].reset_index(drop=True)
    latent = few[schema.latent_columns(few)].to_numpy(np.float32)
    np.save(maps.kept(latent), np.zeros((len(few), 2), np.float32))
    seals.seal(maps.kept(latent))
    levels = maps.levels(few, QUIET)
    assert list(levels) == ["cells"]
    assert (levels["cells"].parents == -1).all()


def test_a_cell_whose_treatment_is_not_known_is_in_no_treatment(run: page.Paths) -> None:
    table, _ = page.read(run)
    table.loc[table[schema.WELL] == "A03", schema.COMPOUND] = None
    codes = maps.codes(table, "treatment")
    assert (codes[table[schema.WELL] == "A03"] == -1).all()
    assert codes.max() == len(pages.COMPOUNDS) - 2


def test_what_cells_have_in_common() -> None:
    assert maps.common(pd.Series([0.3] * 7)) == 0.3
    assert maps.common(pd.Series([1.0, 2.0, None])) == 1.5
    assert maps.common(pd.Series(["b", None, "a", "b"])) == "a, b"


def test_help_teaches() -> None:
    out = CliRunner().invoke(cli.app, ["serve", "--help"])
    assert out.exit_code == 0
    for said in ("Ctrl-C", "tunnel", "--host", "--port", "127.0.0.1", "Example: morphospace serve"):
        assert said in out.output


def test_a_busy_port_is_said_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match="is taken, perhaps by another page"):
            command.run(port=other.getsockname()[1])


def _start(run: page.Paths, *more: str) -> subprocess.Popen[str]:
    given = ["--crops", str(run.crops), "--crops-table", str(run.crops_table), "--model", str(run.model), "--port", "0"]
    command = [sys.executable, "-m", "morphospace", "serve", str(run.embeddings), *given, *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.slow
def test_it_says_where_it_is_and_ctrl_c_ends_it_without_a_trace(run: page.Paths) -> None:
    with _start(run, "--host", "0.0.0.0") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said = process.stdout.readline()
        found = re.fullmatch(r"60 cells at (http://127\.0\.0\.1:\d+/) \(Ctrl-C ends it\)\n", said)
        assert found, said + process.stderr.read()
        assert requests.get(found[1] + "api/page", timeout=20).json()["facts"]["cells"] == 60
        evil = requests.get(found[1] + "api/page", timeout=20, headers={"Host": "evil.example"})
        assert evil.status_code == 403
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert out == "ended\n"
        assert "warning: --host 0.0.0.0 lets anyone who reaches this machine see these data" in " ".join(err.split())
        assert "Traceback" not in err
