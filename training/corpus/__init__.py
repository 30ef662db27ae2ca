"""Korean sentences for teaching a voice: words, a grammar that combines them, and their choice."""
