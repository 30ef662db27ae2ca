"""How good a voice is: what it says, who is heard, how it sounds, how often it breaks."""
