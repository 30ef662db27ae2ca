"""S1: phoneme ids and a prompt of semantic tokens become the semantic tokens of the sentence."""
