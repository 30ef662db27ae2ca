"""Training S2: semantic tokens to sound."""
