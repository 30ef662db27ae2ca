"""Engines that write a character's line, behind one protocol."""
