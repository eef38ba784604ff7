"""One module a DVC stage: run() is a function of its declared paths."""
