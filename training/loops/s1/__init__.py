"""Training S1: text to semantic tokens."""
