"""Audio in and out of the networks: files, spectra, rates, loudness, silence."""
