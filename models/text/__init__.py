"""Text to phoneme ids: reading, pronunciation, splitting. Pure Python, offline, no torch."""
