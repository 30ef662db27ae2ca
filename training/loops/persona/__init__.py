"""Fine-tuning of a persona: LoRA adapters of a language model, on scenes and lines."""
