"""Heads: from a backbone's features to the outputs a task asks for, one kind a file."""
