"""Measurements: what is compared with what, on which machine, and the numbers."""
