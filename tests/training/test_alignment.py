from itertools import pairwise

import pytest

from models.kokoro.korean_ipa import to_ipa
from models.kokoro.pipeline import sentence
from models.text.frontend import analyze
from models.text.korean import pronounce_standard
from models.text.symbols import symbols
from training.corpus.alignment import NotAligned, phoneme_ends_s

TEXTS = [
    "밥 먹고 갈게요.",
    "달라진 게 없어요, 유월에 봅시다!",
    "외워 왔으니 이제 가도 돼요?",
    "  희망은 희고 의사는 바쁘다",
]


def ends_of(
    text: str, symbol_s: float = 0.1, total_s: float = 1e9
) -> tuple[list[str], list[float]]:
    (segment,) = analyze(text, "ko")
    pronounced = pronounce_standard(segment.reading)
    ipa = sentence(to_ipa(pronounced))
    ends = phoneme_ends_s(segment, pronounced, ipa, [symbol_s] * len(ipa), total_s)
    return [symbols()[i] for i in segment.phoneme_ids], ends


def test_each_letter_ends_with_its_symbol() -> None:
    phonemes, ends = ends_of("밥 안 봐.")
    # pap an pwa.
    assert phonemes == ["ㅂ", "ㅏ", "ㅂ", "空", "ㅇ", "ㅏ", "ㄴ", "空", "ㅂ", "ㅗ", "ㅏ", "."]
    expected = [0.14, 0.24, 0.34, 0.44, 0.44, 0.54, 0.64, 0.74, 0.84, 0.94, 1.04, 1.14]
    assert ends == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("text", TEXTS)
def test_phonemes_end_in_order_and_within_the_recording(text: str) -> None:
    phonemes, ends = ends_of(text, total_s=1.5)
    assert len(ends) == len(phonemes)
    assert all(first <= second for first, second in pairwise(ends))
    assert ends[-1] == 1.5


def test_pronunciations_that_do_not_correspond_are_refused() -> None:
    (segment,) = analyze("밥 먹자.", "ko")
    with pytest.raises(NotAligned):
        phoneme_ends_s(segment, "밥", "pap.", [0.1] * 4, 1.0)
