"""Tables of the text front end, shipped as package data."""
