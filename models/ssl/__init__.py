"""Self-supervised speech features, the front end of semantic tokens."""
