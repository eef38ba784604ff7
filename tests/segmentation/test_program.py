import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from morphospace.errors import EngineError
from morphospace.segmentation import _program, cellprofiler
from morphospace.segmentation._engine import Group, Settings

PIPELINES = Path(__file__).resolve().parents[2] / "pipelines"
SEGMENT, ILLUMINATE = PIPELINES / "segment.cppipe", PIPELINES / "illuminate.cppipe"
ALL = "for row in rows: write(row['Metadata_Key'])\ndone.write_text('Complete')\n"


def segment(sets, scratch, jobs=2):
    scratch.mkdir(exist_ok=True)
    return {o.key: o for o in cellprofiler.segment(sets, Settings(), SEGMENT, scratch, jobs)}


def test_without_cellprofiler_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setenv("MORPHOSPACE_CELLPROFILER", "/nowhere/cellprofiler")
    with pytest.raises(EngineError, match=r"/nowhere/cellprofiler; run environments/setup\.sh, or set segment\.engine"):
        _program.find()


def test_without_java_the_error_says_what_to_install(monkeypatch, fake, tmp_path):
    fake(ALL)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "empty"))
    with pytest.raises(EngineError, match=r"no Java at JAVA_HOME=.*empty.*openjdk-17-jre-headless"):
        _program.find()


def test_java_is_found_from_the_search_path(monkeypatch, fake, tmp_path):
    fake(ALL)
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o755)
    (home / "lib").mkdir()
    (home / "lib" / "libjvm.so").touch()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert _program.find().java_home == home


def test_every_plate_is_divided_among_processes(fake, make, tmp_path):
    calls = fake(ALL)
    sets = [make(k, plate) for plate, keys in (("P", (1, 2, 3, 4)), ("Q", (5,))) for k in keys]
    found = segment(sets, tmp_path / "work")
    assert {k: int(o.labels.cells.max()) for k, o in found.items()} == dict.fromkeys(range(1, 6), 1)
    assert sorted(calls.read_text().split()) == ["1", "1", "3"]
    kept = {f"{k}.npz{end}" for k in range(1, 6) for end in ("", ".seal")}
    assert {p.name for p in (tmp_path / "work").iterdir()} == kept


def test_finished_image_sets_are_not_run_again_and_no_program_is_needed(fake, make, tmp_path, monkeypatch):
    calls = fake(ALL)
    sets = [make(k) for k in (1, 2, 3)]
    segment(sets[:2], tmp_path / "work", jobs=1)
    segment(sets, tmp_path / "work", jobs=1)
    assert calls.read_text().split() == ["2", "1"]
    monkeypatch.setenv("MORPHOSPACE_CELLPROFILER", "/nowhere")
    assert len(segment(sets, tmp_path / "work")) == 3


def test_a_bad_file_is_named_and_stops_no_other(fake, make, tmp_path):
    fake(ALL)
    sets = [make(k) for k in (1, 2, 3)]
    sets[1].nuclei.unlink()
    found = segment(sets, tmp_path / "work")
    assert found[2].labels is None
    assert "P/B02/2: " in found[2].error
    assert "P_2_dna.tif cannot be read: No such file" in found[2].error
    assert found[1].labels
    assert found[3].labels


def test_an_image_set_that_fails_inside_is_run_alone_for_its_reason(fake, make, tmp_path):
    calls = fake(
        "for row in rows:\n"
        "    if row['Metadata_Key'] != '2': write(row['Metadata_Key'])\n"
        "    elif not keep_going:\n"
        "        print('Error detected during run of module Opening')\n"
        "        print('Traceback')\n"
        "        print('ValueError: too dark')\n"
        "        done.write_text('Failure'); sys.exit(255)\n"
        "done.write_text('Complete')\n"
    )
    found = segment([make(k) for k in (1, 2, 3)], tmp_path / "work", jobs=1)
    assert found[2].error == "P/B02/2 (P_2_dna.tif, P_2_actin.tif): Opening: too dark"
    assert [found[k].labels is None for k in (1, 3)] == [False, False]
    assert calls.read_text().split() == ["3", "1"]


def test_a_crash_in_the_middle_loses_only_what_was_at_work(fake, make, tmp_path):
    calls = fake(
        "for row in rows:\n"
        "    if row['Metadata_Key'] == '3' and keep_going:\n"
        "        (out / '3_Nuclei.tiff').write_text('half'); sys.exit(139)\n"
        "    write(row['Metadata_Key'])\n"
        "done.write_text('Complete')\n"
    )
    found = segment([make(k) for k in (1, 2, 3, 4)], tmp_path / "work", jobs=1)
    assert all(o.labels for o in found.values())
    assert calls.read_text().split() == ["4", "1", "1"]


def test_complete_without_outputs_is_not_believed(fake, make, tmp_path):
    fake("done.write_text('Complete')\n")
    found = segment([make(1)], tmp_path / "work")
    assert found[1].error.endswith("wrote no result; does the pipeline name a module that it lacks?")


def test_a_silent_death_is_said(fake, make, tmp_path):
    fake("sys.exit(9)\n")
    assert "ended with status 9 and said nothing" in segment([make(1)], tmp_path / "work")[1].error


def test_a_program_that_never_succeeds_is_given_up(fake, make, tmp_path):
    fake("print('ImportError: no numpy'); sys.exit(1)\n")
    black = make(1)
    sets = [black._replace(key=k, name=f"P/B02/{k}") for k in range(1, 12)]
    with pytest.raises(EngineError, match=r"fails on every image set, last on P/B02/.*no numpy"):
        segment(sets, tmp_path / "work", jobs=4)


def test_a_pipeline_without_a_setting_is_refused_before_any_work(fake, make, tmp_path):
    calls = fake(ALL)
    (tmp_path / "p.cppipe").write_text(SEGMENT.read_text().replace("Regularization factor", "Factor"))
    with pytest.raises(EngineError, match="0 settings 'Regularization factor'"):
        next(cellprofiler.segment([make(1)], Settings(), tmp_path / "p.cppipe", tmp_path, 1))
    assert not calls.exists()


def test_an_illumination_function_that_was_not_written_is_an_error(fake, make, tmp_path):
    fake("print('Error detected during run of module SaveImages\\nOSError: disk full'); done.write_text('Failure')\n")
    groups = [Group("P_DNA", [make(1).nuclei], 20)]
    with pytest.raises(EngineError, match="no illumination function of P_DNA: SaveImages: disk full"):
        next(cellprofiler.illuminate(groups, ILLUMINATE, tmp_path, 1))


def test_illumination_functions_are_kept(fake, make, tmp_path):
    calls = fake(
        "import numpy\nnumpy.save(out / 'Illumination.npy', numpy.ones((3, 3), 'float32'))\n"
        "done.write_text('Complete')\n"
    )
    groups = [Group(n, [make(1).nuclei], 20) for n in ("P.x_DNA", "P_Actin")]
    for _ in range(2):
        functions = {f.name: f.values.sum() for f in cellprofiler.illuminate(groups, ILLUMINATE, tmp_path, 2)}
        assert functions == {"P.x_DNA": 9, "P_Actin": 9}
    assert calls.read_text().split() == ["1", "1"]


def test_a_consumer_that_stops_ends_the_processes(fake, make, tmp_path):
    calls = fake(ALL.replace("done.", "import time; time.sleep(60); done."))
    results = cellprofiler.segment([make(k) for k in (1, 2)], Settings(), SEGMENT, tmp_path, 1)
    assert next(results).labels
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 30  # far less than the minute that they would sleep
    assert calls.read_text().split() == ["2"]


def test_termination_ends_the_processes(fake, tmp_path):
    fake(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(__import__('os').getpid())); import time; time.sleep(60)\n")
    code = (
        "from pathlib import Path\n"
        "from morphospace.segmentation import _program as p\n"
        f"run = p.Run(Path({str(tmp_path / 'run')!r}), '', [{{'a': 'b'}}], True)\n"
        "for _ in p.supervise(iter([run]), p.find(), 1): pass\n"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.05)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(20) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
