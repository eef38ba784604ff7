"""What a stage cost: seconds, processor seconds, peak memory, bytes written, items done."""

import os
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from morphospace import files


@dataclass
class Tally:
    """What a stage says of itself while the clock runs."""

    items: int = 0  # what `unit` counts
    unit: str = "items"
    device: str = "cpu"
    earlier_seconds: float = 0.0  # spent before an interruption, from a checkpoint
    outputs: list[Path] = field(default_factory=list)  # whose bytes are counted
    details: dict[str, float] = field(default_factory=dict)


@contextmanager
def clock(stage: str, timings: Path, *outputs: Path) -> Iterator[Tally]:
    """Time a stage and write ``{stage, seconds, cpu_seconds, peak_memory_mb, bytes, items, unit, ...}`` to `timings`.

    Child processes count in ``cpu_seconds``; ``peak_memory_mb`` is that of the largest single process. Nothing is
    written when the block fails.
    """
    start, before = time.perf_counter(), _cpu()
    tally = Tally(outputs=list(outputs))
    yield tally
    files.write_json(
        timings,
        {
            "stage": stage,
            "seconds": round(time.perf_counter() - start + tally.earlier_seconds, 3),
            "cpu_seconds": round(_cpu() - before, 3),
            "peak_memory_mb": round(_peak_kilobytes() / 1024, 1),
            "bytes": sum(size(p) for p in tally.outputs),
            "items": tally.items,
            "unit": tally.unit,
            "device": tally.device,
            "machine": os.environ.get("MORPHOSPACE_MACHINE") or f"{platform.machine()}, {os.cpu_count()} cores",
            **tally.details,
        },
    )


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usages)


def _peak_kilobytes() -> int:
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
