"""One exporter a file: a Bundle to a target's format."""
