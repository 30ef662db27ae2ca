"""Networks, text, audio and checkpoint formats: PyTorch and Python, without Ray or HTTP."""
