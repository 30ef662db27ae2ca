"""What decoding a token at a time has in common, whatever network it is of."""
