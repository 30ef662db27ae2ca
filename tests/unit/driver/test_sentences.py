from hypothesis import given
from hypothesis import strategies as st

from deployments.driver.sentences import SentenceStream
from models.persona.line import LineCleaner


def test_a_sentence_is_handed_out_with_its_last_word() -> None:
    sentences = SentenceStream()
    assert sentences.feed("밥") == []
    assert sentences.feed(" 먹었어?") == ["밥 먹었어?"]
    assert sentences.feed(" 나는") == []
    assert sentences.flush() == ["나는"]


def test_a_decimal_point_does_not_end_a_sentence() -> None:
    assert SentenceStream().feed("3.5점이야. 끝") == ["3.5점이야."]


def test_a_closing_quote_stays_with_its_sentence() -> None:
    assert SentenceStream().feed('"가자!" 그가') == ['"가자!"']


def test_marks_alone_are_no_sentence() -> None:
    sentences = SentenceStream()
    assert sentences.feed("뭐라고? !! 그래. ") == ["뭐라고?", "!! 그래."]
    assert sentences.feed("…") + sentences.flush() == []


@given(st.text(alphabet='가나35.!?…~ \n"', max_size=60), st.integers(1, 5))
def test_how_the_model_cuts_its_text_does_not_matter(text: str, size: int) -> None:
    def sentences(pieces: list[str]) -> list[str]:
        cleaner = LineCleaner(stop=("\n",), speaker_names=(), max_chars=100)
        stream = SentenceStream()
        released = [*map(cleaner.feed, pieces), cleaner.finish()]
        return [sentence for text in released for sentence in stream.feed(text)] + stream.flush()

    received = sentences([text[i : i + size] for i in range(0, len(text), size)])

    assert received == sentences([text])
    assert all(any(char.isalnum() for char in sentence) for sentence in received)
