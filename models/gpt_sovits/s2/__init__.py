"""S2: semantic tokens, phonemes and a speaker embedding -> waveform."""
