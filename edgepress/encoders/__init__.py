"""Encoders: images to vectors, fitted on the images themselves or taken as they are."""
