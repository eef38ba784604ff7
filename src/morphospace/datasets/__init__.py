"""Data sets, one file each: fetch() brings the files, index() lists the image sets."""
