"""Zonos v0.1: text, speaker and eight emotions in, 44.1 kHz speech out, on nine code streams."""
