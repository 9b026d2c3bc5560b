"""Embedding at scale: shards of images to shards of vectors, on one machine or a Ray cluster."""
