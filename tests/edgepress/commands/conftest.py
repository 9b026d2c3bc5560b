"""Shards of images and an encoder, as every test that embeds needs them."""

from tests.image_shards import encoder, tars

__all__ = ["encoder", "tars"]
