import pytest

from deployments.engine.speech.semantic import max_new_tokens
from deployments.semantic_decoder import SemanticArgs
from deployments.text_frontend import analyze

# A clip of ten seconds, spoken fast: tokens at 25 Hz, and eight syllables a second.
LONGEST_PROMPT = 250 + 4 * 80


@pytest.mark.parametrize("text", ["가" * 400, "쫡쨗" * 200, "값싼 닭고기가 흙에 " * 40])
def test_the_longest_segments_fit_into_the_cache_beside_the_longest_prompt(text: str) -> None:
    capacity = SemanticArgs().capacity
    for pronounced in analyze(text, "ko", {}):
        num_phonemes = len(pronounced.segment.phoneme_ids)
        assert max_new_tokens(num_phonemes, capacity - LONGEST_PROMPT - num_phonemes) > 0
