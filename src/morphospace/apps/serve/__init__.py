"""A local page to look at cells, their map and their neighbours: the server, and what the browser is given."""
