"""Run by CellProfiler's Python: append every module of measurements to a pipeline, and say what each will measure.

``python measure_everything.py PIPELINE TARGET`` reads a pipeline with the images NucleiCorrected and CellsCorrected
and the objects FilteredNuclei and Cells; it writes TARGET, and on standard output a JSON object: for each module, the
objects and names of its measurements.
"""

import json
import os
import sys
from pathlib import Path

from cellprofiler_core import preferences

preferences.set_headless()

from cellprofiler_core.pipeline import Pipeline  # noqa: E402
from cellprofiler_core.setting import Binary  # noqa: E402
from cellprofiler_core.setting.choice import Choice  # noqa: E402
from cellprofiler_core.setting.subscriber import (  # noqa: E402
    ImageListSubscriber,
    ImageSubscriber,
    LabelListSubscriber,
    LabelSubscriber,
)
from cellprofiler_core.utilities.core import modules  # noqa: E402

IMAGES, OBJECTS = ["NucleiCorrected", "CellsCorrected"], ["FilteredNuclei", "Cells"]
MASKS = {  # want an image of two values
    "MeasureImageAreaOccupied",
    "MeasureImageOverlap",
    "MeasureImageSkeleton",
    "MeasureObjectSkeleton",
}


def prepared(name):
    """Return a module that measures the images and objects of the pipeline, and draws what it can."""
    module = modules.instantiate_module(name)
    images, objects = 0, 0
    for setting in module.settings():
        if isinstance(setting, ImageListSubscriber):
            setting.value = "Mask" if name in MASKS else ", ".join(IMAGES)
        elif isinstance(setting, LabelListSubscriber):
            # CellProfiler 4.2.8 runs the names of several objects together there.
            setting.value = ", ".join(OBJECTS[:1] if name == "MeasureImageIntensity" else OBJECTS)
        elif isinstance(setting, ImageSubscriber):
            setting.value = "Mask" if name in MASKS else IMAGES[images % 2]
            images += 1
        elif isinstance(setting, LabelSubscriber):
            setting.value = OBJECTS[objects % 2]
            objects += 1
        elif isinstance(setting, Binary):
            setting.value = True  # all that it can measure and draw
        elif isinstance(setting, Choice) and "Select..." in setting.choices:
            setting.value = "Select..."
    return module


def mask():
    """Return the module that makes the image Mask of the objects."""
    module = modules.instantiate_module("ConvertObjectsToImage")
    for setting in module.settings():
        if isinstance(setting, LabelSubscriber):
            setting.value = "Cells"
        elif isinstance(setting, Choice) and "color format" in setting.text:
            setting.value = "Binary (black & white)"
    module.image_name.value = "Mask"
    return module


def main(source, target):
    modules.fill_modules()
    pipeline = Pipeline()
    pipeline.load(source)
    kept = [m for m in pipeline.modules() if m.module_name not in ("SaveImages", "ExportToSpreadsheet")]
    export = next(m for m in pipeline.modules() if m.module_name == "ExportToSpreadsheet")
    wanted = sorted(n for n in modules.get_module_names() if "Measurement" in category(n))
    measuring = [prepared(name) for name in wanted]
    export.wants_everything.value = True
    new = Pipeline()
    for number, module in enumerate([*kept, mask(), *measuring, export], start=1):
        module.set_module_num(number)
        new.add_module(module)
    with Path(target).open("w") as file:
        new.dump(file)
    columns = {m.module_name: [c[:2] for c in m.get_measurement_columns(new)] for m in measuring}
    sys.stdout.write(json.dumps(columns) + "\n")


def category(name):
    found = modules.instantiate_module(name).category
    return [found] if isinstance(found, str) else found


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # a virtual machine of Java would not let it end
