"""Codings: what the maps of a network say of boxes and classes, one a file, in NumPy."""
