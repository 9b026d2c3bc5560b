"""Tasks: what is to be learnt, a folder each, always the same four files, some with more."""
