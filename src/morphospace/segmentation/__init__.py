"""Segmentation engines, one file each, with one interface: ``illuminate`` and ``segment``."""
