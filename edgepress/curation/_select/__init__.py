"""Selection: how many rows of each concept, which ones, and what is written of it."""
