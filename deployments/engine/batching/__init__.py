"""Continuous batching: many sequences generate together, joining and leaving between steps.

Four nouns: a `Sequence` is one request's state, the `Scheduler` decides who computes next (no
tensors), a `Runner` computes (nothing else), the `BatchingEngine` connects them step by step.
"""
