import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from morphospace import schema
from morphospace.errors import EngineError, ParameterError
from morphospace.imaging import packs
from morphospace.segmentation import _rim


def summary(run):
    return json.loads((run.root / "segment.json").read_text())


def objects(run):
    return pd.read_parquet(run.root / "objects/objects.parquet")


def test_every_object_of_the_table_is_in_the_label_images(lit):
    lit.segment()
    table = objects(lit)
    assert len(table) > 8
    assert table.equals(table.sort_values(schema.OBJECT_KEY, ignore_index=True))
    for (plate, well, site), rows in table.groupby(schema.IMAGE_SET_KEY):
        images = packs.read_labels(lit.root / f"objects/{plate}.zip", well, site)
        assert list(images) == ["Nuclei", "Cells", "Cytoplasm"]
        assert images["Cells"].dtype == np.uint16
        assert np.bincount(images["Cells"].ravel())[1:].tolist() == rows["Cells_AreaShape_Area"].tolist()
        for _, row in rows.iterrows():
            x0, y0, x1, y1 = (
                row[f"Cells_AreaShape_BoundingBox{e}_{a}"] for e in ("Minimum", "Maximum") for a in ("X", "Y")
            )
            assert (images["Cells"][y0:y1, x0:x1] == row["ObjectNumber"]).sum() == row["Cells_AreaShape_Area"]
    assert list(table.columns[: len(schema.METADATA)]) == schema.METADATA


def test_the_summary_counts_what_the_table_holds(lit):
    lit.segment()
    found = summary(lit)
    assert found["cells"] == found["nuclei"] == len(objects(lit))
    assert (found["image_sets"], found["failed"], found["engine"]) == (4, 0, "native")
    assert sum(p["cells"] for p in found["plates"].values()) == found["cells"]
    assert len(list((lit.root / "figures/segmentation").glob("Week*.png"))) in range(1, 5)
    assert {p.suffix for p in (lit.root / "scratch/segment").iterdir()} == {".lock", ".TAG"}, "finished shards are gone"


def test_a_bad_image_set_is_named_and_leaves_the_others_alone(lit, caplog):
    lit.segment()
    before = objects(lit)
    bad = lit.images("Actin")[2]
    bad.write_bytes(bad.read_bytes()[:1000])
    lit.setting("max_failed", 0.5)
    lit.segment()
    failed = pd.read_csv(lit.root / "objects/failed.csv", dtype=str)
    assert len(failed) == summary(lit)["failed"] == 1
    assert f"{bad} is not the file that was indexed" in failed["Reason"][0]
    assert failed["Reason"][0] in caplog.text
    key = failed[schema.IMAGE_SET_KEY].iloc[0]
    others = before[(before[schema.IMAGE_SET_KEY] != key).any(axis=1)].reset_index(drop=True)
    assert objects(lit).equals(others)


def test_a_file_that_the_index_accepted_but_an_engine_cannot_read_is_named(lit):
    bad = lit.images("DNA")[0]
    bad.write_bytes(bad.read_bytes()[:1000])
    lit.reindex()
    lit.setting("max_failed", 0.5)
    lit.segment()
    assert f"{bad} is truncated" in pd.read_csv(lit.root / "objects/failed.csv")["Reason"][0]


@pytest.mark.parametrize("value", [0, 900, 65_535])
def test_an_even_image_set_is_dropped_by_name_and_leaves_the_others_alone(lit, value):
    lit.segment()
    before = objects(lit)
    bad = lit.images("DNA")[1]
    tifffile.imwrite(bad, np.full((256, 320), value, np.uint16), photometric="minisblack")
    lit.reindex()
    lit.setting("max_failed", 0.25)
    lit.segment()
    failed = pd.read_csv(lit.root / "objects/failed.csv", dtype=str)
    assert f"{bad} is even" in failed["Reason"].item()
    key = failed[schema.IMAGE_SET_KEY].iloc[0]
    others = before[(before[schema.IMAGE_SET_KEY] != key).any(axis=1)].reset_index(drop=True)
    assert objects(lit).equals(others)
    lit.validate()
    lit.setting("max_failed", 0.2)
    with pytest.raises(EngineError, match=r"1 of 4 image sets failed, more than segment\.max_failed 0\.2"):
        lit.segment()


def test_a_threshold_that_cuts_the_rim_of_the_cells_is_said_in_one_line(lit, caplog, monkeypatch):
    monkeypatch.setattr(_rim, "FEWEST", 8)
    lit.segment()
    assert summary(lit)["rim"]["cells"] > 8
    assert summary(lit)["rim"]["advice"] == "none"
    lit.setting("cells_channel", "Tubulin")
    lit.segment()
    cut = summary(lit)["rim"]
    assert cut["cut_share"] > 0.5
    assert cut["advice"] in caplog.text
    assert "consider segment.log_transform: true" in cut["advice"]
    lit.setting("log_transform", True)
    lit.segment()
    assert summary(lit)["log_transform"]
    assert summary(lit)["rim"]["advice"] == "none"
    assert summary(lit)["rim"]["cut_share"] < cut["cut_share"]


def test_a_logarithm_that_floods_a_field_is_said_in_one_line(lit, caplog, monkeypatch):
    monkeypatch.setattr(_rim, "floods", lambda stain, settings: True)
    lit.setting("log_transform", True)
    lit.segment()
    assert "in 4 of the 4 fields with the fewest cells" in summary(lit)["rim"]["advice"]
    assert summary(lit)["rim"]["advice"] in caplog.text


def test_an_engine_without_that_threshold_gives_no_such_advice(lit):
    lit.setting("engine", "plain")
    lit.segment()
    assert "rim" not in summary(lit)


def test_too_many_failures_stop_the_stage_and_leave_nothing(lit):
    for path in lit.images("DNA")[:2]:
        path.unlink()
    with pytest.raises(EngineError, match=r"2 of 4 image sets failed, more than segment\.max_failed 0\.1"):
        lit.segment()
    assert not (lit.root / "objects").exists()
    assert not (lit.root / "segment.json").exists()


def test_a_field_without_a_cell_counts_as_one(lit):
    half = np.full((256, 320), 900, np.uint16)
    half[:, 160:] = 5000  # one object, which touches the border
    half[:, 300:] = 9000
    for channel in ("DNA", "Actin"):
        tifffile.imwrite(lit.images(channel)[0], half, photometric="minisblack")
    lit.reindex()
    lit.segment()
    assert (summary(lit)["without_cells"], summary(lit)["failed"]) == (1, 0)
    assert summary(lit)["cells_per_field"]["min"] == 0


def test_no_cell_anywhere_stops_the_stage(lit):
    lit.setting("nuclei_correction", 100.0)
    with pytest.raises(EngineError, match=r"no cell in 4 image sets; check segment\.nuclei_channel"):
        lit.segment()


def test_a_channel_that_the_images_lack_is_refused(lit):
    lit.setting("cells_channel", "Actim")
    with pytest.raises(ParameterError, match=r"segment\.cells_channel is 'Actim' \(the images have: Actin"):
        lit.segment()


def test_channels_whose_names_look_exchanged_are_said_and_counted(lit, caplog):
    """The twin's own names raise no word; the same files under each other's names do, and the stage goes on."""
    lit.segment()
    assert "look exchanged" not in caplog.text
    assert set(pd.read_csv(lit.root / "objects/stains.csv")["Verdict"]) == {"as named"}
    table = pd.read_csv(lit.table, dtype=str, keep_default_na=False)
    other = {"Actin": "Tubulin", "Tubulin": "Actin"}
    table.columns = [f"{head}_{other.get(name, name)}" for head, _, name in (c.rpartition("_") for c in table.columns)]
    table.to_csv(lit.table, index=False)
    lit.segment()
    assert caplog.text.count("channels Tubulin and Actin look exchanged on 1 of 1 plates") == 1
    assert summary(lit)["stains"]["Tubulin and Actin"]["look_swapped"] == 1
    assert summary(lit)["stains"]["DNA and Actin"]["as_named"] == 1
    assert summary(lit)["cells"] > 8
    assert (lit.root / "figures/segmentation/stains.png").is_file()


def test_channels_of_other_names_are_not_judged(lit, caplog):
    table = pd.read_csv(lit.table, dtype=str, keep_default_na=False)
    table.columns = [c.replace("_Actin", "_Other").replace("_Tubulin", "_GFP") for c in table.columns]
    table.to_csv(lit.table, index=False)
    for path in (lit.root / "illumination").glob("*_Actin.npy"):
        path.rename(path.with_name(path.name.replace("Actin", "Other")))
    lit.setting("cells_channel", "Other")
    lit.segment()
    assert summary(lit)["stains"] == {}
    assert "exchanged" not in caplog.text
    assert not (lit.root / "figures/segmentation/stains.png").exists()


def test_a_field_whose_cells_are_wedges_of_background_is_said_counted_and_drawn(lit, caplog):
    lit.segment()
    assert summary(lit)["fields"]["doubtful"] == 0
    assert "doubtful" not in caplog.text
    noise = np.random.default_rng(0).normal(60, 5, (256, 320)).astype(np.uint16) * 16
    tifffile.imwrite(lit.images("Actin")[1], noise, photometric="minisblack")
    lit.reindex()
    lit.segment()
    fields = pd.read_csv(lit.root / "objects/fields.csv", dtype={schema.SITE: str}, keep_default_na=False)
    bad = fields[fields["Doubts"] != ""]
    assert bad["Doubts"].tolist() == ["cells without an edge"]
    assert (len(fields), summary(lit)["fields"]["doubtful"], summary(lit)["fields"]["examined"]) == (4, 1, 4)
    assert sum(summary(lit)["fields"]["plates"].values()) == 1
    name = "/".join(bad.iloc[0][schema.IMAGE_SET_KEY])
    assert f"1 of 4 fields is doubtful (cells without an edge: 1; the first: {name})" in caplog.text
    found = objects(lit).merge(bad[schema.IMAGE_SET_KEY])
    assert len(found) == bad.iloc[0]["Count_Cells"] > 0  # nothing is dropped
    drawn = {path.name for path in (lit.root / "figures/segmentation").glob("doubtful*.png")}
    assert drawn == {"doubtful.png", f"doubtful_{name.replace('/', '_')}.png"}


def test_the_same_images_give_the_same_bytes(lit):
    lit.segment()
    first = {p.name: p.read_bytes() for p in (lit.root / "objects").iterdir()}
    lit.segment()
    assert first == {p.name: p.read_bytes() for p in (lit.root / "objects").iterdir()}
