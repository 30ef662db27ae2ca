"""From recordings and transcripts to what S1 and S2 are trained on."""
