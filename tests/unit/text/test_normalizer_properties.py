"""What holds for every text: readings are clean, stable, traceable to their source, and quick."""

import re
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.text.errors import TextError
from models.text.frontend import analyze
from models.text.korean import normalize
from models.text.korean.normalizer import read

_FRAGMENTS = st.sampled_from(
    (
        "년 월 일 시 분 개 명 km kg % 010- www. .com @ 오전 ~ 3 12 1,000 20 - °C 제 번 출구 "
        "비밀번호는 AI KBS ㅋㅋ / 만 원 $ ₩ 대 살 ½ ① Ⅲ ㎡ 👍 … : ; · é β 美 か ' \" ( ) x = + & # "
        ". , 1/2 3:2 2026 01 ㅠ 은 가 _ * ² \u0301 ᆨ \u200d \n"
    ).split(" ")
)
_WRITTEN = st.one_of(
    st.text(max_size=40),
    st.lists(_FRAGMENTS, max_size=14).map("".join),
    st.lists(_FRAGMENTS, max_size=14).map(" ".join),
)
_LOADING = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_LOADING
@given(_WRITTEN)
def test_reading_holds_hangul_spaces_and_pauses_only(text: str) -> None:
    assert re.fullmatch("[가-힣 ,.!?…]*", normalize(text))


@_LOADING
@given(_WRITTEN)
def test_normalising_twice_is_normalising_once(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@given(st.text(st.sampled_from("가각값닭꽃잎이는 년월일개,.!?"), max_size=40))
def test_hangul_is_its_own_reading_but_for_doubled_spaces_and_pauses(text: str) -> None:
    once = re.sub("([,.!?])\\1+", r"\1", re.sub(" +", " ", text)).strip(" ")

    assert normalize(text).replace("…", ".") == once


@_LOADING
@given(_WRITTEN)
def test_pieces_cover_the_source_in_order(text: str) -> None:
    reading = read(text)

    edges = [0, *(piece.end for piece in reading.pieces)]
    assert [piece.start for piece in reading.pieces] == edges[:-1]
    assert edges[-1] == len(text)
    assert all(reading.source_span(i) in {(p.start, p.end) for p in reading.pieces}
               for i in range(len(reading.text)))  # fmt: skip


@_LOADING
@given(_WRITTEN, st.sampled_from(["ko", "en", "auto"]))
def test_segments_cover_the_text_or_a_typed_error_says_why_not(text: str, language: str) -> None:
    try:
        segments = analyze(text, language)
    except TextError:
        return

    assert "".join(segment.text for segment in segments) == text
    assert all(segment.phoneme_ids for segment in segments)


@settings(deadline=timedelta(seconds=10), max_examples=60)
@given(st.lists(_FRAGMENTS, min_size=1, max_size=3).map("".join), st.sampled_from([".", "-", ""]))
def test_no_repetition_makes_a_rule_blow_up(unit: str, separator: str) -> None:
    text = separator.join([unit] * 4_000)[:4_000]

    assert len(read(text).pieces) <= len(text)
