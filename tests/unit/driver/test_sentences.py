from hypothesis import given
from hypothesis import strategies as st

from deployments.driver.sentences import SentenceStream


def test_a_sentence_is_handed_out_once_the_text_goes_on() -> None:
    sentences = SentenceStream()
    assert sentences.feed("밥 먹었어?") == []
    assert sentences.feed(" 나는") == ["밥 먹었어?"]
    assert sentences.flush() == ["나는"]


def test_a_decimal_point_does_not_end_a_sentence() -> None:
    sentences = SentenceStream()
    assert sentences.feed("3.") == []
    assert sentences.feed("5점이야. 끝") == ["3.5점이야."]


def test_a_closing_quote_stays_with_its_sentence() -> None:
    assert SentenceStream().feed('"가자!" 그가 말했다.') == ['"가자!"']


def test_marks_alone_are_no_sentence() -> None:
    sentences = SentenceStream()
    assert sentences.feed("뭐라고? !! 그래. ") == ["뭐라고?", "!! 그래."]
    assert sentences.feed("…") + sentences.flush() == []


@given(st.text(alphabet='가나.!?… \n"', max_size=60), st.integers(1, 5))
def test_how_the_text_is_cut_into_deltas_does_not_matter(text: str, size: int) -> None:
    whole, pieces = SentenceStream(), SentenceStream()
    expected = whole.feed(text) + whole.flush()
    deltas = [text[i : i + size] for i in range(0, len(text), size)]
    received = [sentence for delta in deltas for sentence in pieces.feed(delta)]
    received += pieces.flush()
    assert received == expected
    assert all(any(char.isalnum() for char in sentence) for sentence in received)
