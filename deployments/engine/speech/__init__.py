"""The two stages of GPT-SoVITS as engines: many requests at once, several checkpoints, no Ray.

`SemanticEngine` turns phonemes into semantic tokens (S1), `WaveformEngine` tokens into a waveform
(S2). Both are a batching engine on a thread of its own and a bounded cache of checkpoints.
"""
