"""The cells, wells or treatments nearest to a crop or a cell, on the command line."""
