"""Precision: what each target's toolchain is to do, and on which images."""
