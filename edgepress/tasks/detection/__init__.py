"""A box and a class for each object."""
