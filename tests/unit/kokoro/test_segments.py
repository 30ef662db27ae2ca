from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from models.kokoro.segments import MAX_SEGMENT_CHARS, split_into_segments


def test_each_sentence_is_a_segment_with_its_mark() -> None:
    assert split_into_segments("정말? 그렇구나… 알겠어!\n가자") == [
        "정말?",
        "그렇구나…",
        "알겠어!",
        "가자",
    ]


def test_long_sentence_is_cut_at_commas_first() -> None:
    clause = "비가 오는 날에는 창가에 앉아 오래 기다리다가"
    sentence = f"{clause}, {clause}, {clause}, 집에 간다."
    assert split_into_segments(sentence) == [
        f"{clause}, {clause}, {clause},",
        "집에 간다.",
    ]


def test_text_without_hangul_has_no_segments() -> None:
    assert split_into_segments(" ... ?! \n -- ") == []


@given(st.text(alphabet=st.sampled_from("가나다힣 ,.!?…\n:a"), max_size=400))
def test_every_syllable_is_kept_in_order_and_no_segment_is_too_long(text: str) -> None:
    segments = split_into_segments(text)
    assert all(len(segment) <= MAX_SEGMENT_CHARS for segment in segments)
    hangul = re.compile("[가-힣]")
    assert hangul.findall("".join(segments)) == hangul.findall(text)
