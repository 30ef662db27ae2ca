"""Who may call: API keys, how often each may, and what each may see."""
