"""Networks, text, audio and checkpoint formats: pure PyTorch and pure Python, without Ray or HTTP."""
