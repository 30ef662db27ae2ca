import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.driver.captions import Cue, sentence_cues, srt, vtt


def test_a_sentence_spoken_in_two_pieces_is_one_cue() -> None:
    spoken = [("오늘 회식은,", 1.0), (" 내가 쏜다!", 0.5), ("가자.", 0.25)]
    assert sentence_cues(spoken) == [
        Cue(0, 1500, "오늘 회식은, 내가 쏜다!"),
        Cue(1500, 1750, "가자."),
    ]


def test_the_last_sentence_needs_no_end_mark() -> None:
    assert sentence_cues([("네.", 1.0), ("알겠습니다", 1.0)])[-1] == Cue(1000, 2000, "알겠습니다")


@pytest.mark.parametrize("text", ["정말?", "그래…", '"가자!"', "(웃음.)", "제목\n", "そう。"])
def test_a_sentence_ends_at_its_mark_and_what_closes_it(text: str) -> None:
    assert len(sentence_cues([(text, 1.0), ("다음.", 1.0)])) == 2


def test_silence_and_emptiness_are_no_cues() -> None:
    assert sentence_cues([]) == []
    spoken = [("네.", 0.0), ("  ", 1.0), (" ", 1.0)]
    assert sentence_cues(spoken) == []


@given(st.lists(st.tuples(st.sampled_from(["가.", "나", " ", "다!"]), st.floats(0, 100))))
def test_cues_neither_overlap_nor_pass_the_end(spoken: list[tuple[str, float]]) -> None:
    cues = sentence_cues(spoken)
    edges = [edge for cue in cues for edge in (cue.start_ms, cue.end_ms)]
    assert edges == sorted(edges)
    assert all(cue.start_ms < cue.end_ms for cue in cues)
    assert not cues or cues[-1].end_ms <= round(1000 * sum(duration for _, duration in spoken))


def test_times_beyond_an_hour_are_written_in_full() -> None:
    cues = [Cue(3_599_999, 3_600_000, "가"), Cue(3_600_000, 360_061_001, "나")]
    assert srt(cues) == (
        "1\n00:59:59,999 --> 01:00:00,000\n가\n\n2\n01:00:00,000 --> 100:01:01,001\n나\n"
    )
    assert vtt(cues) == (
        "WEBVTT\n\n00:59:59.999 --> 01:00:00.000\n가\n\n01:00:00.000 --> 100:01:01.001\n나\n"
    )


def test_text_can_not_break_out_of_its_cue() -> None:
    (cue,) = sentence_cues([("가\n\n2\n00:00:00 --> 00:00:01 <b>& {x}", 1.0)])
    assert vtt([cue]).splitlines()[3:] == ["가 2 00:00:00 --&gt; 00:00:01 &lt;b&gt;&amp; {x}"]
    assert srt([cue]).splitlines()[2:] == ["가 2 00:00:00 → 00:00:01 ‹b›& (x)"]


def test_a_recording_without_words_has_files_without_cues() -> None:
    assert (srt([]), vtt([])) == ("", "WEBVTT\n")
