"""The training loop of S1 and S2 as plain functions; Ray Train is one way to start it, not part."""
