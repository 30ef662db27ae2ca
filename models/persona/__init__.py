"""The persona's mind: its base model, its published form, its prompt and the line it says."""
