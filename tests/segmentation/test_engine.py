import threading

import pytest

from morphospace.segmentation._engine import alone_in


def test_a_scratch_folder_is_kept_for_the_next_try_and_removed_at_success(tmp_path):
    folder = tmp_path / "work"

    def fail():
        with alone_in(folder) as scratch:
            (scratch / "half").touch()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    with alone_in(folder) as scratch:
        assert (scratch / "half").exists()
    assert not folder.exists()


def test_a_second_run_waits_for_the_first(tmp_path):
    folder, order = tmp_path / "work", []

    def second():
        with alone_in(folder) as scratch:
            order.append(f"second starts with {len(list(scratch.iterdir()))} files")

    with alone_in(folder) as scratch:
        (scratch / "x").touch()
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.3)
        order.append("first ends")
    thread.join(10)
    assert order == ["first ends", "second starts with 0 files"]
