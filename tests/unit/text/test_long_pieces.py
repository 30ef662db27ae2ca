"""What should stay whole and sounds longer than a segment may."""

import pytest

from models.text.errors import TextTooLong
from models.text.frontend import MAX_SEGMENT_PHONEMES, Segment, analyze
from models.text.korean import normalize
from models.text.reading import Piece
from models.text.splitting import halved

URL = "https://www.example.com/" + "a1b2-" * 300


def reading(segments: list[Segment]) -> str:
    return "".join("".join(segment.reading.split()) for segment in segments)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (URL, "ko"),
        (f"자세한 내용은 {URL} 에서 보세요.", "ko"),
        ('"' + "1234567890 " * 18 + '"', "ko"),
        ("쫡쨗" * 1000, "ko"),
        ("12345678901234567 " * 100, "en"),
        ("w" * 1000, "en"),
        (f"오늘은 {'w' * 1000} 봤어", "auto"),
    ],
)
def test_every_segment_fits_the_acoustic_model_and_the_spans_cover_the_text(
    text: str, language: str
) -> None:
    segments = analyze(text, language)
    assert max(len(segment.phoneme_ids) for segment in segments) <= MAX_SEGMENT_PHONEMES
    assert "".join(segment.text for segment in segments) == text
    assert [segment.start for segment in segments] == [0, *(s.end for s in segments[:-1])]


def test_a_long_address_is_divided_without_losing_or_changing_a_sound() -> None:
    assert reading(analyze(URL)) == "".join(normalize(URL).split())


@pytest.mark.parametrize(
    "text, dictionary", [("가 나", {"가": "%" * 100}), ("안녕" + "?, " * 1000, {})]
)
def test_what_can_not_be_divided_is_refused_before_it_is_accepted(
    text: str, dictionary: dict[str, str]
) -> None:
    with pytest.raises(TextTooLong, match=f"allowed: {MAX_SEGMENT_PHONEMES}"):
        analyze(text, dictionary=dictionary)


def test_halves_part_behind_a_space_near_the_middle() -> None:
    pieces = [Piece(at, at + 1, char) for at, char in enumerate("가나다 라마바사")]
    first, second = halved(pieces) or ([], [])
    assert ["".join(piece.text for piece in half) for half in (first, second)] == [
        "가나다 ",
        "라마바사",
    ]


def test_a_piece_is_cut_at_a_space_of_its_reading_and_its_source_in_proportion() -> None:
    pieces = [Piece(0, 1, "제"), Piece(1, 9, "일이삼사 오육칠팔", is_atomic=True)]
    assert halved(pieces) == (
        [pieces[0], Piece(1, 5, "일이삼사 ", is_atomic=True)],
        [Piece(5, 9, "오육칠팔", is_atomic=True)],
    )


def test_a_single_character_can_not_be_halved() -> None:
    assert halved([Piece(0, 1, "제곱킬로미터", is_atomic=True)]) is None
