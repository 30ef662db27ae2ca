import re

import pytest
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


def feed_words(text: str) -> list[str]:
    """Each word's pieces, marked by the number of words that had been written by then."""
    stream = SentenceStream()
    words = re.findall(r"\s*\S+", text)
    fed = [f"{at}:{piece}" for at, word in enumerate(words, 1) for piece in stream.feed(word)]
    return fed + [f"end:{piece}" for piece in stream.flush()]


def test_the_first_clause_is_handed_out_before_its_sentence_ends() -> None:
    assert feed_words("새 건물은 새끼가 들어간 건데, 이건 곰이네. 어제 보니까 크더라, 정말.") == [
        "6:새 건물은 새끼가 들어간 건데,",
        "7:이건 곰이네.",
        "11:어제 보니까 크더라, 정말.",
    ]
    assert feed_words("감사 카드에 세금은 없지만 그래도 받겠습니다.")[0] == (
        "5:감사 카드에 세금은 없지만"
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "취소야, 취소라니까.",  # too short a clause
        "어제 저녁 교통사고 때문에 늦었어요.",
        "오늘도 사무실에서 빵을 먹고 있습니다.",
        "부장님은 그 영화를 보고 싶다고 하셨습니다.",
        "이번 달 월급은 3,500,000원입니다.",
    ],
)
def test_a_sentence_stays_whole_where_no_long_clause_ends(sentence: str) -> None:
    assert feed_words(sentence) == [f"{len(sentence.split())}:{sentence}"]


def test_a_long_first_sentence_that_comes_at_once_is_cut_alike() -> None:
    assert SentenceStream().feed("새 건물은 새끼가 들어간 건데, 이건 곰이네.") == [
        "새 건물은 새끼가 들어간 건데,",
        "이건 곰이네.",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "내일까지 보고서를 제출하면 됩니다.",
        "다음부터는 절대로 늦지 않도록 하겠습니다.",
        "지난주 매출 현황을 보고 드리겠습니다.",
        "오늘 점심에는 라면 두 개를 먹었다.",
        "우리 눈앞에 바다가 보이네요 정말.",
        "안녕하세요 부장님 그리고 여러분 모두.",
        "열린 지 십 년이나 됐는데 열려.",  # the word after it would be heard alone
        "오늘 정말 열심히 준비했는데 ㅠㅠ",
        "ㅠㅠㅠㅠㅠㅠㅠㅠ, 부장님 너무해요.",
        "Добрый вечер, 부장님.",
        "홈페이지 주소는 https://example.com 입니다.",
    ],
)
def test_a_clause_is_no_clause_without_both_of_its_sides(line: str) -> None:
    assert feed_words(line)[0].endswith(line)


_WORDS = st.sampled_from(
    [
        "가나다라마바사아",
        "먹고",
        "있다",
        "좋은데,",
        "하지만",
        "끝.",
        "…",
        "3,500원",
        "ㅠㅠ",
        "!!",
        '"가자"',
    ]
)
_LINES = st.lists(_WORDS, max_size=14).map(" ".join)


@given(_LINES | st.text(alphabet='가나고만있35,.!?…~ \n"', max_size=60), st.integers(1, 5))
def test_how_the_model_cuts_its_text_does_not_matter(text: str, size: int) -> None:
    def sentences(pieces: list[str]) -> tuple[str, list[str]]:
        cleaner = LineCleaner(stop=("\n",), speaker_names=(), max_chars=100)
        stream = SentenceStream()
        released = [*map(cleaner.feed, pieces), cleaner.finish()]
        cut = [sentence for delta in released for sentence in stream.feed(delta)] + stream.flush()
        return "".join(released), cut

    line, received = sentences([text[i : i + size] for i in range(0, len(text), size)])

    assert (line, received) == sentences([text])
    assert all(any(char.isalnum() for char in sentence) for sentence in received)
    assert [char for char in "".join(received) if char.isalnum()] == [
        char for char in line if char.isalnum()
    ]
