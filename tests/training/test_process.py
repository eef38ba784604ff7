"""Settings of the process are undone."""

import logging
import warnings

import pytest
import torch

from morphospace.training import process


def test_deterministic_algorithms_are_undone_also_after_an_error() -> None:
    def failing() -> None:
        with process.deterministic():
            torch.use_deterministic_algorithms(True)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        failing()
    assert not torch.are_deterministic_algorithms_enabled()


def test_only_the_known_warnings_are_kept_quiet() -> None:
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    with process.quiet():
        warnings.warn("isinstance(treespec, LeafSpec) is deprecated", FutureWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="another"):
            warnings.warn("another", UserWarning, stacklevel=1)
    assert logger.level == level


def test_the_c_library_is_told_where_there_is_glibc() -> None:
    assert process.keep_memory() in (True, False)
