"""Encoders: images to embeddings for curation."""
