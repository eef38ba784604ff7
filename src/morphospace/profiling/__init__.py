"""Profiles: what a site, a well and a treatment look like, from the numbers of their cells."""
