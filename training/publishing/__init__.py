"""Trained weights and the voices made of them, as versions that never change."""
