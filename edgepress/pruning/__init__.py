"""Smaller networks from trained ones, as replayable surgery."""
