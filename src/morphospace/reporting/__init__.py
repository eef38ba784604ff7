"""Figures, budget and the report page."""
