"""Images as arrays: TIFF, illumination, crops, composites and packs of PNGs."""
