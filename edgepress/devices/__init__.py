"""Machines, measurements on them, and the gates."""
