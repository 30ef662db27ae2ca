"""What a character is trained and judged on: rows of scenes and lines, and what is held out."""
