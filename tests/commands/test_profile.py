"""The command on tables of CellProfiler, pycytominer and ours."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from plates import FEATURES, experiment
from typer.testing import CliRunner

from morphospace import cli, files, schema, tables
from morphospace.commands import profile
from morphospace.errors import InputError, ParameterError, SchemaError
from morphospace.profiling import aggregate, features
from morphospace.profiling.build import Settings, build


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No params.yaml here: the defaults count."""
    monkeypatch.chdir(tmp_path)


def wells(folder: str) -> pd.DataFrame:
    return pd.read_parquet(f"{folder}/wells.parquet")


def test_our_own_table_gives_what_the_stage_gives() -> None:
    experiment().to_parquet("cells.parquet")
    profile.run(Path("cells.parquet"), Path("out"), change=["treatment=median"])
    made = build(experiment(), Settings(treatment="median"))
    for name, table in zip(made._fields, made, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(f"out/{name}.parquet"), table)
    assert files.read_json(Path("out/profiles.json"))["profile"]["treatment"] == "median"


def test_a_table_of_objects_from_cellprofiler_is_read() -> None:
    """ImageNumber for a site, Image_Metadata_, plate names like numbers, a NaN, and a plate map with the compounds."""
    cells = experiment()
    objects = cells[[schema.OBJECT, *FEATURES]].copy()
    objects.insert(0, "ImageNumber", cells.groupby(schema.IMAGE_SET_KEY).ngroup() + 1)
    objects["Image_Metadata_Plate"] = cells[schema.PLATE].str.replace("P", "000")
    objects["Image_Metadata_Well"] = cells[schema.WELL]
    objects["Image_Count_Cells"] = 6
    objects["Cells_Texture_Odd"] = np.where(np.arange(len(objects)) == 5, np.nan, 1.5)
    objects.to_csv("Cells.csv", index=False)
    known = cells[[schema.PLATE, schema.WELL, schema.COMPOUND, schema.CONCENTRATION]].drop_duplicates()
    known.assign(**{schema.PLATE: known[schema.PLATE].str.replace("P", "000")}).to_csv("map.csv", index=False)
    with pytest.raises(InputError, match=r"Cells.csv: 1 of 144 rows .* Cells_Texture_Odd in row 5"):
        profile.run(Path("Cells.csv"), Path("out"), Path("map.csv"), controls="Metadata_Compound=DMSO")
    profile.run(Path("Cells.csv"), Path("out"), Path("map.csv"), controls="Metadata_Compound=DMSO", missing="features")
    expected = build(cells, Settings())
    np.testing.assert_allclose(wells("out")[FEATURES], expected.wells[FEATURES])
    assert list(wells("out")[schema.PLATE].unique()) == ["0000", "0001", "0002"]
    assert (wells("out")["Metadata_Object_Count"] == 12).all()
    assert len(pd.read_parquet("out/treatments.parquet")) == 3


def test_a_table_of_pycytominer_is_read_and_reads_ours() -> None:
    cells = experiment()
    theirs = features.pycytominer().aggregate(
        cells, [*aggregate.WELL_KEY, schema.COMPOUND, schema.CONCENTRATION], operation="mean"
    )
    theirs.rename(columns={schema.COMPOUND: "Metadata_broad_sample"}).to_csv("theirs.csv.gz", index=False)
    profile.run(
        Path("theirs.csv.gz"), Path("out"), rename=["Metadata_broad_sample=Metadata_Compound"],
        controls="Metadata_Compound=DMSO", csv=True,
    )  # fmt: skip
    ours = pd.read_csv("out/wells.csv.gz")
    np.testing.assert_allclose(ours[FEATURES], build(theirs_as_ours(theirs), Settings()).wells[FEATURES])
    again = features.pycytominer().normalize(
        "out/wells.csv.gz", samples="Metadata_PertType == 'negcon'", method="mad_robustize"
    )
    assert again[FEATURES].shape == (12, 4)


def theirs_as_ours(table: pd.DataFrame) -> pd.DataFrame:
    kinds = np.where(table[schema.COMPOUND] == "DMSO", schema.NEGCON, schema.TREATED)
    return table.assign(**{schema.PERT_TYPE: kinds})


def test_the_command_line_takes_it_all() -> None:
    experiment().to_csv("cells.csv", index=False)
    found = CliRunner().invoke(cli.app, ["profile", "cells.csv", "out", "-S", "sphere=zca", "--set", "level=well"])
    assert found.exit_code == 0, found.output
    assert "24 sites, 12 wells, 3 treatments in out" in found.output
    # Its own folder may be written again, another may not.
    profile.run(Path("cells.csv"), Path("out"))
    Path("other").mkdir()
    Path("other/thesis.txt").write_text("keep")
    with pytest.raises(InputError, match="other holds 1 file that morphospace did not write"):
        profile.run(Path("cells.csv"), Path("other"))


def test_wells_that_the_metadata_do_not_know_are_named() -> None:
    experiment().to_csv("cells.csv", index=False)
    known = experiment()[[schema.PLATE, schema.WELL]].drop_duplicates()
    known.query("Metadata_Well != 'A02'").assign(Metadata_Extra=1).to_csv("map.csv", index=False)
    with pytest.raises(InputError, match=r"map.csv has no row for 3 of 12 wells of cells.csv: plate P0, well A02"):
        profile.run(Path("cells.csv"), Path("out"), Path("map.csv"))
    pd.concat([known, known]).to_csv("map.csv", index=False)
    with pytest.raises(SchemaError, match=r"map.csv has Metadata_Plate=P0, Metadata_Well=A01 more than once"):
        profile.run(Path("cells.csv"), Path("out"), Path("map.csv"))


def test_wells_meet_the_plate_map_in_any_spelling() -> None:
    cells = experiment()
    cells[schema.WELL] = cells[schema.WELL].str.replace("A0", "r01c")
    cells.drop(columns=[schema.COMPOUND, schema.CONCENTRATION]).to_csv("cells.csv", index=False)
    known = experiment()[[schema.PLATE, schema.WELL, schema.COMPOUND, schema.CONCENTRATION]].drop_duplicates()
    rows = known.assign(Metadata_Row=1, Metadata_Column=known[schema.WELL].str[1:].astype(int))
    rows.drop(columns=schema.WELL).to_csv("map.csv", index=False)
    profile.run(Path("cells.csv"), Path("out"), Path("map.csv"), controls="Metadata_Compound=DMSO")
    pd.testing.assert_frame_equal(wells("out")[FEATURES], build(experiment(), Settings()).wells[FEATURES])
    assert set(wells("out")[schema.WELL]) == set(experiment()[schema.WELL])
    rows.assign(Metadata_Row=0).drop(columns=schema.WELL).to_csv("map.csv", index=False)
    with pytest.raises(InputError, match=r"map\.csv: row '0', column '\d' is not a well: .* correct Metadata_Row and"):
        profile.run(Path("cells.csv"), Path("out"), Path("map.csv"), controls="Metadata_Compound=DMSO")


def test_one_well_in_two_spellings_is_one_profile() -> None:
    cells = experiment()
    odd = cells.index % 2 == 1
    cells[schema.WELL] = cells[schema.WELL].mask(odd, cells[schema.WELL].str.replace("0", ""))
    cells.to_parquet("cells.parquet")
    profile.run(Path("cells.parquet"), Path("out"))
    pd.testing.assert_frame_equal(wells("out"), build(experiment(), Settings()).wells)


def test_doses_that_may_be_two_numbers_are_refused_and_rows_without_cells_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    experiment().drop(columns=[schema.COMPOUND, schema.CONCENTRATION]).to_csv("cells.csv", index=False)
    known = experiment()[[schema.PLATE, schema.WELL, schema.COMPOUND, schema.CONCENTRATION]].drop_duplicates()
    spare = known.iloc[[0]].assign(Metadata_Well="H12")
    pd.concat([known, spare]).to_csv("map.csv", index=False)
    profile.run(Path("cells.csv"), Path("out"), Path("map.csv"), controls="Metadata_Compound=DMSO")
    assert f"map.csv: 1 of {len(known) + 1} rows have no cell (first: P0 H12)" in caplog.messages
    known.assign(Metadata_Concentration="1,000").to_csv("map.csv", index=False)
    with pytest.raises(
        InputError, match=r"map\.csv, line 2: Metadata_Concentration is '1,000', which may be 1 or 1000"
    ):
        profile.run(Path("cells.csv"), Path("out"), Path("map.csv"), controls="Metadata_Compound=DMSO")


def test_mistakes_of_options_say_what_is_right() -> None:
    experiment().to_csv("cells.csv", index=False)

    def run(**options: object) -> None:
        profile.run(Path("cells.csv"), Path("out"), **options)  # type: ignore[arg-type]

    with pytest.raises(SchemaError, match=r"lacks Metadata_Compund; did you mean 'Metadata_Compound'"):
        run(controls="Metadata_Compund=DMSO")
    with pytest.raises(InputError, match=r"has no 'dmso'.*DMSO"):
        run(controls="Metadata_Compound=dmso")
    with pytest.raises(InputError, match="'DMSO' is not of the form NAME=VALUE"):
        run(controls="DMSO")
    with pytest.raises(ParameterError, match="profile has no spere; did you mean 'sphere'"):
        run(change=["spere=zca"])
    with pytest.raises(ParameterError, match=r"profile.sphere is 'yes', should be 'none', 'zca' or 'pca'"):
        run(change=["sphere='yes'"])
    with pytest.raises(ParameterError, match=r"profile.missing is 'keep'"):
        run(missing="keep")
    with pytest.raises(SchemaError, match="two columns Metadata_Well once it is renamed"):
        run(rename=["Metadata_Site=Metadata_Well"])


def test_files_that_are_no_tables_are_refused() -> None:
    with pytest.raises(InputError, match=r"none.csv is missing"):
        profile.run(Path("none.csv"), Path("out"))
    Path("empty.csv").write_text("")
    with pytest.raises(InputError, match=r"empty.csv is not a table"):
        profile.run(Path("empty.csv"), Path("out"))
    Path("zip.csv.gz").write_text("a,b\n")
    with pytest.raises(InputError, match=r"zip.csv.gz is not a table"):
        profile.run(Path("zip.csv.gz"), Path("out"))


def test_features_that_are_not_worth_keeping_are_dropped_from_all_tables() -> None:
    cells = experiment()
    cells[FEATURES] = np.random.default_rng(0).normal(size=(len(cells), len(FEATURES)))
    cells["Cells_Twin"] = 3 * cells[FEATURES[0]] + 1
    cells["Cells_Constant"] = 0.5
    cells.to_parquet("cells.parquet")
    profile.run(Path("cells.parquet"), Path("out"), distinct=0.9999)
    twins = {FEATURES[0], "Cells_Twin"}
    kept = set(features.feature_columns(wells("out")))
    assert len(kept & twins) == 1
    assert kept - twins == set(FEATURES[1:])
    assert files.read_json(Path("out/profiles.json"))["distinct"] == 0.9999
    with pytest.raises(InputError, match=r"--agree is 1\.5: give a correlation between 0 and 1"):
        profile.run(Path("cells.parquet"), Path("out"), agree=1.5)
    cells.drop(columns=schema.COMPOUND).to_parquet("bare.parquet")
    with pytest.raises(SchemaError, match=schema.COMPOUND):
        profile.run(Path("bare.parquet"), Path("out"), agree=0.5)


def _jump() -> pd.DataFrame:
    """Return two plates of sites as JUMP has them: controls without a broad_sample, and names that look like none."""
    rng = np.random.default_rng(0)
    rows = [
        [plate, f"B{w + 2:02d}", site, compound, "negcon" if compound is None else None, 1, *rng.normal(w, 0.3, 3)]
        for plate in ("0012", "0013")
        for w, compound in enumerate([None, None, "NA", "None", "taxol", "null", "", "=1+1"])
        for site in (1, 2)
    ]
    names = [schema.PLATE, schema.WELL, schema.SITE, "Metadata_broad_sample", "Metadata_control_type"]
    return pd.DataFrame(rows, columns=[*names, schema.CONCENTRATION, "Cells_A", "Cells_B", "Cells_C"])


NAMED = ["=1+1", "NA", "None", "negcon", "null", "taxol"]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "csv.gz"])
def test_compounds_keep_their_names_and_wells_without_one_are_no_treatment(
    suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    table, path = _jump(), Path(f"jump.{suffix}")
    if suffix == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    rename = ["Metadata_broad_sample=Metadata_Compound"]
    if suffix == "parquet":
        hint = r"has no 'DMSO'; did you mean --controls Metadata_control_type=negcon\?"
        with pytest.raises(InputError, match=hint):
            profile.run(path, Path("out"), rename=rename, controls="Metadata_Compound=DMSO")
    profile.run(path, Path("out"), rename=rename, controls="Metadata_control_type=negcon", csv=suffix != "parquet")
    assert "2 wells without a compound: of no treatment" in caplog.text
    found = tables.read(Path(f"out/treatments.{'parquet' if suffix == 'parquet' else 'csv.gz'}"))
    assert found[schema.COMPOUND].tolist() == NAMED
    assert set(found[schema.PLATE]) == {"0012,0013"}
    kinds = dict(zip(found[schema.COMPOUND], found[schema.PERT_TYPE], strict=True))
    assert kinds["negcon"] == schema.NEGCON
    made = tables.read(Path(f"out/wells.{'parquet' if suffix == 'parquet' else 'csv.gz'}"))
    assert len(made) == 16
    assert (made[schema.COMPOUND] == "").sum() == 2


def test_a_dose_that_is_no_number_is_named() -> None:
    _jump().assign(**{schema.CONCENTRATION: "1 uM"}).to_csv("units.csv", index=False)
    with pytest.raises(InputError, match=r"units.csv, line 2: Metadata_Concentration is '1 uM', which is not a number"):
        profile.run(Path("units.csv"), Path("out"), controls="Metadata_control_type=negcon")


def test_cells_are_aggregated_once_whatever_is_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment().to_parquet("cells.parquet")
    calls = []
    plain = aggregate.sites
    monkeypatch.setattr(aggregate, "sites", lambda *a: calls.append(1) or plain(*a))
    profile.run(Path("cells.parquet"), Path("out"), distinct=0.99)
    assert len(calls) == 1
