"""A folder that holds anything but the tables of a database is left alone."""

from pathlib import Path

import lancedb
import pyarrow as pa
import pytest

from morphospace.errors import InputError
from morphospace.search import store

KEY = "0123456789abcdef"


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    store.require_own(str(tmp_path / "new"))
    for name in ("about.lance", f"cell-{KEY}.lance", f"treatment-{KEY}.lance"):
        (tmp_path / name).mkdir()
    store.require_own(str(tmp_path))
    for name in ("cell-types.lance", "cells.csv", f"cell-{KEY}", "About.lance"):
        (tmp_path / name).mkdir()
        with pytest.raises(InputError, match=f"holds something else than a database \\(first: {name}\\)"):
            store.require_own(str(tmp_path))
        (tmp_path / name).rmdir()
    (tmp_path / "a.csv").touch()
    with pytest.raises(InputError, match="is a file, and a database is a folder"):
        store.require_own(str(tmp_path / "a.csv"))


def test_only_tables_of_our_own_are_dropped(tmp_path: Path) -> None:
    database = lancedb.connect(str(tmp_path))
    for name in ("cell-types", f"cell-{KEY}", "well-known"):
        database.create_table(name, pa.table({"a": [1]}))
    rows = {"cell": 1, "well": 1, "treatment": 1}
    about = store.About(store.FORMAT, "f" * 16, "", "", 2, rows, crops=False, probes=None, recall=None)
    store.finish(str(tmp_path), about)
    assert sorted(store.names(database)) == ["about", "cell-types", "well-known"]
