"""The few measurements that later stages need of each object: area, bounding box, centre."""

import numpy as np
import pandas as pd
from scipy import ndimage

from morphospace.schema import OBJECT
from morphospace.segmentation._engine import Labels

CELL = "Cells_AreaShape_"
NUCLEUS_AREA = "Nuclei_AreaShape_Area"
COLUMNS = [
    OBJECT,
    f"{CELL}Area",
    *(f"{CELL}BoundingBox{end}_{axis}" for end in ("Minimum", "Maximum") for axis in "XY"),
    *(f"{CELL}Center_{axis}" for axis in "XY"),
    NUCLEUS_AREA,
]


def measure(labels: Labels) -> pd.DataFrame:
    """Return one row a cell, sorted by ObjectNumber, in CellProfiler's names (MeasureObjectSizeShape).

    Lengths are px and areas px^2; X is the column and Y the row of a pixel; the maxima of a bounding box lie outside
    of it by one; the centre is the centroid. A field without a cell gives an empty table with the same columns.
    """
    cells = labels.cells
    area = np.bincount(cells.ravel())
    numbers = np.flatnonzero(area[1:]) + 1
    boxes = ndimage.find_objects(cells.astype(np.int32))
    centres = np.reshape(ndimage.center_of_mass(cells > 0, cells, numbers), (-1, 2))
    nuclei = np.bincount(labels.nuclei.ravel(), minlength=len(area))
    rows = [
        (n, area[n], x.start, y.start, x.stop, y.stop, cx, cy, nuclei[n])
        for n, (y, x), (cy, cx) in zip(numbers, (boxes[n - 1] for n in numbers), centres, strict=True)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({c: float if "Center" in c else np.int64 for c in COLUMNS})
