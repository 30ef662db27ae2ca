"""Jobs: work that is kept, from its acceptance to its result."""
