"""Machines: what they are, what they draw, what is installed on them."""
