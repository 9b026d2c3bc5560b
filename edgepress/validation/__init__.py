"""Measurement of exports, parity, and the gates."""
