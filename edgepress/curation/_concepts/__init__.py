"""Concepts: which rows are alike, how closely, and which are copies."""
