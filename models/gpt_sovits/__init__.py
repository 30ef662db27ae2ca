"""GPT-SoVITS v2: S1 turns phonemes into semantic tokens, S2 turns those into a waveform."""
