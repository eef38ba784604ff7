"""Scores of arrays and tables, each beside its floors and its interval."""
