"""Vectors on disk: shards of many files read as one long array of rows."""
