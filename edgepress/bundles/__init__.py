"""A model as a folder, and surgery that can be replayed."""
