"""TIFFs by hand: tags that no writing library lets one leave out, repeat or lie in."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Tag = tuple[int, Sequence[int] | bytes]  # type (1 byte, 2 text, 3 short, 4 long, 5 rational as two longs), values
_CODES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "I"}


def write(
    path: Path, pixels: np.ndarray, tags: Mapping[int, Tag | None] | None = None, data: bytes = b"", after: int = 0
) -> None:
    """Write one strip of grey pixels with other `tags` (None: without it), other `data`, and a pointer `after`."""
    content = data or pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    height, width = pixels.shape
    plain = {256: width, 257: height, 258: 8 * pixels.itemsize, 259: 1, 262: 1, 277: 1, 278: height}
    shorts: dict[int, Tag | None] = {number: (3, [value]) for number, value in plain.items()}
    chosen = shorts | {273: (4, [8]), 279: (4, [len(content)])} | dict(tags or {})
    content += b"\0" * (len(content) % 2)
    kept: list[tuple[int, Any]] = [(n, t) for n, t in sorted(chosen.items()) if t is not None]
    start = 8 + len(content)
    entries, far = b"", b""
    for number, (kind, values) in kept:
        text = isinstance(values, bytes)
        packed = values if text else struct.pack(f"<{len(values)}{_CODES[kind]}", *values)
        # Four longs more than MetaMorph's count says belong to each of its planes.
        count = len(values) // {5: 2}.get(kind, 1) if number != 33629 else len(values) // 6
        if len(packed) > 4:
            place, far = start + 2 + 12 * len(kept) + 4 + len(far), far + packed + b"\0" * (len(packed) % 2)
            packed = struct.pack("<I", place)
        entries += struct.pack("<HHI", number, kind, count) + packed.ljust(4, b"\0")
    head = b"II" + struct.pack("<HI", 42, start)
    path.write_bytes(head + content + struct.pack("<H", len(kept)) + entries + struct.pack("<I", after) + far)
